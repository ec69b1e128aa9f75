/* Generated from docs/schema.json by `npm run types`. */

/**
 * A limit on an amount.
 */
export type CgroupLimit = "memory-bytes" | "memory-high-bytes" | "swap-bytes" | "cpu-usec-per-second" | "tasks-max";
/**
 * A type of namespaces.
 */
export type TypeName = "mnt" | "cgroup" | "uts" | "ipc" | "user" | "pid" | "net" | "time";
/**
 * Why there is no namespace at the other end.
 */
export type RelationState = "not-asked" | "none" | "not-visible";

/**
 * The whole. Its keys are all that there may be: a further one makes the Go reader drop everything.
 */
export interface LxknsDump {
  /**
   * The engines that run them, by numbers.
   */
  "container-engines": {
    [k: string]: Engine;
  };
  /**
   * Their groups, by numbers.
   */
  "container-groups": {
    [k: string]: Group;
  };
  /**
   * The containers, by the PIDs of their first processes.
   */
  containers: {
    [k: string]: Container;
  };
  /**
   * The CPUs that are online, as inclusive ranges; empty where not known.
   */
  "cpus-online": [unknown, unknown][];
  /**
   * What was asked for, and what belongs to the whole.
   */
  "discovery-options": {
    /**
     * Whether bind mounts were.
     */
    "from-bindmounts": boolean;
    /**
     * Whether open descriptors were.
     */
    "from-fds": boolean;
    /**
     * Whether the namespaces of processes were read.
     */
    "from-procs": boolean;
    /**
     * Whether those of tasks were.
     */
    "from-tasks": boolean;
    labels: Empty1;
    /**
     * The types of namespaces that were looked for.
     */
    "scanned-namespace-types": TypeName[];
    /**
     * What is this program's own and belongs to the whole.
     */
    snapshot: {
      /**
       * An ID that is new at each boot.
       */
      "boot-id"?: string;
      containers?: ContainersInfo;
      /**
       * The version of this form.
       */
      format: number;
      /**
       * What could not be read.
       */
      gaps?: Gap[];
      /**
       * The host name.
       */
      hostname: string;
      /**
       * The kernel's release.
       */
      kernel: string;
      /**
       * The observer's mount namespace.
       */
      mntns?: number;
      /**
       * Mounts that have no place in the tree by path, by mount namespace: no path reaches them, or its root is not known.
       */
      mounts?: {
        /**
         * This interface was referenced by `undefined`'s JSON-Schema definition
         * via the `patternProperty` "^\d+$".
         */
        [k: string]: Mount[];
      };
      "not-kernel"?: NotKernel;
      /**
       * The device number of nsfs.
       */
      "nsfs-dev"?: number;
      observer?: Observer;
      /**
       * What else was asked for.
       */
      options: {
        /**
         * Whether control groups were read.
         */
        cgroups: boolean;
        /**
         * Of which processes command lines were read.
         */
        "command-lines": "none" | "named" | "all";
        /**
         * Whether freezer states were.
         */
        freezer: boolean;
        /**
         * Whether the mounts of mount namespaces were listed.
         */
        mounts: boolean;
        /**
         * Whether ID maps and clock offsets were read.
         */
        "namespace-details": boolean;
        /**
         * Where processes were to be read from; absent where discovery chose.
         */
        reader?: "proc" | "kernel";
        /**
         * Whether references were counted.
         */
        references: boolean;
        /**
         * Whether CPU affinity and scheduling were.
         */
        scheduling: boolean;
        /**
         * Whether labels of security modules were read too.
         */
        "security-labels": boolean;
        /**
         * Of which processes `status` was read.
         */
        status: "none" | "named" | "all";
        /**
         * Whether suspects were looked for.
         */
        suspects: boolean;
        /**
         * Whether these were read of each task too.
         */
        "task-details": boolean;
        /**
         * Whether the program that looked was left out.
         */
        "without-self": boolean;
      };
      /**
       * The PIDs of processes, from their own PID namespaces upwards.
       */
      pidmap: NamespacedPid[][];
      /**
       * Where namespaces were looked for.
       */
      places: string[];
      /**
       * Where processes, tasks and their open files were read from.
       */
      reader?: "proc" | "kernel";
      /**
       * What holds a namespace without the kernel saying which.
       */
      suspects: Suspect[];
      /**
       * When discovery began: RFC 3339, UTC.
       */
      "taken-at"?: string;
      /**
       * How long it took, in nanoseconds.
       */
      "took-nsec"?: number;
      /**
       * The names of users who have created no user namespace, by UID.
       */
      "user-names"?: {
        /**
         * This interface was referenced by `undefined`'s JSON-Schema definition
         * via the `patternProperty` "^\d+$".
         */
        [k: string]: string;
      };
    };
    /**
     * Whether CPU affinity and scheduling of processes were.
     */
    "with-affinity-scheduling": boolean;
    /**
     * Whether freezer states were.
     */
    "with-freezer": boolean;
    /**
     * Whether parents were asked for.
     */
    "with-hierarchy": boolean;
    /**
     * Whether mounts were.
     */
    "with-mounts": boolean;
    /**
     * Whether owners were.
     */
    "with-ownership": boolean;
    /**
     * Whether sockets were.
     */
    "with-socket-processes": boolean;
    /**
     * Whether those of tasks were.
     */
    "with-task-affinity-scheduling": boolean;
  };
  /**
   * The mounts of mount namespaces, by inode number and path.
   */
  mounts: {
    /**
     * This interface was referenced by `undefined`'s JSON-Schema definition
     * via the `patternProperty` "^\d+$".
     */
    [k: string]: {
      [k: string]: MountPath;
    };
  };
  /**
   * The namespaces, by inode number.
   */
  namespaces: {
    [k: string]: Namespace;
  };
  /**
   * The processes, by PID.
   */
  processes: {
    [k: string]: Process;
  };
}
/**
 * A container engine.
 *
 * This interface was referenced by `undefined`'s JSON-Schema definition
 * via the `patternProperty` "^\d+$".
 */
