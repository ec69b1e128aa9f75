// Mounts as a tree of paths, and the peer groups that mounts propagate in.

import type { Mount } from "./dump-types";
import type { Host } from "./host";
import { collate, unescapePath } from "./text";

export interface PathNode {
  /** The whole path, readable. */
  path: string;
  /** What of the path is below its parent. */
  tail: string;
  /** What is mounted here, the topmost last. */
  mounts: Mount[];
  children: PathNode[];
}

export interface MountTree {
  root: PathNode | undefined;
  /** Mounts that no path reaches. */
  unreachable: Mount[];
  count: number;
}

export const mountPath = (mount: Mount): string | undefined =>
  mount.mountpoint === undefined ? undefined : unescapePath(mount.mountpoint);

const trees = new WeakMap<Host, Map<number, MountTree>>();

/** The mounts of a mount namespace by path; `undefined` where they are not known. */
export function mountTree(host: Host, mntns: number): MountTree | undefined {
  const known = trees.get(host) ?? new Map<number, MountTree>();
  trees.set(host, known);
  let tree = known.get(mntns);
  const mounts = host.mounts.get(mntns);
  if (!tree && mounts) {
    tree = treeOf(mounts);
    known.set(mntns, tree);
  }
  return tree;
}

function treeOf(mounts: readonly Mount[]): MountTree {
  const byPath = new Map<string, PathNode>();
  const unreachable: Mount[] = [];
  for (const mount of mounts) {
    const path = mountPath(mount);
    if (path === undefined) {
      unreachable.push(mount);
      continue;
    }
    const node = byPath.get(path);
    if (node) node.mounts.push(mount);
    else byPath.set(path, { path, tail: path, mounts: [mount], children: [] });
  }
  let root = byPath.get("/");
  if (!root && byPath.size > 0) {
    root = { path: "/", tail: "/", mounts: [], children: [] };
    byPath.set("/", root);
  }
  for (const node of byPath.values()) {
    if (node === root) continue;
    let above = node.path;
    do {
      above = above.slice(0, Math.max(above.lastIndexOf("/"), 0)) || "/";
    } while (!byPath.has(above));
    const parent = byPath.get(above)!;
    node.tail = above === "/" ? node.path.slice(1) : node.path.slice(above.length + 1);
    parent.children.push(node);
  }
  for (const node of byPath.values()) node.children.sort((a, b) => collate(a.tail, b.tail));
  return { root, unreachable, count: mounts.length };
}

export interface MountRef {
  mntns: number;
  mount: Mount;
}

export interface PeerGroup {
  peers: MountRef[];
  receivers: MountRef[];
}

const groups = new WeakMap<Host, Map<string, PeerGroup>>();

/** The peer groups of all mount namespaces by number. */
export function peerGroups(host: Host): Map<string, PeerGroup> {
  let all = groups.get(host);
  if (all) return all;
  all = new Map();
  const group = (id: string): PeerGroup => {
    let one = all!.get(id);
    if (!one) all!.set(id, (one = { peers: [], receivers: [] }));
    return one;
  };
  for (const [mntns, mounts] of host.mounts) {
    for (const mount of mounts) {
      const { shared, master } = mount.tags;
      if (shared) group(shared).peers.push({ mntns, mount });
      if (master) group(master).receivers.push({ mntns, mount });
    }
  }
  groups.set(host, all);
  return all;
}

/** How many mounts of a mount namespace no path leads to. */
export const hiddenCount = (host: Host, mntns: number): number =>
  host.mounts.get(mntns)?.reduce((sum, mount) => sum + Number(mount.hidden), 0) ?? 0;

/** The propagation of a mount, as `findmnt` calls it. */
export function propagation(mount: Mount): string {
  const { shared, master, propagate_from: from, unbindable } = mount.tags;
  const parts = [];
  if (shared) parts.push(`shared:${shared}`);
  if (master) parts.push(`master:${master}`);
  if (from) parts.push(`propagate_from:${from}`);
  if (unbindable !== undefined) parts.push("unbindable");
  return parts.join(" ") || "private";
}
