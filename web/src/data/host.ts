// A host as a dump describes it: values that refer to each other, made once from the JSON form.

import { S } from "../strings";
import type * as wire from "./dump-types";
import { clean, collate, expand, textOf, unescapePath, type Range } from "./text";

export type TypeName = wire.TypeName;
export const TYPES: readonly TypeName[] = ["user", "pid", "mnt", "net", "cgroup", "uts", "ipc", "time"];

/** Why a relation names no namespace; `undefined` where it names one. */
export type Missing = wire.RelationState | undefined;

export interface Ns {
  id: number;
  type: TypeName;
  uniqueId: string | undefined;
  initial: boolean;
  owner: Ns | undefined;
  ownerMissing: Missing;
  parent: Ns | undefined;
  parentMissing: Missing;
  children: Ns[];
  /** What a user namespace owns, but for user namespaces. */
  owned: Ns[];
  userId: number | undefined;
  userName: string | undefined;
  reference: string[];
  leaders: Proc[];
  /** Processes in it, by PID. */
  members: Proc[];
  /** Whether all its processes were listed although others were not. */
  allListed: boolean;
  /** Tasks in it whose process is elsewhere. */
  loose: Task[];
  holders: wire.Holder[];
  uidMap: number[][] | undefined;
  gidMap: number[][] | undefined;
  offsets: wire.Offsets | undefined;
  netnsId: number | undefined;
  /** How many references the kernel counts, and how many of them are explained. */
  references: wire.References | undefined;
  /** What `ip netns` calls it. */
  netnsName: string | undefined;
  /** Containers with a process in it; the owner is the first unless it is initial. */
  containers: Container[];
}

export interface Task {
  tid: number;
  process: Proc;
  name: string;
  startTicks: number;
  namespaces: Partial<Record<TypeName, number>>;
  state: string | undefined;
  affinity: Range[] | undefined;
  scheduling: wire.Scheduling | undefined;
  freezer: wire.Freezer | undefined;
  cgroup: string | undefined;
}

/** A process; it is also its own first task. */
export interface Proc extends Task {
  pid: number;
  ppid: number;
  parent: Proc | undefined;
  children: Proc[];
  tasks: Task[];
  /** How many tasks it has, also where not all are in `tasks`. */
  threads: number;
  /** Not known where `undefined`; empty of a kernel thread. */
  cmdline: string[] | undefined;
  uids: wire.Uids | undefined;
  nspids: number[] | undefined;
  capabilities: wire.Capabilities | undefined;
  seccomp: string | undefined;
  noNewPrivs: boolean | undefined;
  cgroups: wire.CgroupMembership[] | undefined;
  forChildren: wire.ForChildren | undefined;
  container: Container | undefined;
  unit: Unit | undefined;
}

export interface Unit {
  kind: string;
  name: string;
  ofUser: number | undefined;
}

export interface Engine {
  key: number;
  type: string;
  id: string;
  version: string;
  api: string;
  pid: number;
  unseen: boolean;
  containers: Container[];
}

export interface Group {
  key: number;
  name: string;
  type: string;
  flavor: string;
  containers: Container[];
}

export interface Container {
  /** What names it in an address of the page. */
  key: string;
  index: number;
  id: string;
  name: string;
  type: string;
  flavor: string;
  process: Proc | undefined;
  members: Proc[];
  paused: boolean;
  state: string | undefined;
  image: string | undefined;
  runtime: string | undefined;
  created: string | undefined;
  health: string | undefined;
  role: string | undefined;
  cgroup: string | undefined;
  networkPath: string | undefined;
  /** What its control groups let it use; none where that was not read. */
  limits: wire.CgroupLimits | undefined;
  pod: string | undefined;
  labels: [string, string][];
  annotations: [string, string][];
  confidence: string | undefined;
  evidence: { kind: string; at: string; confidence: string; pid: number | undefined }[];
  disagreements: { about: string; values: string[] }[];
  engine: Engine | undefined;
  groups: Group[];
  inside: Container | undefined;
  /** Its namespaces: those of its first process. */
  namespaces: Partial<Record<TypeName, number>>;
}