export interface Engine {
  /**
   * Where it listens; empty where not known.
   */
  api: string;
  /**
   * Its containers: keys of `containers`.
   */
  containers: number[];
  /**
   * The keys above that are not UTF-8, octal-escaped.
   */
  escaped?: {
    [k: string]: string;
  };
  /**
   * Its ID; empty where not known.
   */
  id: string;
  /**
   * The `index` of the container that it runs in.
   */
  inside?: number;
  labels: Empty;
  /**
   * Its process; 0 where it has none or none was found.
   */
  pid: number;
  /**
   * What it is, as a container's `type`.
   */
  type: string;
  /**
   * Present where no engine was seen: other readers want each container to have one.
   */
  unseen?: boolean;
  /**
   * Its version; empty where not known.
   */
  version: string;
}
/**
 * Labels: none yet.
 */
export interface Empty {}
/**
 * Containers that belong together.
 *
 * This interface was referenced by `undefined`'s JSON-Schema definition
 * via the `patternProperty` "^\d+$".
 */
export interface Group {
  /**
   * Its containers: keys of `containers`.
   */
  containers: number[];
  /**
   * The keys above that are not UTF-8, octal-escaped.
   */
  escaped?: {
    [k: string]: string;
  };
  /**
   * A more special kind.
   */
  flavor: string;
  /**
   * What kind of group it is.
   */
  kind?: "pod" | "compose-project" | "other";
  /**
   * Its labels.
   */
  labels: {
    [k: string]: string;
  };
  /**
   * The labels, octal-escaped; where one is not UTF-8.
   */
  "labels-escaped"?: {
    [k: string]: string;
  };
  /**
   * Its name.
   */
  name: string;
  /**
   * What holds it together: `io.kubernetes.pod`, `com.docker.compose.project`.
   */
  type: string;
}
/**
 * A container.
 *
 * This interface was referenced by `undefined`'s JSON-Schema definition
 * via the `patternProperty` "^\d+$".
 */
