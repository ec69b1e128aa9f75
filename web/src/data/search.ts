// Search over everything that is known of a host.

import { hrefOf } from "./address";
import type { GraphAnswer, PortAnswer } from "./answers";
import { commandLine, nsName, type Host } from "./host";
import { mountPath } from "./mounts";
import { S } from "../strings";

export type HitKind = "namespace" | "process" | "task" | "container" | "mount" | "link" | "port";

export interface Hit {
  kind: HitKind;
  /** What it is called. */
  label: string;
  /** What else tells it apart. */
  detail: string;
  href: string;
}

interface Entry extends Hit {
  /** Equal to one of these: the best hit. */
  exact: string[];
  /** The label, in lower case. */
  name: string;
  /** All that can be searched, in lower case. */
  text: string;
}

export type Index = Entry[];

/** What agents know beside the dump. */
export interface Extra {
  links?: GraphAnswer | undefined;
  ports?: readonly PortAnswer[] | undefined;
}

export function indexOf(host: Host, extra: Extra = {}): Index {
  const index: Index = [];
  const add = (kind: HitKind, label: string, detail: string, href: string, exact: (string | number | undefined)[], more: (string | undefined)[] = []): void => {
    const keys = exact.filter((key) => key !== undefined).map((key) => String(key).toLowerCase());
    const name = label.toLowerCase();
    const text = [name, detail.toLowerCase(), ...keys, ...more.map((one) => one?.toLowerCase() ?? "")].join("\n");
    index.push({ kind, label, detail, href, exact: keys, name, text });
  };

  for (const container of host.containers) {
    add(
      "container", container.name,
      [container.type, container.image, container.state].filter(Boolean).join(" · "),
      hrefOf({ kind: "container", key: container.key }),
      [container.id, container.name, container.id.slice(0, 12)],
      [container.pod, container.cgroup, container.networkPath, ...container.groups.map((group) => group.name), ...container.labels.map(([key, value]) => `${key}=${value}`)],
    );
  }
  for (const ns of host.namespaces.values()) {
    // Initial ones are everybody's: naming them all would tell nothing.
    const container = ns.initial ? "" : ns.containers.map((one) => one.name).join(" ");
    const leader = ns.leaders[0];
    add(
      "namespace", nsName(ns), [ns.netnsName, container, leader && `${leader.name} ${leader.pid}`].filter(Boolean).join(" · "),
      hrefOf({ kind: "ns", id: ns.id }),
      [ns.id, `${ns.type}:${ns.id}`, ns.uniqueId, ns.uniqueId && `:${ns.uniqueId}`, ns.netnsName],
      [...ns.reference, ...ns.holders.map((holder) => holder.path), ns.userName],
    );
  }
  for (const process of host.processes.values()) {
    const command = commandLine(process);
    add(
      "process", `${process.name} ${process.pid}`, command ?? (process.cmdline ? "" : S.search.noCommand),
      hrefOf({ kind: "process", pid: process.pid }),
      [process.pid, ...(process.nspids ?? []), process.name],
      [process.cgroup, process.container?.name, process.unit?.name],
    );
    for (const task of process.tasks) {
      if (task.tid === process.pid) continue;
      add("task", `${task.name} ${task.tid}`, S.taskOf(process.name, process.pid), hrefOf({ kind: "task", tid: task.tid }), [task.tid, task.name]);
    }
  }
  for (const [mntns, mounts] of host.mounts) {
    for (const mount of mounts) {
      const path = mountPath(mount);
      add(
        "mount", path ?? S.mounts.noPath, `${mount.fstype} ${mount.source} ${S.in} mnt:[${mntns}]`,
        hrefOf({ kind: "mount", mntns, id: mount.mountid }), [path, `${mount.major}:${mount.minor}`, mount.source],
      );
    }
  }
  for (const link of extra.links?.links ?? []) {
    add(
      "link", link.name, `${link.kind ?? S.kinds.link} ${S.in} net:[${link.nsid}] ${link.mac ?? ""}`,
      hrefOf({ kind: "link", netns: link.id[0], index: link.id[1] }), [link.name, link.mac ?? undefined, link.target, ...(link.addresses ?? []).map((one) => one.address)], [link.target, link["netns-name"] ?? undefined],
    );
  }
  for (const port of extra.ports ?? []) {
    if (port.port === null) continue;
    const who = port.processes.map((one) => `${one.command} ${one.pid}`).join(", ");
    add(
      "port", `${port.protocol} ${port.address}:${port.port}`, `${who || S.search.unseen} ${S.in} net:[${port.namespace.nsid}]`,
      hrefOf({ kind: "ns", id: port.namespace.nsid }), [port.port, port.address, `${port.address}:${port.port}`, `${port.protocol}/${port.port}`],
    );
  }
  return index;
}

const RANK: Record<HitKind, number> = { container: 0, namespace: 1, process: 2, port: 3, link: 4, mount: 5, task: 6 };

/** The best hits for all words of a query, and how many there are in all. */
export function search(index: Index, query: string, limit = 200, kinds?: ReadonlySet<HitKind>): { hits: Hit[]; total: number } {
  const words = query.toLowerCase().trim().split(/\s+/).filter(Boolean);
  if (words.length === 0) return { hits: [], total: 0 };
  const whole = words.join(" ").replace(/^(\w+):\[(\d+)\]$/, "$1:$2");
  const found: [number, Entry][] = [];
  for (const entry of index) {
    if (kinds && !kinds.has(entry.kind)) continue;
    const exact = entry.exact.includes(whole);
    if (!exact && !words.every((word) => entry.text.includes(word))) continue;
    const score = exact ? 0 : entry.name.startsWith(whole) ? 10 : words.every((word) => entry.name.includes(word)) ? 20 : 30;
    found.push([score + RANK[entry.kind], entry]);
  }
  // Sorting is stable, so that equals stay in the order of the index.
  found.sort(([a], [b]) => a - b);
  return { hits: found.slice(0, limit).map(([, entry]) => entry), total: found.length };
}
