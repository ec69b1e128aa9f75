// The address (the part of the URL after #) of each view and object.

export const VIEWS = [
  "all", "user", "pid", "mnt", "net", "cgroup", "uts", "ipc", "time", "containers", "matrix", "mounts", "processes",
  "cpus", "wiring", "ports", "orphans", "audit", "gaps", "compare", "search", "settings", "help",
] as const;
export type View = (typeof VIEWS)[number];

export type Address =
  | { kind: "view"; view: View; query: URLSearchParams }
  | { kind: "object"; object: ObjectRef; query: URLSearchParams }
  | { kind: "unknown"; text: string; query: URLSearchParams };

export type ObjectRef =
  | { kind: "ns"; id: number }
  | { kind: "process"; pid: number }
  | { kind: "task"; tid: number }
  | { kind: "container"; key: string }
  | { kind: "mounts"; mntns: number }
  | { kind: "mount"; mntns: number; id: number }
  | { kind: "link"; netns: number; index: number }
  | { kind: "cpu"; cpu: number };

export const hrefOf = (object: ObjectRef): string => {
  switch (object.kind) {
    case "ns":
      return `#/ns/${object.id}`;
    case "process":
      return `#/process/${object.pid}`;
    case "task":
      return `#/task/${object.tid}`;
    case "container":
      return `#/container/${encodeURIComponent(object.key)}`;
    case "mounts":
      return `#/mounts/${object.mntns}`;
    case "mount":
      return `#/mounts/${object.mntns}/${object.id}`;
    case "link":
      return `#/link/${object.netns}/${object.index}`;
    case "cpu":
      return `#/cpus/${object.cpu}`;
  }
};

export const viewHref = (view: View, query?: Record<string, string>): string => {
  const text = query ? new URLSearchParams(query).toString() : "";
  return `#/${view === "all" ? "" : view}${text ? `?${text}` : ""}`;
};

export function parseAddress(hash: string): Address {
  const [path = "", queryText = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const query = new URLSearchParams(queryText);
  const parts = path.split("/").filter(Boolean);
  const [first = "all", second, third] = parts;
  const object = second === undefined ? undefined : objectOf(first, second, third);
  if (object) return { kind: "object", object, query };
  if (second === undefined && (VIEWS as readonly string[]).includes(first)) return { kind: "view", view: first as View, query };
  return { kind: "unknown", text: path, query };
}

const number = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;

function objectOf(first: string, second: string, third: string | undefined): ObjectRef | undefined {
  if (first === "container") return { kind: "container", key: decoded(second) };
  const [id, other] = [number(second), number(third)];
  if (id === undefined) return undefined;
  switch (first) {
    case "ns":
      return { kind: "ns", id };
    case "process":
      return { kind: "process", pid: id };
    case "task":
      return { kind: "task", tid: id };
    case "mounts":
      return other === undefined ? { kind: "mounts", mntns: id } : { kind: "mount", mntns: id, id: other };
    case "link":
      return other === undefined ? undefined : { kind: "link", netns: id, index: other };
    case "cpu":
    case "cpus":
      return { kind: "cpu", cpu: id };
    default:
      return undefined;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