export interface Container {
  /**
   * Its annotations; absent where there are none.
   */
  annotations?: {
    [k: string]: string;
  };
  /**
   * The annotations, octal-escaped; where one is not UTF-8.
   */
  "annotations-escaped"?: {
    [k: string]: string;
  };
  /**
   * Its control group.
   */
  cgroup?:
    | string
    | {
        escaped: string;
      };
  "cgroup-limits"?: CgroupLimits;
  /**
   * How far it can be relied on: the best of its evidence.
   */
  confidence?: "claimed" | "likely" | "sure";
  /**
   * When it was made: RFC 3339, UTC.
   */
  created?: string;
  /**
   * Where sources disagree.
   */
  disagreements?: Disagreement[];
  /**
   * Its engine: a key of `container-engines`.
   */
  engine: number;
  /**
   * The engine's own division.
   */
  "engine-namespace"?:
    | string
    | {
        escaped: string;
      };
  /**
   * The keys above that are not UTF-8, octal-escaped.
   */
  escaped?: {
    [k: string]: string;
  };
  /**
   * What was read. The first made it known.
   */
  evidence?: Evidence[];
  /**
   * A more special kind; the type where there is none.
   */
  flavor: string;
  /**
   * Its groups: keys of `container-groups`.
   */
  groups: number[];
  /**
   * What its engine says of its health; absent where no engine was asked, or nothing checks it.
   */
  health?: "starting" | "healthy" | "unhealthy";
  /**
   * Its ID.
   */
  id: string;
  /**
   * The image.
   */
  image?:
    | string
    | {
        escaped: string;
      };
  /**
   * Its number, by which this program's own keys refer to it.
   */
  index: number;
  /**
   * The `index` of the container that its engine runs in.
   */
  inside?: number;
  /**
   * Its labels.
   */
  labels: {
    [k: string]: string;
  };
  /**
   * The labels, octal-escaped; where one is not UTF-8.
   */
  "labels-escaped"?: {
    [k: string]: string;
  };
  /**
   * Its name; its ID where no name is known.
   */
  name: string;
  /**
   * The path of the network namespace that was made for it.
   */
  "network-path"?:
    | string
    | {
        escaped: string;
      };
  /**
   * Whether it is frozen; false where not known.
   */
  paused: boolean;
  /**
   * Its first process; 0 where it has ended or is not known.
   */
  pid: number;
  pod?: Pod;
  /**
   * What it is for; absent where that is a program.
   */
  role?: "workload" | "sandbox";
  /**
   * The runtime that started it.
   */
  runtime?:
    | string
    | {
        escaped: string;
      };
  /**
   * Which evidence each of these keys comes from: its place in `evidence`. Without `name` here none is known.
   */
  "said-by"?: {
    [k: string]: number;
  };
  /**
   * What it is doing.
   */
  state?: "created" | "running" | "paused" | "exited";
  /**
   * What runs it: `docker.com`, `containerd.io`, `k8s.io/cri-api`, `podman.io`, `cri-o`, `lxc`, `machine`, `runc`,
   * `crun`, `unknown`.
   */
  type: string;
}
/**
 * What its control groups let it use; absent where that was not read.
 */
export interface CgroupLimits {
  /**
   * Time on all CPUs together, in microseconds per second: 500,000 is half a CPU; `cpu.max`, v1's `cpu.cfs_quota_us`.
   * Absent where unlimited or not known.
   */
  "cpu-usec-per-second"?: number;
  /**
   * The share of its control group beside its siblings where CPUs are short, 100 by default: `cpu.weight`. Absent where
   * not known, as of v1, or where siblings are not told apart.
   */
  "cpu-weight"?: number;
  /**
   * The CPUs that tasks can run on, as in `0-3,6`: `cpuset.cpus.effective`, v1's `cpuset.effective_cpus`. Absent where not
   * known.
   */
  cpus?: string;
  /**
   * Memory in bytes, above which tasks are killed: `memory.max`, v1's `memory.limit_in_bytes`. Absent where
   * unlimited or not known.
   */
  "memory-bytes"?: number;
  /**
   * Memory in bytes, above which tasks are slowed down: `memory.high`. Absent where unlimited or not known, as of v1.
   */
  "memory-high-bytes"?: number;
  /**
   * Swap space in bytes: `memory.swap.max`. Absent where unlimited or not known, as of v1, which has no limit of
   * its own for it.
   */
  "swap-bytes"?: number;
  /**
   * How many tasks there can be: `pids.max`. Absent where unlimited or not known.
   */
  "tasks-max"?: number;
  /**
   * What is absent above because nothing limits it.
   */
  unlimited: CgroupLimit[];
}
/**
 * Two sources that say different things.
 */
