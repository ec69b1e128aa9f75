import { readFileSync } from "node:fs";
import { parseDump } from "../src/data/dump";
import { hostOf, type Host } from "../src/data/host";

export const golden = (): Host => parseDump(readFileSync(new URL("../../tests/golden/host.json", import.meta.url), "utf8"));

const task = { starttime: 5, cpucgroup: "/docker/aaa", fridgecgroup: "", fridgefrozen: false };

/** As the Go program writes dumps: a container, no holders, no gaps. */
export const theirs = (): Record<string, unknown> => ({
  "discovery-options": { "from-procs": true, labels: {} },
  namespaces: {
    "4026531837": { nsid: 4026531837, type: "user", "user-id": 0, "user-name": "root", reference: ["/proc/1/ns/user"], possessions: [4026532303, 4026531836] },
    "4026531836": { nsid: 4026531836, type: "pid", owner: 4026531837, reference: [], leaders: [1], ealdorman: 1 },
    "4026532303": { nsid: 4026532303, type: "net", owner: 4026531837, reference: ["/run/netns/blue"], leaders: [7], ealdorman: 7 },
  },
  processes: {
    "1": { ...task, pid: 1, ppid: 0, name: "init", cmdline: ["/sbin/init"], namespaces: { user: 4026531837, pid: 4026531836 }, tasks: [{ ...task, tid: 1, name: "init", namespaces: {} }] },
    "7": { ...task, pid: 7, ppid: 1, name: "web", cmdline: ["web", "--listen"], namespaces: { net: 4026532303, pid: 4026531836 }, affinity: [[0, 3]], tasks: [] },
    "8": { ...task, pid: 8, ppid: 7, name: "worker", cmdline: [], namespaces: { net: 4026532303 }, tasks: [] },
  },
  mounts: {},
  containers: { "7": { id: "aaa", name: "<img src=x onerror=alert(1)>", type: "docker.com", flavor: "docker.com", pid: 7, paused: false, labels: { tier: "front" }, groups: [1], engine: 1 } },
  "container-engines": { "1": { id: "e", type: "docker.com", version: "27", api: "/run/docker.sock", pid: 5, labels: {}, containers: [7] } },
  "container-groups": { "1": { name: "shop", type: "com.docker.compose.project", flavor: "com.docker.compose.project", containers: [7], labels: {} } },
  "cpus-online": [[0, 3]],
});

export const theirHost = (change?: (dump: any) => void): Host => {
  const dump = theirs();
  change?.(dump);
  return hostOf(dump);
};
