// Everything that the page says.

import type { ChangeKind } from "./data/diff";
import type { TypeName } from "./data/host";

const many = (count: number, one: string, more = `${one}s`): string => `${count} ${count === 1 ? one : more}`;

const holderKinds = {
  process: ["process in it", "processes in it"],
  task: ["task in it", "tasks in it"],
  "for-children": ["for the next child of", "for the next children of tasks"],
  fd: ["open descriptor", "open descriptors"],
  socket: ["socket", "sockets"],
  tun: ["TUN/TAP file", "TUN/TAP files"],
  "bind-mount": ["bind mount", "bind mounts"],
  mount: ["mount", "mounts"],
  child: ["child", "children"],
  owned: ["owned namespace", "owned namespaces"],
  "in-flight": ["waits in a socket", "wait in sockets"],
  kernel: ["no holder seen; the kernel lists it", "no holder seen; the kernel lists it"],
} as const;

const causes: Record<string, string> = {
  denied: "access denied", unsupported: "not supported by this kernel", "timed-out": "timed out", malformed: "malformed", cut: "cut short",
  "other-pid-namespace": "procfs is of another PID namespace", hidden: "procfs does not list all processes", limit: "a limit was reached",
  "not-tried": "not tried: it might not answer", changed: "changed while it was read", partial: "partly read", "no-path": "no path leads there",
  "no-helper": "the helper could not start", other: "failed",
};

const errnos: Record<number, string> = { 1: "EPERM", 2: "ENOENT", 3: "ESRCH", 5: "EIO", 13: "EACCES", 22: "EINVAL", 24: "EMFILE", 25: "ENOTTY", 38: "ENOSYS", 40: "ELOOP", 95: "EOPNOTSUPP", 110: "ETIMEDOUT" };

const states: Record<string, string> = { R: "running", S: "sleeping", D: "in uninterruptible sleep", Z: "zombie", T: "stopped", t: "traced", I: "idle", X: "dead", P: "parked" };