export interface Disagreement {
  /**
   * About which key.
   */
  about: string;
  /**
   * What was said; the first was taken.
   */
  values: SaidText[];
}
/**
 * A value, and who said so.
 */
export interface SaidText {
  /**
   * The place in `evidence`.
   */
  by: number;
  /**
   * What was said.
   */
  value:
    | string
    | {
        escaped: string;
      };
}
/**
 * Something that was read and says something of a container.
 */
export interface Evidence {
  /**
   * Where.
   */
  at:
    | string
    | {
        escaped: string;
      };
  /**
   * How far it can be relied on.
   */
  confidence: "claimed" | "likely" | "sure";
  /**
   * What it is.
   */
  kind: "cgroup" | "monitor" | "runtime-state" | "bundle" | "engine-file" | "cni-result" | "mount" | "engine" | "dump";
  /**
   * The process that it was read from or through.
   */
  pid?: number;
}
/**
 * Its pod.
 */
export interface Pod {
  /**
   * Its name.
   */
  name:
    | string
    | {
        escaped: string;
      };
  /**
   * The Kubernetes namespace; absent where there is none.
   */
  namespace?:
    | string
    | {
        escaped: string;
      };
  /**
   * Its UID or ID; absent where not known.
   */
  uid?:
    | string
    | {
        escaped: string;
      };
}
/**
 * Labels: none yet.
 */
export interface Empty1 {}
/**
 * What else is known of containers; absent where they were not looked for.
 */
export interface ContainersInfo {
  /**
   * The processes of containers, by `index`: of those in several, the innermost container.
   */
  members: {
    /**
     * This interface was referenced by `undefined`'s JSON-Schema definition
     * via the `patternProperty` "^\d+$".
     */
    [k: string]: number[];
  };
  /**
   * The namespaces that are a container's without a process that says so: its `index` by inode number.
   */
  namespaces: {
    /**
     * This interface was referenced by `undefined`'s JSON-Schema definition
     * via the `patternProperty` "^\d+$".
     */
    [k: string]: number;
  };
  /**
   * Containers without a first process in the dump.
   */
  others: Container[];
  /**
   * What processes belong to that are in no container.
   */
  units: Unit[];
}
/**
 * A systemd unit, snap or sandbox.
 */
export interface Unit {
  /**
   * What it is.
   */
  kind: "service" | "scope" | "slice" | "snap" | "flatpak" | "sandbox";
  /**
   * Its name.
   */
  name:
    | string
    | {
        escaped: string;
      };
  /**
   * Whose it is, where it is one of a user's own service manager.
   */
  "of-user"?: number;
  /**
   * Its processes.
   */
  pids: number[];
}
/**
 * Something that could not be read, with what fits of the keys that name things.
 */
export interface Gap {
  /**
   * Why it failed.
   */
  cause:
    | "denied"
    | "unsupported"
    | "timed-out"
    | "malformed"
    | "cut"
    | "other-pid-namespace"
    | "hidden"
    | "limit"
    | "not-tried"
    | "changed"
    | "partial"
    | "no-path"
    | "no-helper"
    | "other";
  /**
   * The kernel's error number, where it gave one.
   */
  errno?: number;
  /**
   * A descriptor of it.
   */
  fd?: number;
  /**
   * A mount namespace.
   */
  mntns?: number;
  /**
   * A mount in it.
   */
  mountid?: number;
  /**
   * A namespace.
   */
  nsid?: number;
  /**
   * What it tried that with, in words.
   */
  operand?: string;
  /**
   * What it tried: a call by its name, or `list`, `read`, `readlink`, `parse`, `open`, `stat`, `find-mount`, `enter`,
   * `read-inside`, `open-inside`, `start-thread`, `other`.
   */
  operation: string;
  /**
   * A path, octal-escaped.
   */
  path?: string;
  /**
   * A process.
   */
  pid?: number;
  /**
   * Where discovery was looking.
   */
  place: string;
  /**
   * A task of it.
   */
  tid?: number;
}
/**
 * A mount. Texts are octal-escaped as in mountinfo, where nothing else is said.
 */