export interface Host {
  /** Whether lxkns in Rust wrote it: otherwise gaps, holders and more are not known. */
  ours: boolean;
  name: string;
  kernel: string | undefined;
  bootId: string | undefined;
  takenAt: Date | undefined;
  tookNsec: number | undefined;
  reader: string | undefined;
  observer: wire.Observer | undefined;
  places: string[];
  mntns: number | undefined;
  cpus: number[];
  namespaces: Map<number, Ns>;
  byType: Record<TypeName, Ns[]>;
  processes: Map<number, Proc>;
  tasks: Map<number, Task>;
  containers: Container[];
  containersSearched: boolean;
  engines: Engine[];
  groups: Group[];
  gaps: wire.Gap[];
  suspects: wire.Suspect[];
  /** How many processes are in an unknown namespace of each type. */
  unread: Record<TypeName, number>;
  /** Whether there may be processes that procfs did not list: it hides some, or is that of a PID namespace below others. */
  hidesProcesses: boolean;
  /** The PID namespace whose processes were listed, where that is not the initial one. */
  pidnsOnly: number | undefined;
  /** Whether all places could be read that may hold a namespace. */
  holdersSeen: boolean;
  userNames: Map<number, string>;
  /** The mounts of each mount namespace, as in the dump. */
  mounts: Map<number, wire.Mount[]>;
}

export class NotADump extends Error {}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A value whose `null` members count as missing, as everywhere in dumps. */
const or = <T>(value: T | null | undefined): T | undefined => value ?? undefined;

const entries = <T>(object: { [k: string]: T } | undefined): [number, T][] =>
  Object.entries(object ?? {}).map(([key, value]) => [Number(key), value]);

const FORMAT = 1;

export function hostOf(value: unknown): Host {
  if (!isObject(value) || !isObject(value["namespaces"]) || !isObject(value["processes"])) {
    throw new NotADump(S.dump.noNamespaces);
  }
  const dump = value as unknown as wire.LxknsDump;
  const options = (dump["discovery-options"] ?? value["options"] ?? {}) as Partial<
    wire.LxknsDump["discovery-options"]
  >;
  const snapshot = or(options.snapshot);
  if (snapshot && snapshot.format > FORMAT) throw new NotADump(S.dump.newer(snapshot.format, FORMAT));

  const host: Host = {
    ours: snapshot !== undefined,
    name: clean(snapshot?.hostname ?? ""),
    kernel: or(snapshot?.kernel),
    bootId: or(snapshot?.["boot-id"]),
    takenAt: snapshot?.["taken-at"] ? new Date(snapshot["taken-at"]) : undefined,
    tookNsec: or(snapshot?.["took-nsec"]),
    reader: or(snapshot?.reader),
    observer: or(snapshot?.observer),
    places: snapshot?.places ?? [],
    mntns: or(snapshot?.mntns),
    cpus: expand((dump["cpus-online"] ?? []) as Range[]),
    namespaces: new Map(),
    byType: { user: [], pid: [], mnt: [], net: [], cgroup: [], uts: [], ipc: [], time: [] },
    processes: new Map(),
    tasks: new Map(),
    containers: [],
    containersSearched: snapshot ? snapshot.containers !== undefined : Object.keys(dump.containers ?? {}).length > 0,
    engines: [],
    groups: [],
    gaps: snapshot?.gaps ?? [],
    suspects: snapshot?.suspects ?? [],
    unread: { user: 0, pid: 0, mnt: 0, net: 0, cgroup: 0, uts: 0, ipc: 0, time: 0 },
    hidesProcesses: false,
    pidnsOnly: undefined,
    holdersSeen: snapshot !== undefined,
    userNames: new Map(entries(snapshot?.["user-names"])),
    mounts: new Map(),
  };
  addNamespaces(host, dump);
  addProcesses(host, dump, snapshot);
  addContainers(host, dump, snapshot?.containers);
  for (const [id, paths] of entries(dump.mounts)) {
    host.mounts.set(id, Object.values(paths).flatMap((path) => path.mounts));
  }
  for (const [id, unreachable] of entries(snapshot?.mounts)) {
    host.mounts.set(id, [...(host.mounts.get(id) ?? []), ...unreachable]);
  }
  for (const list of Object.values(host.byType)) {
    list.sort((a, b) => Number(b.initial) - Number(a.initial) || a.id - b.id);
  }
  const pidns = host.observer?.["procfs-pidns"] ?? undefined;
  if (host.observer && pidns !== INITIAL_PIDNS && !(pidns !== undefined && host.namespaces.get(pidns)?.initial)) host.pidnsOnly = pidns ?? NaN;
  const hides = host.gaps.some((gap) => gap.cause === "hidden");
  host.hidesProcesses = hides || host.pidnsOnly !== undefined;
  if (!hides) for (const ns of host.byType.pid) ns.allListed = isBelow(ns, host.pidnsOnly);
  const holding = new Set(["fds", "sockets", "tun", "task-fds", "bind-mounts", "processless-mounts", "tasks", "for-children", "processes"]);
  host.holdersSeen &&= host.pidnsOnly === undefined && !host.gaps.some((gap) => holding.has(gap.place));
  return host;
}

