// What differs between two snapshots of a host.

import { hrefOf } from "./address";
import { nsName, TYPES, type Container, type Host, type Ns, type Proc } from "./host";
import { mountPath } from "./mounts";
import { S } from "../strings";
import { rangesText } from "./text";

/**
 * `unseen` and `seen`: not all could be read, so it may have been there, or may be there still. `passed`: it came and went
 * between two scans.
 */
export type ChangeKind = "appeared" | "went" | "changed" | "unseen" | "seen" | "passed";

/** Whether the object of a change is there no more. */
export const isOver = (change: ChangeKind): boolean => change === "went" || change === "unseen" || change === "passed";

export interface Change {
  change: ChangeKind;
  kind: "namespace" | "process" | "container" | "mount";
  /** The same object in any snapshot. */
  key: string;
  label: string;
  /** What changed, one a line. */
  details: string[];
  href: string;
}

export interface Difference {
  changes: Change[];
  /** Both are of the same boot of the same host; otherwise PIDs and inode numbers mean different things. */
  sameBoot: boolean | undefined;
}

export const keyOf = {
  ns: (ns: Ns): string => `ns/${ns.id}`,
  process: (process: Proc): string => `process/${process.pid}`,
  container: (container: Container): string => `container/${container.key}`,
  mount: (mntns: number, id: number): string => `mounts/${mntns}/${id}`,
};

export function difference(old: Host, now: Host): Difference {
  const changes: Change[] = [];
  namespaces(old, now, changes);
  containers(old, now, changes);
  processes(old, now, changes);
  mounts(old, now, changes);
  const sameBoot = old.bootId && now.bootId ? old.bootId === now.bootId : undefined;
  return { changes, sameBoot };
}

function namespaces(old: Host, now: Host, changes: Change[]): void {
  const all = [...new Set([...old.namespaces.keys(), ...now.namespaces.keys()])];
  const order = (id: number): number => TYPES.indexOf((now.namespaces.get(id) ?? old.namespaces.get(id)!).type);
  for (const id of all.sort((a, b) => order(a) - order(b) || a - b)) {
    const [before, after] = [old.namespaces.get(id), now.namespaces.get(id)];
    const same = before && after && before.type === after.type && (before.uniqueId === undefined || after.uniqueId === undefined || before.uniqueId === after.uniqueId);
    const push = (change: ChangeKind, ns: Ns, details: string[]): void => {
      changes.push({ change, kind: "namespace", key: keyOf.ns(ns), label: nsName(ns), details, href: hrefOf({ kind: "ns", id }) });
    };
    if (same) {
      const details = nsChanges(before, after);
      if (details.length > 0) push("changed", after, details);
      continue;
    }
    // The kernel's unique IDs prove that a number was used again.
    if (before) push(!after && !now.holdersSeen ? "unseen" : "went", before, heldBy(before));
    if (after) push(!before && !old.holdersSeen ? "seen" : "appeared", after, heldBy(after));
  }
}

function heldBy(ns: Ns): string[] {
  const leader = ns.leaders[0];
  const container = ns.containers[0];
  return [container && S.diff.container(container.name), leader && `${leader.name} ${leader.pid}`, ns.netnsName && S.diff.netns(ns.netnsName)].filter((one) => one !== undefined && one !== "") as string[];
}

function nsChanges(before: Ns, after: Ns): string[] {
  const details: string[] = [];
  const differs = (what: string, a: unknown, b: unknown): void => {
    if (a !== undefined && b !== undefined && a !== b) details.push(`${what}: ${String(a)} → ${String(b)}`);
  };
  differs(S.diff.owner, before.owner?.id, after.owner?.id);
  differs(S.diff.parent, before.parent?.id, after.parent?.id);
  differs(S.diff.processes, before.members.length, after.members.length);
  const [was, is] = [before.leaders[0], after.leaders[0]];
  if (was?.pid !== is?.pid || was?.startTicks !== is?.startTicks) {
    const leader = (process: Proc | undefined): string => (process ? `${process.name} ${process.pid}` : S.diff.noneSeen);
    details.push(`${S.diff.leader}: ${leader(was)} → ${leader(is)}`);
  }
  const counted = (ns: Ns): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const holder of ns.holders) {
      if (holder.kind === "process" || (holder.kind === "socket" && holder.count !== undefined)) continue;
      counts.set(holder.kind, (counts.get(holder.kind) ?? 0) + 1);
    }
    return counts;
  };
  const [a, b] = [counted(before), counted(after)];
  for (const kind of new Set([...a.keys(), ...b.keys()])) differs(S.diff.holders(kind), a.get(kind) ?? 0, b.get(kind) ?? 0);
  return details;
}