export interface Mount {
  /**
   * The type of the file system, and a subtype after a dot.
   */
  fstype: string;
  /**
   * Whether no path leads to it.
   */
  hidden: boolean;
  /**
   * The major device number of its file system.
   */
  major: number;
  /**
   * The minor one.
   */
  minor: number;
  /**
   * Its ID.
   */
  mountid: number;
  /**
   * The options of the mount.
   */
  mountoptions: string[];
  /**
   * Where; absent where the root of the mount namespace does not reach it.
   */
  mountpoint?: string;
  /**
   * The ID of the mount that it is on.
   */
  parentid: number;
  /**
   * The mount point, not escaped, where it differs then.
   */
  path?: string;
  /**
   * Which part of the file system is mounted.
   */
  root: string;
  /**
   * The device or name of the file system, as given to mount; empty if not known.
   */
  source: string;
  /**
   * Present where the source is not known.
   */
  "source-unknown"?: boolean;
  /**
   * The options of the file system, as they are; empty where not known.
   */
  superoptions: string;
  /**
   * The options of the file system, escaped, where they are not UTF-8.
   */
  "superoptions-escaped"?: string;
  /**
   * Present where the options of the file system are not known.
   */
  "superoptions-unknown"?: boolean;
  /**
   * Its propagation: shared, master, propagate_from, unbindable.
   */
  tags: {
    [k: string]: string;
  };
}
/**
 * Why that was not the kernel reader; absent where it was.
 */
export interface NotKernel {
  gap?: Gap1;
  /**
   * `not-asked`, `few-processes`, or `refused`.
   */
  why: string;
}
/**
 * What failed, where it was refused.
 */
export interface Gap1 {
  /**
   * Why it failed.
   */
  cause:
    | "denied"
    | "unsupported"
    | "timed-out"
    | "malformed"
    | "cut"
    | "other-pid-namespace"
    | "hidden"
    | "limit"
    | "not-tried"
    | "changed"
    | "partial"
    | "no-path"
    | "no-helper"
    | "other";
  /**
   * The kernel's error number, where it gave one.
   */
  errno?: number;
  /**
   * A descriptor of it.
   */
  fd?: number;
  /**
   * A mount namespace.
   */
  mntns?: number;
  /**
   * A mount in it.
   */
  mountid?: number;
  /**
   * A namespace.
   */
  nsid?: number;
  /**
   * What it tried that with, in words.
   */
  operand?: string;
  /**
   * What it tried: a call by its name, or `list`, `read`, `readlink`, `parse`, `open`, `stat`, `find-mount`, `enter`,
   * `read-inside`, `open-inside`, `start-thread`, `other`.
   */
  operation: string;
  /**
   * A path, octal-escaped.
   */
  path?: string;
  /**
   * A process.
   */
  pid?: number;
  /**
   * Where discovery was looking.
   */
  place: string;
  /**
   * A task of it.
   */
  tid?: number;
}
/**
 * Who looked.
 */
export interface Observer {
  /**
   * The effective capabilities: 16 hexadecimal digits.
   */
  capabilities: string;
  /**
   * The PID namespace.
   */
  pidns?: number;
  /**
   * The PID namespace of the procfs that was read.
   */
  "procfs-pidns"?: number;
  /**
   * The effective UID.
   */
  uid: number;
  /**
   * The user namespace.
   */
  userns?: number;
}
/**
 * A PID, and the PID namespace in which it means something.
 */
export interface NamespacedPid {
  /**
   * The PID namespace.
   */
  nsid: number;
  /**
   * The PID.
   */
  pid: number;
}
/**
 * Something that holds a namespace without the kernel saying which.
 */