/** Whether a PID namespace is this one, or below it. */
function isBelow(ns: Ns, top: number | undefined): boolean {
  for (let at: Ns | undefined = ns; at; at = at.parent) if (at.id === top) return true;
  return false;
}

const INITIAL_PIDNS = 4026531836;

/** The initial namespaces of kernels that do not say so, by their fixed inode numbers. */
const FIRST_INITIAL = 4026531832;
const LAST_INITIAL = 4026531839;

function addNamespaces(host: Host, dump: wire.LxknsDump): void {
  for (const [id, raw] of entries(dump.namespaces)) {
    if (!(raw.type in host.byType)) throw new NotADump(S.dump.unknownType(String(raw.type)));
    const reference = raw.reference as unknown;
    const ns: Ns = {
      id,
      type: raw.type,
      uniqueId: raw["unique-id"] === undefined ? undefined : String(raw["unique-id"]),
      initial: raw.initial ?? (!host.ours && id >= FIRST_INITIAL && id <= LAST_INITIAL),
      owner: undefined,
      ownerMissing: undefined,
      parent: undefined,
      parentMissing: undefined,
      children: [],
      owned: [],
      userId: or(raw["user-id"]),
      userName: raw["user-name"] ? clean(raw["user-name"]) : undefined,
      reference: (typeof reference === "string" ? (reference ? [reference] : []) : ((reference ?? []) as string[])).map(clean),
      leaders: [],
      members: [],
      allListed: false,
      loose: [],
      holders: (raw.holders ?? []).map((holder) => (holder.path ? { ...holder, path: unescapePath(holder.path) } : holder)),
      uidMap: or(raw["uid-map"]) as number[][] | undefined,
      gidMap: or(raw["gid-map"]) as number[][] | undefined,
      offsets: or(raw.offsets),
      netnsId: or(raw["netnsid"]),
      references: or(raw.references),
      netnsName: undefined,
      containers: [],
    };
    if (ns.userId !== undefined && ns.userName !== undefined) host.userNames.set(ns.userId, ns.userName);
    if (ns.type === "net") ns.netnsName = netnsName(ns, host.mntns);
    host.namespaces.set(id, ns);
    host.byType[ns.type].push(ns);
  }
  for (const [id, raw] of entries(dump.namespaces)) {
    const ns = host.namespaces.get(id)!;
    const parent = raw.parent === undefined ? undefined : host.namespaces.get(raw.parent);
    const said = (name: "owner" | "parent"): Missing => {
      const relation = (raw.relations as Record<string, unknown> | undefined)?.[name];
      return typeof relation === "string" ? (relation as Missing) : "not-asked";
    };
    if (ns.type === "user" || ns.type === "pid") {
      ns.parent = parent;
      if (!parent) ns.parentMissing = ns.initial && !host.ours ? "none" : said("parent");
      parent?.children.push(ns);
    } else {
      ns.parentMissing = "none";
    }
    ns.owner = ns.type === "user" ? parent : raw.owner === undefined ? undefined : host.namespaces.get(raw.owner);
    if (!ns.owner) ns.ownerMissing = ns.type === "user" ? ns.parentMissing : said("owner");
    if (ns.type !== "user") ns.owner?.owned.push(ns);
  }
  cutCircles(host.namespaces.values());
  for (const ns of host.namespaces.values()) {
    ns.children.sort((a, b) => a.id - b.id);
    ns.owned.sort((a, b) => TYPES.indexOf(a.type) - TYPES.indexOf(b.type) || a.id - b.id);
  }
}