const duration = (seconds: number): string =>
  seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min` : seconds < 86_400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;

/** To three digits behind the point, without zeros at the end. */
const fraction = (number: number): string => String(Math.floor(number * 1000) / 1000);

export const S = {
  skip: "Skip to the content",
  notKnown: "not known",
  notRead: "not readable",
  noName: "(no name)",
  none: "none",
  uid: (uid: number): string => `UID ${uid}`,
  yes: "yes",
  no: "no",
  in: "in",
  asking: "Asking the agent…",
  more: (count: number): string => `${count} more`,
  needsAgent: (question: string): string => `Needs an agent: a dump cannot answer “${question}”.`,
  membersUnread: (unread: number): string => `0 seen, ${unread} not readable`,
  moreUnread: (unread: number): string => `namespaces of ${many(unread, "process", "processes")} not readable: more may be in it`,
  moreHidden: "procfs does not list all processes: more may be in it",
  atLeast: (count: number): string => `${count}+`,
  membersHidden: "0 seen, some not listed",
  taskOf: (name: string, pid: number): string => `task of ${name} ${pid}`,
  fault: (message: string): string => `This view failed: ${message}`,

  menu: { title: "Menu", namespaces: "Namespaces", host: "Host", network: "Network", judge: "Questions" },
  views: {
    all: "All namespaces", user: "User namespaces", pid: "PID namespaces", mnt: "Mount namespaces", net: "Network namespaces",
    cgroup: "Cgroup namespaces", uts: "UTS namespaces", ipc: "IPC namespaces", time: "Time namespaces",
    containers: "Containers", matrix: "Sharing matrix", mounts: "Mounts", processes: "Processes", cpus: "CPUs", wiring: "Network wiring",
    ports: "Listening ports", orphans: "Without processes", audit: "Audit", gaps: "Not readable", compare: "Compare", search: "Search",
    settings: "Settings", help: "Help",
  },
  types: {
    user: "User namespaces", pid: "PID namespaces", mnt: "Mount namespaces", net: "Network namespaces",
    cgroup: "Cgroup namespaces", uts: "UTS namespaces", ipc: "IPC namespaces", time: "Time namespaces",
  } satisfies Record<TypeName, string>,
  typesOne: {
    user: "User namespace", pid: "PID namespace", mnt: "Mount namespace", net: "Network namespace",
    cgroup: "Cgroup namespace", uts: "UTS namespace", ipc: "IPC namespace", time: "Time namespace",
  } satisfies Record<TypeName, string>,
  typesShort: { user: "Users", pid: "Processes", mnt: "Mounts", net: "Network", cgroup: "Cgroups", uts: "Host names", ipc: "IPC", time: "Time" } satisfies Record<TypeName, string>,
  typeLead: {
    user: "Each below its parent, with the processes in it.",
    pid: "Each below its parent, with the processes in it.",
    mnt: "With the processes that see these mounts.",
    net: "With the processes that use these links, addresses and ports.",
    cgroup: "With the processes whose control groups begin there.",
    uts: "With the processes that have this host name.",
    ipc: "With the processes that share System V IPC and message queues.",
    time: "With the processes whose clocks have these offsets.",
  } satisfies Record<TypeName, string>,
  lead: {
    all: "Every namespace below the user namespace that owns it.",
    containers: "By engine or by group, with the namespaces of each.",
    matrix: "Whose namespaces each container uses.",
    mounts: "The mounts of each mount namespace as a tree of paths.",
    processes: "With the CPUs that each may run on, and how it is scheduled.",
    cpus: "Tasks that may run on this CPU and not on all, real-time tasks first.",
    wiring: "Which network namespaces are connected, and by which links.",
    ports: "Every listening socket of every network namespace.",
    orphans: "Namespaces without a process or task, and what keeps them alive.",
    audit: "How well containers are isolated from the host, by what the kernel enforces.",
    gaps: "What this scan could not read, and why.",
    compare: "Compare what is shown with a dump or an earlier state.",
  },
  kinds: { namespace: "Namespace", process: "Process", task: "Task", container: "Container", mount: "Mount", link: "Link", port: "Port" },
  tags: { initial: "initial", shared: "shared", orphan: "no process seen", hidden: "hidden", task: "task", frozen: "frozen", otherThanProcess: "not of its process" },
  marks: { appeared: "new", went: "gone", changed: "changed", unseen: "not seen any more", seen: "seen now", passed: "came and went" } satisfies Record<ChangeKind, string>,
  process: "process",
  events: {
    "last-task-left": "last task left", "first-task-came": "first task came", leader: "first process", "owner-known": "owner is known now", "parent-known": "parent is known now",
    "process-left": "process left", "process-entered": "process entered", "holder-went": "holder gone", "holder-came": "new holder", other: "changed",
  },
  notices: {
    dismiss: "Dismiss", resync: (why: string): string => `Changes since the last state may be missing: ${why}`, failed: (why: string): string => `The agent cannot read the host: ${why}`,
  },
  over: "No longer there",
  which: { every: "Every namespace", own: "Not initial", orphan: "Without a process", shared: "Shared with a container", contained: "Of containers" },
  columns: {
    namespace: "Namespace", leader: "First process", processes: "Processes", container: "Container", creator: "Creator", held: "Also held by", state: "State",
    image: "Image", firstProcess: "First process", groups: "Groups", mounts: "Mounts", hidden: "Hidden", path: "Path", fstype: "File system", source: "Source",
    propagation: "Propagation", options: "Options", process: "Process", pid: "PID", command: "Command line", user: "User", cpus: "May run on", policy: "Scheduling",
  },
  grid: {
    expand: "Expand all", collapse: "Collapse all", openOne: "Expand", shutOne: "Collapse", filter: "Filter", which: "Which namespaces", types: "Types shown",
    rows: (count: number): string => many(count, "row"), cut: (most: number): string => `only the first ${most} were looked at`, empty: "Nothing matches.",
  },
  relation: { none: "none", notVisible: "not visible from where the scan ran", notAsked: "not asked for" },
  holders: {
    kinds: Object.fromEntries(Object.entries(holderKinds).map(([kind, [one]]) => [kind, one])) as Record<keyof typeof holderKinds, string>,
    count: (kind: string, count: number): string => {
      const words = holderKinds[kind as keyof typeof holderKinds] as readonly [string, string] | undefined;
      if (!words) return `${count} ${kind}`;
      return kind === "kernel" ? words[0] : kind === "for-children" && count === 1 ? "for the next child of a task" : `${count} ${count === 1 ? words[0] : words[1]}`;
    },
    task: (tid: number): string => `task ${tid}`,
  },
  details: {
    facts: "Facts", uniqueId: "Unique ID", owner: "Owner", parent: "Parent", loose: "Tasks whose process is elsewhere", netnsId: "netns ID for the observer", noNetnsId: "has none there",
    uidMap: "UID map", gidMap: "GID map", offsets: "Offsets", reference: "Reached by", noReference: "no path leads there", leaders: "Topmost processes",
    offset: (monotonic: [number, number], boottime: [number, number]): string => `monotonic ${monotonic[0]} s ${monotonic[1]} ns, boottime ${boottime[0]} s ${boottime[1]} ns`,
    members: (count: number): string => `all ${many(count, "process", "processes")}`, holders: "Kept alive by", holdersUnknown: "Not known: another program wrote this dump.",
    holdersUnseen: "Not all places could be read, so there may be more.", noHolder: "None seen.",
    references: (total: number, explained: number): string => `The kernel counts ${many(total, "reference")}; ${explained} ${explained === 1 ? "is" : "are"} explained.`, unexplained: "Something else that was not seen holds it.", below: "Below it",
    children: (count: number): string => (count === 1 ? "1 child" : `${count} children`), owned: (count: number): string => `Owns ${many(count, "namespace")}`,
    emptyMap: "empty: no ID is mapped", inside: "Inside", outside: "Outside", count: "Count", hostname: "Host name", domainname: "Domain name", type: "Type", used: "Used", max: "Limit",
    links: "Links", routes: "Routes", via: "via", capability: "Capability", namespaces: "Namespaces", forChildren: "For its next child", parentProcess: "Parent", noParent: "none visible",
    nspids: "PIDs, outermost first", uids: "UIDs", uidText: (real: string, effective: string, saved: string, fs: string): string => (real === effective && effective === saved && saved === fs ? real : `real ${real}, effective ${effective}, saved ${saved}, file system ${fs}`),
    state: (letter: string): string => (states[letter] ? `${states[letter]} (${letter})` : letter), started: "Started", ticks: (ticks: number): string => `${ticks} clock ticks after boot`,
    noCommand: "(empty)", frozen: "Frozen", capabilities: "Capabilities", allCapabilities: "all", allBut: (names: string): string => `all but ${names}`, cgroups: "Control groups",
    childProcesses: (count: number): string => many(count, "child process", "child processes"), tasks: (count: number): string => many(count, "task"),
    looseTasks: (count: number): string => `${many(count, "task is", "tasks are")} in other namespaces than the process.`, tasksUnread: (count: number): string => `${many(count, "task")} not read`,
  },
  ask: { why: "Why is it still there?", inside: "What is inside?", whoCan: "Who has a capability here?", caps: "What may it do?", audit: "How well is it isolated from the host?" },
  why: {
    madeFor: (what: string): string => `Made for ${what}.`, unexplained: "Nothing seen explains why it is still there.", suspects: "These may hold it",
    lacks: (what: string): string => `needs ${what}`,
  },
  orphans: { none: "Every namespace has a process.", named: (path: string): string => `named ${path}`, leftOver: "left over", unsure: "Not all processes could be read: some may be in it." },
  audit: { none: "No container was found, so there is nothing to judge.", clean: "No findings.", judged: (count: number): string => `${many(count, "process", "processes")} judged.`, remedy: (text: string): string => `To change: ${text}` },
  ports: { port: "Port", address: "Address", none: "No listening sockets.", kernel: "of the kernel, or passed on", unseen: "not seen" },
  containers: {
    none: "No container was found.", notSearched: "Containers were not searched for.", by: "Group", byEngine: "By engine", byGroup: "By group", noEngine: "Without an engine", noGroup: "In no group",
    unseenEngine: "engine not seen", count: (count: number): string => many(count, "container"), sandbox: "pod sandbox", engine: "Engine", runtime: "Runtime", created: "Created", pod: "Pod",
    network: "Network namespace", inside: "Runs inside", confidence: "Confidence", confinement: "Confinement", labels: "Labels and annotations", evidence: "Evidence", limits: "Resource limits",
    unlimited: "unlimited", cpuTime: (usecPerSecond: number): string => `${fraction(usecPerSecond / 1e6)} CPUs`, cpuWeight: "CPU weight", runsOn: "Runs on CPUs", memory: "Memory", memoryHigh: "Slowed down from", swap: "Swap", cpus: "CPU time", maxTasks: "Tasks",
    noProcess: "It has no process.", disagree: (about: string, values: string): string => `Sources disagree about ${about}: ${values}`,
  },
  matrix: {
    host: "host", own: "own", ownShared: (count: number): string => `own +${count}`, process: "a process's", root: "Its root", isRoot: "root on host", noRoot: "no root", capabilities: "Capabilities",
    defaults: "defaults", capabilityCount: (count: number): string => many(count, "capability", "capabilities"), only: "Which containers",
    which: { every: "Every container", host: "Shares with the host", root: "Root on the host", extra: "More than default capabilities" },
  },
  mounts: {
    title: "Mounts of", unreachable: (count: number): string => `${many(count, "mount")} that no path reaches`, noPath: "(no path)", under: "covered", over: (count: number): string => `${count} mounts here`,
    peers: (count: number): string => many(count, "peer"), receives: "receives", onlyHidden: "Hidden only", unread: "The mounts of this namespace were not read.", allOf: "All mounts of this namespace",
    all: "Its mounts", root: "Root in the file system", device: "Device", superOptions: "File system options", id: "Mount ID", on: "Mounted on", onNothing: "none listed",
    peersOf: (group: string): string => `Peers (group ${group})`, noPeers: "No other mount is in this group.", receivers: "Receivers", mastersOf: (group: string): string => `Receives from group ${group}`,
    mastersUnseen: "No mount of that group was seen.", from: (group: string): string => `Propagation reaches it from group ${group}.`, holds: "Keeps alive", above: "Mounted on it", nothingAbove: "Nothing.",
  },
  processes: { tree: "Tree", tasks: "Tasks", kernel: "Kernel threads" },
  schedule: { priority: (n: number): string => `priority ${n}`, nice: (n: number): string => `nice ${n}` },
  cpus: {
    cpu: (n: number): string => `CPU ${n}`, counts: (only: number, total: number): string => `${only} listed, ${total} allowed`, unknown: (count: number): string => `${many(count, "task")} not known`,
    every: "Also tasks that may run on every CPU", none: "The CPUs are not known.",
  },
  wiring: {
    physical: "physical", and: (name: string, more: number): string => (more > 0 ? `${name} +${more}` : name), index: "Index", related: "Connected to", users: "Opened by", all: "Show all", none: "No links.", ports: (): string => "listens", apart: "Not connected", noProcess: "no process seen",
    more: (count: number): string => `and ${count} more`, larger: "Larger", smaller: "Smaller", fit: "Fit", table: "As a table", picture: "As a picture", nets: (count: number): string => many(count, "network namespace"),
    noAddresses: (count: number): string => `addresses of ${many(count, "network namespace")} not known`, pictureLabel: "Picture of the wiring; “As a table” says the same", namespaceOrLink: "Namespace, link", kind: "Kind", other: "Connected to",
    linkCount: (count: number): string => many(count, "link"), port: "has port", upper: "below",
  },
  search: {
    label: "Search everything", placeholder: "Search  /", found: "Found", kind: "Kind", detail: "Details", every: "Every kind", nothing: "Nothing found.",
    title: (query: string): string => `Search for “${query}”`, count: (total: number, shown: number): string => (total > shown ? `${total} found; the best ${shown} are listed` : `${total} found`),
    noCommand: "command line not known", unseen: "process not seen",
    hint: "Type a name, PID, inode, unique ID, path, port, address, container or label.",
  },
  dump: {
    notJson: (why: string): string => `not JSON: ${why}`, noNamespaces: "it lists no namespaces or processes",
    newer: (format: number, known: number): string => `its format ${format} is newer than ${known}`, unknownType: (type: string): string => `unknown type of namespace: ${type}`,
  },
  diff: {
    container: (name: string): string => `container ${name}`, netns: (name: string): string => `netns ${name}`, owner: "owner", parent: "parent", processes: "processes", noneSeen: "none seen",
    leader: "first process", holders: (kind: string): string => `holders (${kind})`, name: "name", uid: "effective UID", capabilities: "effective capabilities", cgroup: "control group", frozen: "frozen",
    cpus: "CPUs", state: "state", health: "health", image: "image", firstProcess: "first process", path: "path", nowHidden: "now hidden", notHidden: "no longer hidden", options: "options",
  },
  compare: {
    change: "Change", object: "Object", open: "Open a dump to compare with…", with: "Compared with", same: "No differences.", hint: "Choose a dump or a state to compare with.", states: "Compare with the state of…", kept: "Kept by this page (everything)", history: "Kept by the agent (namespaces only)", statesOf: "States", keep: "Keep what is shown now, to compare later",
    now: (taken: Date | undefined): string => (taken ? `as of ${taken.toISOString().slice(11, 19)}` : "kept"), otherFirst: "The compared dump or state is older", thisFirst: "The compared dump or state is newer",
    otherBoot: "These are from different hosts or boots: equal numbers need not mean the same object.", unknownBoot: "It is not known whether both are from the same boot.",
  },
  settings: {
    look: "Look", theme: "Theme", themes: { auto: "Same as the system", light: "Light", dark: "Dark" }, agent: "Agent", noAgent: "These apply to an agent; a dump is shown now.",
    interval: "Refresh", every: (seconds: number): string => (seconds === 0 ? "only when asked" : `every ${duration(seconds)}`), events: "Follow the agent's events", marks: "Mark changes for", seconds: duration,
    dumps: "Dumps", dumpHint: "A dump contains command lines, labels and names from the host.",
  },
  source: {
    open: "Open a dump…", openShort: "Open…", save: "Save as a dump", saveShort: "Save", refresh: "Refresh", unnamed: "host", host: "Host", kernel: "Kernel", taken: "Taken",
    age: (seconds: number): string => (seconds < 5 ? "now" : `${duration(seconds)} ago`), lost: (seconds: number): string => `agent does not answer; ${duration(Math.max(0, seconds))} old`,
    changes: (count: number): string => many(count, "change"), live: "live", back: "Back to the agent", liveHint: "Changes are shown as they happen.", unreadable: (name: string, why: string): string => `${name} is not an lxkns dump: ${why}`, status: (status: number): string => `The agent answered with status ${status}.`,
  },
  gone: {
    title: "Not there", ns: (id: number): string => `There is no namespace ${id} here: it has ended or was not seen.`, process: (pid: number): string => `There is no process ${pid} here: it has ended or was not seen.`,
    task: (tid: number): string => `There is no task ${tid} here.`, container: (key: string): string => `There is no container ${key} here.`, mount: (id: number, ns: number): string => `There is no mount ${id} in mnt:[${ns}].`,
    link: (index: number, ns: number): string => `There is no link ${index} in net:[${ns}].`, address: (text: string): string => `Nothing has the address ${text}.`,
  },
  gaps: {
    some: (count: number): string => `${many(count, "thing")} could not be read`, place: (place: string): string => place.replaceAll("-", " "), none: "Everything could be read.", noOther: "Everything else could be read.", outside: "Processes outside this PID namespace are not listed:",
    cause: (cause: string, errno: number | undefined): string => `${causes[cause] ?? cause}${errno === undefined ? "" : ` (${errnos[errno] ?? `errno ${errno}`})`}`,
    theirs: "This dump does not say what could not be read.", where: "Where", why: "Why", operation: "Operation", object: "Object", observer: "Taken by", uid: "UID", reader: "Read through",
    suspects: (count: number): string => `${many(count, "object")} that may hold a namespace`,
  },
  welcome: { failed: "The agent does not answer; trying again. You can open a dump meanwhile.", noAgent: "No agent serves this page. Open a dump to see a host.", drop: "Or drop a file anywhere on this page. Its contents do not leave your browser." },
  help: {
    keys: "Keys", marks: "Marks", search: "Search", dumps: "Dumps",
    keyList: [["/", "search"], ["↑ ↓", "previous or next row"], ["→ ←", "expand or collapse, or to the row above"], ["Enter", "open the row"], ["Space", "expand or collapse"], ["Home End", "first or last row"], ["Tab", "next part of the page"], ["Esc", "close what is open"]] as [string, string][],
    initial: "The kernel created it at boot.", shared: "Several containers use it, or a container and processes outside.", orphan: "Neither a process nor a task was seen in it.",
    hidden: "A mount that no path leads to: something is mounted over it.", unread: "It could not be read. That is not the same as none.",
    searchText: "Finds names, command lines, PIDs of any PID namespace, inode numbers, unique IDs, paths, ports, addresses, containers and labels. All words must match.",
    dumpText: "Open or drop an lxkns dump to see a host without an agent; open a second one under “Compare”. A saved answer of “lxkns links --json” shows the wiring.",
  },
} as const;