export interface Suspect {
  /**
   * How many descriptors or files.
   */
  count?: number;
  /**
   * The descriptor.
   */
  fd?: number;
  /**
   * The type of its file system, octal-escaped.
   */
  fstype?: string;
  /**
   * Its key.
   */
  key?: number;
  /**
   * What it is.
   */
  kind: "proc-file" | "in-flight" | "io-uring" | "mount" | "shared-memory";
  /**
   * The major device number of its file system.
   */
  major?: number;
  /**
   * The minor one.
   */
  minor?: number;
  /**
   * The mount namespace of a mount.
   */
  mntns?: number;
  /**
   * Its ID.
   */
  mountid?: number;
  /**
   * A path, octal-escaped.
   */
  path?: string;
  /**
   * The process that has it open.
   */
  pid?: number;
  /**
   * The ID of a shared memory segment.
   */
  shmid?: number;
  /**
   * The task whose table it is in.
   */
  tid?: number;
  /**
   * The type of namespace that it holds.
   */
  type?: "mnt" | "cgroup" | "uts" | "ipc" | "user" | "pid" | "net" | "time";
}
/**
 * What is mounted at a path of a mount namespace.
 */
export interface MountPath {
  /**
   * The mounts at this path, the topmost last.
   *
   * @minItems 1
   */
  mounts: [Mount, ...Mount[]];
  /**
   * The number of the nearest path above at which something is mounted; 0 for the root.
   */
  parentid: number;
  /**
   * A number of this path, unique within the mount namespace.
   */
  pathid: number;
}
/**
 * A namespace.
 *
 * This interface was referenced by `undefined`'s JSON-Schema definition
 * via the `patternProperty` "^\d+$".
 */
export interface Namespace {
  /**
   * Its children (user and PID namespaces).
   */
  children?: number[];
  /**
   * The most senior of these.
   */
  ealdorman?: number;
  /**
   * Its GID map.
   */
  "gid-map"?: [unknown, unknown, unknown][];
  /**
   * Everything that was found to keep it alive.
   */
  holders: Holder[];
  /**
   * Present where it is the one that the kernel started with.
   */
  initial?: boolean;
  /**
   * The topmost processes in it, the most senior first.
   */
  leaders?: number[];
  /**
   * The tasks that are in it although their process is not.
   */
  "loose-threads"?: number[];
  /**
   * Its ID in the observer's network namespace; -1 where it has none (network namespaces).
   */
  netnsid?: number;
  /**
   * Its inode number.
   */
  nsid: number;
  offsets?: Offsets;
  /**
   * The user namespace that owns it; not on user namespaces.
   */
  owner?: number;
  /**
   * Its parent (user and PID namespaces).
   */
  parent?: number;
  /**
   * The namespaces that it owns and that are not user namespaces (user namespaces).
   */
  possessions?: number[];
  /**
   * A chain of paths that leads to it, each taken inside the mount namespace that the one before names.
   */
  reference: string[];
  references?: References;
  relations?: Relations;
  /**
   * Its type.
   */
  type: "mnt" | "cgroup" | "uts" | "ipc" | "user" | "pid" | "net" | "time";
  /**
   * Its UID map: first ID inside, first ID outside, count.
   */
  "uid-map"?: [unknown, unknown, unknown][];
  /**
   * Its ID, which is not used again before the next boot.
   */
  "unique-id"?: number;
  /**
   * The user who created it (user namespaces).
   */
  "user-id"?: number;
  /**
   * That user's name (user namespaces); empty where not known.
   */
  "user-name"?: string;
}
/**
 * One thing that keeps a namespace alive, with what fits of the keys that lead there.
 */
export interface Holder {
  /**
   * How many sockets.
   */
  count?: number;
  /**
   * The network namespace in which a TUN/TAP device now is, where that is another one.
   */
  "device-nsid"?: number;
  /**
   * The descriptor.
   */
  fd?: number;
  /**
   * The type of its file system, octal-escaped.
   */
  fstype?: string;
  /**
   * The socket's inode number.
   */
  inode?: number;
  /**
   * What it is.
   */
  kind:
    | "process"
    | "task"
    | "for-children"
    | "fd"
    | "socket"
    | "tun"
    | "in-flight"
    | "bind-mount"
    | "mount"
    | "child"
    | "owned"
    | "kernel";
  /**
   * The mount namespace of a mount.
   */
  mntns?: number;
  /**
   * Its ID.
   */
  mountid?: number;
  /**
   * The child or the owned namespace.
   */
  nsid?: number;
  /**
   * Where it is mounted, octal-escaped; absent where the root of that mount namespace does not reach it.
   */
  path?: string;
  /**
   * The process.
   */
  pid?: number;
  /**
   * The task.
   */
  tid?: number;
  /**
   * What waits in a socket.
   */
  what?: "descriptor" | "socket" | "connection";
}
/**
 * Its clock offsets.
 */