interface InTree<T> {
  parent: T | undefined;
  children: T[];
}

/** Cuts circles of parents, which only a dump can claim. */
function cutCircles<T extends InTree<T>>(all: Iterable<T>): void {
  const done = new Set<T>();
  for (const start of all) {
    const path = new Set<T>();
    let at: T | undefined = start;
    while (at && !done.has(at) && !path.has(at)) {
      path.add(at);
      at = at.parent;
    }
    if (at?.parent && path.has(at)) {
      const { parent } = at;
      parent.children.splice(parent.children.indexOf(at), 1);
      at.parent = undefined;
    }
    for (const one of path) done.add(one);
  }
}

function netnsName(ns: Ns, mntns: number | undefined): string | undefined {
  const named = (path: string | undefined): string | undefined => /^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(path ?? "")?.[1];
  for (const holder of ns.holders) {
    if (holder.kind === "bind-mount" && (mntns === undefined || holder.mntns === mntns)) {
      const name = named(holder.path);
      if (name) return name;
    }
  }
  return ns.reference.length === 1 ? named(ns.reference[0]) : undefined;
}

function addProcesses(host: Host, dump: wire.LxknsDump, snapshot: wire.LxknsDump["discovery-options"]["snapshot"] | undefined): void {
  for (const [pid, raw] of entries(dump.processes)) {
    const common = taskOf(raw);
    const first = raw.tasks?.[0];
    const process: Proc = {
      ...common,
      affinity: common.affinity ?? (first?.affinity as Range[] | undefined),
      tid: pid,
      process: undefined as unknown as Proc,
      pid,
      ppid: raw.ppid,
      parent: undefined,
      children: [],
      tasks: [],
      threads: raw.threads ?? raw.tasks?.length ?? 1,
      cmdline: raw["cmdline-unknown"] ? undefined : (raw["cmdline-escaped"] ?? raw.cmdline ?? []).map(clean),
      uids: or(raw.uids),
      nspids: or(raw.nspids),
      capabilities: or(raw.capabilities),
      seccomp: or(raw.seccomp),
      noNewPrivs: or(raw["no-new-privs"]),
      cgroups: or(raw.cgroups),
      forChildren: or(raw["for-children"]),
      container: undefined,
      unit: undefined,
    };
    process.process = process;
    for (const task of raw.tasks ?? []) {
      if (task.tid === pid) {
        process.tasks.push(process);
        host.tasks.set(pid, process);
        continue;
      }
      const made: Task = { ...taskOf(task), tid: task.tid, process };
      process.tasks.push(made);
      host.tasks.set(task.tid, made);
    }
    host.processes.set(pid, process);
  }
  for (const process of host.processes.values()) {
    process.parent = process.ppid === process.pid ? undefined : host.processes.get(process.ppid);
    process.parent?.children.push(process);
  }
  cutCircles(host.processes.values());
  for (const process of host.processes.values()) {
    for (const type of TYPES) {
      const ns = process.namespaces[type];
      // One that has ended is in none.
      if (ns === undefined) host.unread[type] += Number(!/^[ZX]/.test(process.state ?? ""));
      else host.namespaces.get(ns)?.members.push(process);
    }
  }
  for (const pids of snapshot?.pidmap ?? []) {
    const outermost = pids[pids.length - 1];
    const process = outermost && host.processes.get(outermost.pid);
    if (process && !process.nspids) process.nspids = pids.map((one) => one.pid).reverse();
  }
  for (const [id, raw] of entries(dump.namespaces)) {
    const ns = host.namespaces.get(id)!;
    const leaders = raw.leaders ?? (raw.ealdorman === undefined ? [] : [raw.ealdorman]);
    for (const pid of leaders) {
      const leader = host.processes.get(pid);
      if (leader) ns.leaders.push(leader);
    }
    for (const tid of raw["loose-threads"] ?? []) {
      const task = host.tasks.get(tid);
      if (task) ns.loose.push(task);
    }
  }
}