function processes(old: Host, now: Host, changes: Change[]): void {
  const push = (change: ChangeKind, process: Proc, details: string[]): void => {
    const label = `${process.name} ${process.pid}`;
    changes.push({ change, kind: "process", key: keyOf.process(process), label, details, href: hrefOf({ kind: "process", pid: process.pid }) });
  };
  for (const [pid, before] of old.processes) {
    const after = now.processes.get(pid);
    if (after && after.startTicks === before.startTicks) {
      const details = processChanges(before, after);
      if (details.length > 0) push("changed", after, details);
    } else {
      push(!after && now.hidesProcesses ? "unseen" : "went", before, []);
    }
  }
  for (const [pid, after] of now.processes) {
    const before = old.processes.get(pid);
    if (before?.startTicks !== after.startTicks) push(!before && old.hidesProcesses ? "seen" : "appeared", after, []);
  }
}

function processChanges(before: Proc, after: Proc): string[] {
  const details: string[] = [];
  const differs = (what: string, a: unknown, b: unknown): void => {
    if (a !== undefined && b !== undefined && a !== b) details.push(`${what}: ${String(a)} → ${String(b)}`);
  };
  for (const type of TYPES) differs(type, before.namespaces[type], after.namespaces[type]);
  differs(S.diff.name, before.name, after.name);
  differs(S.diff.parent, before.ppid, after.ppid);
  differs(S.diff.uid, before.uids?.effective, after.uids?.effective);
  differs(S.diff.capabilities, before.capabilities?.effective, after.capabilities?.effective);
  differs(S.diff.cgroup, before.cgroup, after.cgroup);
  differs(S.diff.frozen, before.freezer?.effective, after.freezer?.effective);
  differs(S.diff.cpus, before.affinity && rangesText(before.affinity), after.affinity && rangesText(after.affinity));
  return details;
}

function containers(old: Host, now: Host, changes: Change[]): void {
  const by = (host: Host): Map<string, Container> => new Map(host.containers.map((one) => [`${one.type}/${one.key}`, one]));
  const [before, after] = [by(old), by(now)];
  const push = (change: ChangeKind, one: Container, details: string[]): void => {
    changes.push({ change, kind: "container", key: keyOf.container(one), label: one.name, details, href: hrefOf({ kind: "container", key: one.key }) });
  };
  for (const [key, one] of before) {
    const other = after.get(key);
    if (!other) push(now.containersSearched ? "went" : "unseen", one, []);
    else {
      const details: string[] = [];
      for (const what of ["state", "health", "image", "name"] as const) {
        if (one[what] !== undefined && other[what] !== undefined && one[what] !== other[what]) details.push(`${S.diff[what]}: ${one[what]} → ${other[what]}`);
      }
      if (one.process?.pid !== other.process?.pid) details.push(`${S.diff.firstProcess}: ${one.process?.pid ?? S.none} → ${other.process?.pid ?? S.none}`);
      if (details.length > 0) push("changed", other, details);
    }
  }
  for (const [key, one] of after) if (!before.has(key)) push(old.containersSearched ? "appeared" : "seen", one, []);
}

function mounts(old: Host, now: Host, changes: Change[]): void {
  for (const [mntns, after] of now.mounts) {
    const before = old.mounts.get(mntns);
    // A mount namespace that came or went is a change of its own.
    if (!before) continue;
    const ids = (list: typeof after) => new Map(list.map((mount) => [mount.mountid, mount]));
    const [was, is] = [ids(before), ids(after)];
    const push = (change: ChangeKind, mount: (typeof after)[number], details: string[]): void => {
      const label = `${mountPath(mount) ?? S.mounts.noPath} (${mount.fstype})`;
      changes.push({ change, kind: "mount", key: keyOf.mount(mntns, mount.mountid), label, details: [`${S.in} mnt:[${mntns}]`, ...details], href: hrefOf({ kind: "mount", mntns, id: mount.mountid }) });
    };
    for (const [id, mount] of was) {
      const other = is.get(id);
      if (!other) push("went", mount, []);
      else if (other.mountpoint !== mount.mountpoint || other.hidden !== mount.hidden || other.mountoptions.join() !== mount.mountoptions.join()) {
        const details = [];
        if (other.mountpoint !== mount.mountpoint) details.push(`${S.diff.path}: ${mountPath(mount) ?? S.none} → ${mountPath(other) ?? S.none}`);
        if (other.hidden !== mount.hidden) details.push(other.hidden ? S.diff.nowHidden : S.diff.notHidden);
        if (other.mountoptions.join() !== mount.mountoptions.join()) details.push(`${S.diff.options}: ${mount.mountoptions.join(",")} → ${other.mountoptions.join(",")}`);
        push("changed", other, details);
      }
    }
    for (const [id, mount] of is) if (!was.has(id)) push("appeared", mount, []);
  }
}