export interface Offsets {
  /**
   * Added to `CLOCK_BOOTTIME`.
   *
   * @minItems 2
   * @maxItems 2
   */
  boottime: [unknown, unknown];
  /**
   * Added to `CLOCK_MONOTONIC`.
   *
   * @minItems 2
   * @maxItems 2
   */
  monotonic: [unknown, unknown];
}
/**
 * How many references to it the kernel counts; absent where that is not known.
 */
export interface References {
  /**
   * Whether all of them can be: something else holds the namespace where one is not.
   */
  exact: boolean;
  /**
   * How many of them are explained by what was found.
   */
  explained: number;
  /**
   * The kernel's count.
   */
  total: number;
}
/**
 * What `owner` and `parent` cannot say.
 */
export interface Relations {
  /**
   * Its owner.
   */
  owner?: number | RelationState;
  /**
   * Its parent.
   */
  parent?: number | RelationState;
}
/**
 * A process.
 *
 * This interface was referenced by `undefined`'s JSON-Schema definition
 * via the `patternProperty` "^\d+$".
 */
export interface Process {
  /**
   * The CPUs that it may run on, as inclusive ranges.
   */
  affinity?: [unknown, unknown][];
  capabilities?: Capabilities;
  /**
   * All its control groups; absent where not known.
   */
  cgroups?: CgroupMembership[];
  /**
   * Its command line.
   */
  cmdline: string[];
  /**
   * Its command line, octal-escaped; where it is not UTF-8.
   */
  "cmdline-escaped"?: string[];
  /**
   * Present where the command line is not known.
   */
  "cmdline-unknown"?: boolean;
  /**
   * Its control group for the CPU controller; empty where not known.
   */
  cpucgroup: string;
  "for-children"?: ForChildren;
  freezer?: Freezer;
  /**
   * Its control group for the freezer; empty where not known.
   */
  fridgecgroup: string;
  /**
   * Whether it is frozen; false where not known.
   */
  fridgefrozen: boolean;
  /**
   * The label that a security module gave it; empty where no module gives any, absent where not known.
   */
  "lsm-label"?: string;
  /**
   * The label, octal-escaped; where it is not UTF-8.
   */
  "lsm-label-escaped"?: string;
  /**
   * Its name.
   */
  name: string;
  /**
   * Its name, octal-escaped; where it is not UTF-8.
   */
  "name-escaped"?: string;
  /**
   * Its namespaces.
   */
  namespaces: {
    cgroup?: number;
    ipc?: number;
    mnt?: number;
    net?: number;
    pid?: number;
    time?: number;
    user?: number;
    uts?: number;
  };
  /**
   * Its nice value; absent where zero.
   */
  nice?: number;
  /**
   * Whether running a program gives it no more powers.
   */
  "no-new-privs"?: boolean;
  /**
   * Its PIDs, from the procfs's PID namespace down to its own.
   */
  nspids?: number[];
  /**
   * Its PID.
   */
  pid: number;
  /**
   * The kernel's number of its scheduling policy; absent where zero.
   */
  policy?: number;
  /**
   * Its parent; 0 where it has none that can be seen.
   */
  ppid: number;
  /**
   * Its real-time priority; absent where zero.
   */
  priority?: number;
  scheduling?: Scheduling;
  /**
   * Whether its system calls are filtered.
   */
  seccomp?: "none" | "strict" | "filter" | "dead";
  /**
   * When it started, in clock ticks since boot.
   */
  starttime: number;
  /**
   * What it was doing, as one letter.
   */
  state?: string;
  /**
   * Its tasks, the first one included.
   *
   * @minItems 1
   */
  tasks: [Task, ...Task[]];
  /**
   * How many tasks it has, where not all of them are in `tasks`.
   */
  threads?: number;
  uids?: Uids;
}
/**
 * Its capability sets.
 */