function taskOf(raw: wire.Task | wire.Process): Omit<Task, "tid" | "process"> {
  const legacy = (raw as unknown as { cgroup?: string }).cgroup;
  const named = raw.policy !== undefined || raw.priority !== undefined || raw.nice !== undefined;
  return {
    name: clean(raw["name-escaped"] ?? raw.name ?? ""),
    startTicks: raw.starttime,
    namespaces: raw.namespaces ?? {},
    state: or(raw.state),
    affinity: or(raw.affinity) as Range[] | undefined,
    scheduling:
      raw.scheduling ??
      (named ? { policy: raw.policy ?? 0, priority: raw.priority ?? 0, nice: raw.nice ?? 0 } : undefined),
    freezer: or(raw.freezer),
    cgroup: clean(raw.cpucgroup || legacy || "") || undefined,
  };
}

function addContainers(host: Host, dump: wire.LxknsDump, info: wire.ContainersInfo | undefined): void {
  const engines = new Map<number, Engine>();
  for (const [key, raw] of entries(dump["container-engines"])) {
    engines.set(key, {
      key,
      type: clean(raw.type),
      id: clean(raw.id ?? ""),
      version: clean(raw.version ?? ""),
      api: clean(raw.api ?? ""),
      pid: raw.pid,
      unseen: raw.unseen ?? false,
      containers: [],
    });
  }
  const groups = new Map<number, Group>();
  for (const [key, raw] of entries(dump["container-groups"])) {
    groups.set(key, { key, name: clean(raw.name), type: clean(raw.type), flavor: clean(raw.flavor ?? raw.type), containers: [] });
  }
  const raws = [...Object.values(dump.containers ?? {}), ...(info?.others ?? [])];
  const inside = new Map<Container, number>();
  const byIndex = new Map<number, Container>();
  const keys = new Set<string>();
  for (const [position, raw] of raws.entries()) {
    const pod = raw.pod;
    const container: Container = {
      key: keys.has(raw.id) ? `${raw.id}~${raw.index ?? position}` : raw.id,
      index: raw.index ?? position,
      id: clean(raw.id),
      name: clean(raw.name),
      type: clean(raw.type),
      flavor: clean(raw.flavor ?? raw.type),
      process: raw.pid ? host.processes.get(raw.pid) : undefined,
      members: [],
      paused: raw.paused,
      state: or(raw.state),
      image: textOf(raw.image),
      runtime: textOf(raw.runtime),
      created: or(raw.created),
      health: or(raw.health),
      role: or(raw.role),
      cgroup: textOf(raw.cgroup),
      networkPath: textOf(raw["network-path"]),
      limits: raw["cgroup-limits"] ?? undefined,
      pod: pod && [textOf(pod.namespace), textOf(pod.name)].filter((part) => part !== undefined).join("/"),
      labels: pairs(raw.labels),
      annotations: pairs(raw.annotations),
      confidence: or(raw.confidence),
      evidence: (raw.evidence ?? []).map((e) => ({ kind: e.kind, at: textOf(e.at) ?? "", confidence: e.confidence, pid: e.pid })),
      disagreements: (raw.disagreements ?? []).map((d) => ({ about: d.about, values: d.values.map((v) => textOf(v.value) ?? "") })),
      engine: engines.get(raw.engine),
      groups: (raw.groups ?? []).flatMap((key) => groups.get(key) ?? []),
      inside: undefined,
      namespaces: {},
    };
    container.namespaces = container.process?.namespaces ?? {};
    keys.add(container.key);
    container.engine?.containers.push(container);
    for (const group of container.groups) group.containers.push(container);
    if (raw.inside !== undefined) inside.set(container, raw.inside);
    byIndex.set(container.index, container);
    host.containers.push(container);
  }
  for (const [container, index] of inside) container.inside = byIndex.get(index);
  host.containers.sort((a, b) => collate(a.name, b.name) || a.index - b.index);
  host.engines = [...engines.values()];
  host.groups = [...groups.values()].sort((a, b) => collate(a.name, b.name));

  if (info) {
    for (const [index, pids] of entries(info.members)) {
      for (const pid of pids) {
        const process = host.processes.get(pid);
        if (process) process.container = byIndex.get(index);
      }
    }
    for (const unit of info.units) {
      const made: Unit = { kind: unit.kind, name: textOf(unit.name) ?? "", ofUser: unit["of-user"] };
      for (const pid of unit.pids) {
        const process = host.processes.get(pid);
        if (process) process.unit = made;
      }
    }
  } else {
    membersByDescent(host);
  }
  for (const process of host.processes.values()) process.container?.members.push(process);
  for (const ns of host.namespaces.values()) ns.containers = containersIn(ns);
  for (const [id, index] of entries(info?.namespaces)) {
    const [ns, container] = [host.namespaces.get(id), byIndex.get(index)];
    if (ns && container) ns.containers = [container, ...ns.containers.filter((one) => one !== container)];
  }
}

