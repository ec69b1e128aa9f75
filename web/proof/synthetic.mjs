// Makes a dump, and answers about links and ports, of a host that does not exist: of any size.

const INITIAL = { user: 4026531837, pid: 4026531836, mnt: 4026531832, net: 4026531833, cgroup: 4026531835, uts: 4026531838, ipc: 4026531839, time: 4026531834 };
const TYPES = Object.keys(INITIAL);
/** As long as a label or a command line may be. */
export const LONG = `long-${"x".repeat(4091)}`;
export const HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.";

export function syntheticHost({ containers = 12, processes = 120, namespaces = 0, cpus = 4, hostname = "example" } = {}) {
  const dump = {
    "discovery-options": {
      "from-procs": true, "from-tasks": true, "from-fds": true, "from-bindmounts": true, "with-hierarchy": true, "with-ownership": true, "with-freezer": true,
      "with-mounts": true, "with-socket-processes": true, "with-affinity-scheduling": true, "with-task-affinity-scheduling": true, "scanned-namespace-types": TYPES, labels: {},
      snapshot: {
        format: 1, kernel: "6.18.0", "boot-id": "0f8fad5b-d9cb-469f-a165-70867728950e", hostname, "taken-at": "2026-11-02T08:30:00.250000000Z", "took-nsec": 41200000, "nsfs-dev": 4,
        mntns: INITIAL.mnt, observer: { uid: 0, capabilities: "000001ffffffffff", userns: INITIAL.user, pidns: INITIAL.pid, "procfs-pidns": INITIAL.pid }, reader: "proc",
        places: ["processes", "tasks", "fds", "sockets", "bind-mounts", "parents", "owners"],
        options: { status: "all", cgroups: true, freezer: true, scheduling: true, "task-details": true, "command-lines": "all", "namespace-details": true, mounts: true, suspects: true, "without-self": true },
        gaps: [
          { place: "processes", operation: "readlink", operand: "ns/*", cause: "denied", errno: 13, pid: 3 },
          { place: "kernel", operation: "listns", cause: "unsupported", errno: 38 },
          { place: "fds", operation: "stat", operand: "fd", cause: "timed-out", pid: 12, tid: 12, fd: 7 },
        ],
        suspects: [{ kind: "in-flight", pid: 12, tid: 12, fd: 9, count: 2 }],
        "user-names": { 1000: "alice" }, pidmap: [],
        containers: { others: [], members: {}, namespaces: {}, units: [] },
      },
    },
    namespaces: {}, processes: {}, mounts: {}, containers: {}, "container-engines": {}, "container-groups": {}, "cpus-online": [[0, cpus - 1]],
  };
  const snapshot = dump["discovery-options"].snapshot;
  let next = 4026532200;
  let unique = 20;
  const addNs = (type, owner, extra = {}) => {
    const nsid = next++;
    dump.namespaces[nsid] = { nsid, type, reference: [], holders: [], "unique-id": unique++, ...(type === "user" ? { parent: owner, "user-name": "" } : { owner }), ...extra };
    return nsid;
  };
  for (const [type, nsid] of Object.entries(INITIAL)) {
    dump.namespaces[nsid] = {
      nsid, type, reference: [`/proc/1/ns/${type}`], holders: [], initial: true, "unique-id": unique++,
      ...(type === "user" ? { "user-id": 0, "user-name": "root", relations: { parent: "none" }, "uid-map": [[0, 0, 4294967295]], "gid-map": [[0, 0, 4294967295]] } : { owner: INITIAL.user }),
      ...(type === "pid" ? { relations: { parent: "none" } } : {}),
    };
  }
  const addProcess = (pid, ppid, name, ns, extra = {}) => {
    const common = {
      name, starttime: pid * 3, namespaces: ns, cpucgroup: "/system.slice", fridgecgroup: "/system.slice", fridgefrozen: false, state: pid % 7 ? "S" : "R",
      affinity: pid % 11 ? [[0, cpus - 1]] : [[pid % cpus, pid % cpus]], scheduling: pid % 50 ? { policy: 0, priority: 0, nice: pid % 9 ? 0 : 10 } : { policy: 1, priority: 50, nice: 0 },
      freezer: { own: false, effective: false }, ...extra,
    };
    dump.processes[pid] = {
      pid, ppid, ...common, cmdline: extra.cmdline ?? (pid === 1005 ? [LONG] : [`/usr/bin/${name}`, "--config", `/etc/${name}.conf`]),
      uids: { real: 0, effective: pid % 4 ? 0 : 1000, saved: 0, "file-system": 0 }, seccomp: "none", "no-new-privs": false,
      capabilities: { inheritable: "0000000000000000", permitted: "00000000a80425fb", effective: "00000000a80425fb", bounding: ns.mnt === INITIAL.mnt || pid % 5 === 4 ? "000001ffffffffff" : "00000000a80425fb", ambient: "0000000000000000" },
      cgroups: [{ hierarchy: 0, controllers: "", path: common.cpucgroup }],
      tasks: [{ tid: pid, ...common }],
    };
    for (const [type, nsid] of Object.entries(ns)) dump.namespaces[nsid].holders.push({ kind: "process", pid });
    snapshot.pidmap.push([{ pid, nsid: INITIAL.pid }]);
    return dump.processes[pid];
  };
  addProcess(1, 0, "systemd", INITIAL);
  addProcess(2, 0, "kthreadd", INITIAL, { cmdline: [] });
  dump.processes[3] = { ...structuredClone(addProcess(3, 2, "guarded", {}, { cmdline: [] })), "cmdline-unknown": true };
  delete dump.processes[3].capabilities;
  dump.processes[3].tasks[0].namespaces = {};

  const mount = (mountid, parentid, mountpoint, fstype, source, extra = {}) => ({ mountid, parentid, major: 0, minor: mountid, root: "/", mountpoint, mountoptions: ["rw", "relatime"], tags: {}, fstype, source, superoptions: "rw", hidden: false, ...extra });
  const tree = (mounts) => {
    const paths = {};
    let pathid = 0;
    for (const one of mounts) (paths[one.mountpoint] ??= { mounts: [], pathid: ++pathid, parentid: one.mountpoint === "/" ? 0 : 1 }).mounts.push(one);
    return paths;
  };
  dump.mounts[INITIAL.mnt] = tree([
    mount(27, 1, "/", "ext4", "/dev/vda1", { tags: { shared: "1" } }), mount(28, 27, "/proc", "proc", "proc"), mount(29, 27, "/sys", "sysfs", "sysfs"), mount(30, 29, "/sys/fs/cgroup", "cgroup2", "cgroup2"),
    mount(31, 27, "/dev", "devtmpfs", "devtmpfs"), mount(32, 31, "/dev/pts", "devpts", "devpts", { hidden: true }), mount(33, 32, "/dev/pts", "devpts", "devpts"), mount(34, 27, "/run", "tmpfs", "tmpfs", { tags: { shared: "2" } }),
    mount(35, 27, "/srv/data", "tmpfs", "tmpfs", { tags: { shared: "3" } }), mount(36, 27, "/srv/a\\040b", "tmpfs", "none"),
  ]);

  const engines = { docker: 1, containerd: 2, podman: 3 };
  const types = { docker: "docker.com", containerd: "containerd.io", podman: "podman.io" };
  for (const [name, key] of Object.entries(engines)) dump["container-engines"][key] = { id: name, type: types[name], version: "", api: name === "podman" ? "" : `/run/${name}.sock`, pid: 0, labels: {}, containers: [], ...(name === "podman" ? { unseen: true } : {}) };
  const groups = ["shop", "metrics", "default/web"];
  groups.forEach((name, n) => (dump["container-groups"][n + 1] = { name, type: n === 2 ? "k8s.io/pod" : "com.docker.compose.project", flavor: n === 2 ? "k8s.io/pod" : "com.docker.compose.project", containers: [], labels: {}, kind: n === 2 ? "pod" : "compose-project" }));

  const links = [];
  const edges = [];
  const ports = [];
  const link = (nsid, index, name, kind, more = {}) => {
    const made = { id: [nsid, index], target: `link:${nsid}/${name}`, name, kind, up: true, state: "UP", mtu: 1500, mac: "02:42:ac:11:00:02", addresses: [], master: null, nsid, "netns-name": null, process: { pid: 1, name: "systemd" }, container: null, unit: null, "other-end": null, users: [], "left-over": null, ...more };
    links.push(made);
    return made;
  };
  link(INITIAL.net, 1, "lo", null, { state: "UNKNOWN", mtu: 65536 });
  link(INITIAL.net, 2, "eth0", null);
  const bridges = [link(INITIAL.net, 3, "docker0", "bridge"), link(INITIAL.net, 4, "br-shop", "bridge"), link(INITIAL.net, 5, "cni0", "bridge")];
  link(INITIAL.net, 6, "tun0", "tun", { users: [{ pid: 20, tid: 20, fd: 5, name: "openvpn" }] });
  link(INITIAL.net, 7, "vxlan.calico", "vxlan", {});
  const port = (nsid, number, pid, command, container = null, protocol = "tcp") =>
    ports.push({ protocol, address: "0.0.0.0", port: number, link: null, "takes-v4": false, inode: 900000 + ports.length, "user-id": 0, "user-name": "root", namespace: { nsid, type: "net", "netns-name": null, container, unit: null }, processes: [{ pid, tid: pid, fd: 3, command, container, unit: null }], "all-processes-seen": true });
  port(INITIAL.net, 22, 1, "sshd");
  port(INITIAL.net, 53, 1, "resolved", null, "udp");

  let pid = 1000;
  const images = ["nginx:1.27", "postgres:17", "redis:8", "registry.example/app/backend:2026.11", "busybox"];
  const names = ["web", "db", "cache", "backend", "worker"];
  const made = [];
  for (let n = 0; n < containers; n++) {
    const engine = ["docker", "docker", "containerd", "podman"][n % 4];
    const rootless = engine === "podman";
    const user = rootless ? addNs("user", INITIAL.user, { "user-id": 1000, "user-name": "alice", "uid-map": [[0, 1000, 1], [1, 100000, 65536]], "gid-map": [[0, 1000, 1], [1, 100000, 65536]] }) : INITIAL.user;
    const ns = { ...INITIAL, user };
    for (const type of ["mnt", "pid", "uts", "ipc", "net", "cgroup"]) ns[type] = addNs(type, user);
    dump.namespaces[ns.pid].parent = INITIAL.pid;
    if (n % 6 === 5) ns.net = made[n - 1]?.ns.net ?? ns.net;
    if (n % 9 === 7) ns.net = INITIAL.net;
    if (n % 10 === 8) ns.pid = INITIAL.pid;
    const name = n === 1 ? HOSTILE : n === 4 ? LONG : `${names[n % names.length]}${n >= names.length ? `-${Math.floor(n / names.length)}` : ""}`;
    const id = (n + 1).toString(16).padStart(4, "0").repeat(16);
    const cgroup = `/system.slice/${engine}-${id.slice(0, 12)}.scope`;
    const first = ++pid;
    const members = [first];
    addProcess(first, 1, names[n % names.length], ns, { cpucgroup: cgroup });
    dump.processes[first].nspids = [first, 1];
    for (let child = 0; child < 2; child++) {
      members.push(++pid);
      addProcess(pid, first, "worker", ns, { cpucgroup: cgroup });
    }
    const group = engine === "containerd" ? 3 : n % 2 ? 1 : 2;
    dump.containers[first] = {
      id, name, type: types[engine], flavor: types[engine], pid: first, paused: n % 8 === 6, labels: { "com.example.tier": n % 2 ? "front" : "back", "com.example.very-long-label-name": n === 4 ? LONG : "x".repeat(90) }, groups: [group], engine: engines[engine], index: n,
      confidence: "sure", "said-by": { name: 0, pid: 0, image: 0, state: 0 }, image: images[n % images.length], runtime: "runc", state: n % 8 === 6 ? "paused" : "running", created: "2026-11-01T10:00:00.000000000Z", cgroup, evidence: [{ kind: "engine-file", at: `/var/lib/${engine}/containers/${id}/config.v2.json`, confidence: "sure" }, { kind: "cgroup", at: cgroup, confidence: "likely" }],
      ...(n % 5 === 0 ? { health: "healthy" } : {}), "cgroup-limits": { ...(n % 2 ? {} : { "memory-bytes": (64 + n) << 20 }), ...(n % 3 ? { "cpu-usec-per-second": 500_000 } : {}), "cpu-weight": 100, cpus: "0-3", ...(n % 4 ? { "tasks-max": 50 } : {}), unlimited: ["swap-bytes", ...(n % 2 ? ["memory-bytes"] : []), ...(n % 3 ? [] : ["cpu-usec-per-second"])] }, ...(engine === "containerd" ? { pod: { namespace: "default", name: "web" } } : {}),
    };
    dump["container-engines"][engines[engine]].containers.push(first);
    dump["container-groups"][group].containers.push(first);
    snapshot.containers.members[n] = members;
    dump.mounts[ns.mnt] ??= tree([
      mount(1000 + n * 10, 0, "/", "overlay", "overlay", { tags: { master: "1" } }), mount(1001 + n * 10, 1000 + n * 10, "/proc", "proc", "proc"), mount(1002 + n * 10, 1001 + n * 10, "/proc/kcore", "tmpfs", "tmpfs"), mount(1003 + n * 10, 1000 + n * 10, "/etc/hosts", "ext4", "/dev/vda1", { root: "/var/lib/hosts" }),
      mount(1004 + n * 10, 1000 + n * 10, "/data", "tmpfs", "tmpfs", { tags: { shared: "3" } }),
    ]);
    const container = { target: `${engine}:${name}`, engine, id, name, pod: null, confidence: "sure" };
    made.push({ ns, first, container });
    if (ns.net !== INITIAL.net && !(n % 6 === 5)) {
      const bridge = bridges[engine === "containerd" ? 2 : n % 2];
      link(ns.net, 1, "lo", null, { state: "UNKNOWN", process: { pid: first, name }, container });
      const inside = link(ns.net, 2, "eth0", "veth", { process: { pid: first, name }, container, addresses: [{ address: `10.88.${n >> 8}.${n & 255}`, prefix: 16, peer: null, scope: "global" }, { address: `fe80::${n.toString(16)}`, prefix: 64, peer: null, scope: "link" }] });
      const outside = link(INITIAL.net, 100 + n, `veth${(0x1a2b + n * 77).toString(16)}`, "veth", { master: bridge.id });
      edges.push({ from: inside.id, to: outside.id, relation: "peer" }, { from: outside.id, to: bridge.id, relation: "master" });
      if (n % 7 === 3) {
        const second = link(ns.net, 3, "eth1", "macvlan", { process: { pid: first, name }, container });
        edges.push({ from: second.id, to: [INITIAL.net, 2], relation: "lower" });
      }
      port(ns.net, [80, 5432, 6379, 8080, 9000][n % 5], first, names[n % names.length], container);
    }
  }
  // Left over: without a process.
  const blue = addNs("net", INITIAL.user, { reference: ["/run/netns/blue"] });
  dump.namespaces[blue].holders.push({ kind: "bind-mount", mntns: INITIAL.mnt, mountid: 60, path: "/run/netns/blue" });
  link(blue, 1, "lo", null, { addresses: null, state: "DOWN", up: false, process: null, "netns-name": "blue" });
  const left = addNs("ipc", INITIAL.user);
  dump.namespaces[left].holders.push({ kind: "fd", pid: 1, tid: 1, fd: 9 }, { kind: "in-flight", pid: 1, tid: 1, fd: 11, inode: 4711, what: "descriptor" });
  dump.namespaces[left].references = { total: 3, explained: 2, exact: true };
  for (let n = Object.keys(dump.namespaces).length; n < namespaces; n++) {
    const type = ["net", "uts", "ipc", "mnt"][n % 4];
    const nsid = addNs(type, INITIAL.user);
    addProcess(++pid, 1, `job${n}`, { ...INITIAL, [type]: nsid });
  }
  for (let n = Object.keys(dump.processes).length; n < processes; n++) addProcess(++pid, n % 3 ? pid - 1 : 1, ["bash", "python3", "nginx", "kworker", "java"][n % 5], INITIAL);
  for (const ns of Object.values(dump.namespaces)) {
    const leaders = [];
    for (const holder of ns.holders) {
      if (holder.kind !== "process") continue;
      const process = dump.processes[holder.pid];
      if (dump.processes[process.ppid]?.namespaces[ns.type] !== ns.nsid) leaders.push(holder.pid);
    }
    if (leaders.length > 0) Object.assign(ns, { leaders, ealdorman: leaders[0] });
    if (ns.type !== "user") (dump.namespaces[ns.owner].possessions ??= []).push(ns.nsid);
    if (ns.parent) (dump.namespaces[ns.parent].children ??= []).push(ns.nsid);
    for (const leader of leaders.slice(0, 1)) ns.reference.push(`/proc/${leader}/ns/${ns.type}`);
  }
  const envelope = (question, results) => ({ format: 1, question, results, gaps: question === "links" ? [] : ["1 of 120 processes not readable: needs CAP_SYS_PTRACE"] });
  return { dump, links: envelope("links", [{ links, edges }]), ports: envelope("ports", ports) };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [what = "dump", ...options] = process.argv.slice(2);
  process.stdout.write(JSON.stringify(syntheticHost(Object.fromEntries(options.map((one) => one.split("=")).map(([key, value]) => [key, Number(value)])))[what]));
}