export interface Capabilities {
  /**
   * The ambient set.
   */
  ambient: string;
  /**
   * The bounding set.
   */
  bounding: string;
  /**
   * The effective set.
   */
  effective: string;
  /**
   * The inheritable set.
   */
  inheritable: string;
  /**
   * The permitted set.
   */
  permitted: string;
}
/**
 * The control group in one hierarchy.
 */
export interface CgroupMembership {
  /**
   * The controllers of a v1 hierarchy, separated by commas.
   */
  controllers: string;
  /**
   * The hierarchy: 0 for cgroup v2.
   */
  hierarchy: number;
  /**
   * The path below the hierarchy's root.
   */
  path: string;
  /**
   * The path, octal-escaped; where it is not UTF-8.
   */
  "path-escaped"?: string;
}
/**
 * The namespaces in which the thread group leader's next child will be.
 */
export interface ForChildren {
  /**
   * The PID namespace.
   */
  pid?: number;
  /**
   * The time namespace.
   */
  time?: number;
}
/**
 * Its freezer state; absent where not known.
 */
export interface Freezer {
  /**
   * Whether it is frozen, because its own control group or one above was told to.
   */
  effective: boolean;
  /**
   * Whether its own control group was told to freeze.
   */
  own: boolean;
}
/**
 * How it is scheduled; absent where not known.
 */
export interface Scheduling {
  /**
   * The nice value.
   */
  nice: number;
  /**
   * The kernel's number of the policy.
   */
  policy: number;
  /**
   * The real-time priority.
   */
  priority: number;
}
/**
 * A task.
 */
export interface Task {
  /**
   * The CPUs that it may run on, as inclusive ranges.
   */
  affinity?: [unknown, unknown][];
  /**
   * All its control groups; absent where not known.
   */
  cgroups?: CgroupMembership[];
  /**
   * Its control group for the CPU controller; empty where not known.
   */
  cpucgroup: string;
  "for-children"?: ForChildren1;
  freezer?: Freezer1;
  /**
   * Its control group for the freezer; empty where not known.
   */
  fridgecgroup: string;
  /**
   * Whether it is frozen; false where not known.
   */
  fridgefrozen: boolean;
  /**
   * Its name.
   */
  name: string;
  /**
   * Its name, octal-escaped; where it is not UTF-8.
   */
  "name-escaped"?: string;
  /**
   * Its namespaces.
   */
  namespaces: {
    cgroup?: number;
    ipc?: number;
    mnt?: number;
    net?: number;
    pid?: number;
    time?: number;
    user?: number;
    uts?: number;
  };
  /**
   * Its nice value; absent where zero.
   */
  nice?: number;
  /**
   * The kernel's number of its scheduling policy; absent where zero.
   */
  policy?: number;
  /**
   * Its real-time priority; absent where zero.
   */
  priority?: number;
  scheduling?: Scheduling1;
  /**
   * When it started, in clock ticks since boot.
   */
  starttime: number;
  /**
   * What it was doing, as one letter.
   */
  state?: string;
  /**
   * Its TID.
   */
  tid: number;
}
/**
 * The namespaces in which its next child will be.
 */
export interface ForChildren1 {
  /**
   * The PID namespace.
   */
  pid?: number;
  /**
   * The time namespace.
   */
  time?: number;
}
/**
 * Its freezer state; absent where not known.
 */
export interface Freezer1 {
  /**
   * Whether it is frozen, because its own control group or one above was told to.
   */
  effective: boolean;
  /**
   * Whether its own control group was told to freeze.
   */
  own: boolean;
}
/**
 * How it is scheduled; absent where not known.
 */
export interface Scheduling1 {
  /**
   * The nice value.
   */
  nice: number;
  /**
   * The kernel's number of the policy.
   */
  policy: number;
  /**
   * The real-time priority.
   */
  priority: number;
}
/**
 * Its user IDs.
 */
export interface Uids {
  /**
   * The effective one.
   */
  effective: number;
  /**
   * The one for file system access.
   */
  "file-system": number;
  /**
   * The real one.
   */
  real: number;
  /**
   * The saved one.
   */
  saved: number;
}