function pairs(object: { [k: string]: string } | undefined): [string, string][] {
  return Object.entries(object ?? {})
    .map(([key, value]): [string, string] => [clean(key), clean(value)])
    .sort(([a], [b]) => collate(a, b));
}

/** Of dumps that do not say which processes a container has: its first process and the descendants of that. */
function membersByDescent(host: Host): void {
  const first = new Map<Proc, Container>();
  for (const container of host.containers) if (container.process) first.set(container.process, container);
  const walk: [Proc, Container | undefined][] = [];
  for (const process of host.processes.values()) if (!process.parent) walk.push([process, undefined]);
  for (let next = walk.pop(); next; next = walk.pop()) {
    const [process, above] = next;
    process.container = first.get(process) ?? above;
    for (const child of process.children) walk.push([child, process.container]);
  }
}

function containersIn(ns: Ns): Container[] {
  const found = new Set<Container>();
  for (const leader of ns.leaders) if (leader.container) found.add(leader.container);
  for (const member of ns.members) if (member.container) found.add(member.container);
  return [...found];
}

/** The container that a namespace belongs to: that of the most senior process in it. Initial ones belong to none. */
export function containerOf(ns: Ns): Container | undefined {
  if (ns.initial) return undefined;
  const senior = ns.leaders[0];
  if (senior) return senior.container;
  return ns.containers[0];
}

/** Whether processes of several containers, or of a container and of none, are in it. */
export function isShared(ns: Ns): boolean {
  if (ns.containers.length === 0) return false;
  return ns.containers.length > 1 || ns.members.some((member) => member.container === undefined);
}

/** Namespaces with neither a process nor a task. */
export const isOrphan = (ns: Ns): boolean => ns.members.length === 0 && ns.loose.length === 0;

/** How `lxkns` calls a namespace. */
export const nsName = (ns: { type: string; id: number }): string => `${ns.type}:[${ns.id}]`;

export function userLabel(host: Host, uid: number): string {
  const name = host.userNames.get(uid);
  return name ? `${clean(name)} (${uid})` : S.uid(uid);
}

export const commandLine = (process: Proc): string | undefined =>
  process.cmdline && process.cmdline.length > 0 ? process.cmdline.join(" ") : undefined;
