import { describe, expect, it } from "vitest";
import { hrefOf, parseAddress, viewHref, VIEWS } from "../src/data/address";
import { capabilityNames } from "../src/data/capabilities";
import { difference } from "../src/data/diff";
import { mountTree, peerGroups, propagation } from "../src/data/mounts";
import { indexOf, search } from "../src/data/search";
import { golden, theirHost } from "./dumps";

describe("addresses", () => {
  it("of every object are read back", () => {
    const objects = [
      { kind: "ns", id: 4026532303 },
      { kind: "process", pid: 7 },
      { kind: "task", tid: 9 },
      { kind: "container", key: "a/b?c#d" },
      { kind: "mounts", mntns: 4026531832 },
      { kind: "mount", mntns: 4026531832, id: 3 },
      { kind: "link", netns: 4026532303, index: 2 },
      { kind: "cpu", cpu: 0 },
    ] as const;
    for (const object of objects) expect(parseAddress(hrefOf(object))).toMatchObject({ kind: "object", object });
  });
  it("of every view are read back, with what was typed there", () => {
    for (const view of VIEWS) expect(parseAddress(viewHref(view))).toMatchObject({ kind: "view", view });
    const found = parseAddress(viewHref("search", { q: "a&b #c" }));
    expect(found.query.get("q")).toBe("a&b #c");
    expect(parseAddress("")).toMatchObject({ kind: "view", view: "all" });
  });
  it("of nothing say so", () => {
    expect(parseAddress("#/nowhere")).toMatchObject({ kind: "unknown" });
    expect(parseAddress("#/process/x")).toMatchObject({ kind: "unknown" });
    expect(parseAddress("#/container/%ff")).toMatchObject({ object: { key: "%ff" } });
  });
});

describe("mounts", () => {
  it("are a tree of paths with all mounts of the dump", () => {
    const host = golden();
    for (const [mntns, mounts] of host.mounts) {
      const tree = mountTree(host, mntns)!;
      let count = tree.unreachable.length;
      const walk = [tree.root!];
      for (let node = walk.pop(); node; node = walk.pop()) {
        count += node.mounts.length;
        for (const child of node.children) expect(child.path.startsWith(node.path)).toBe(true);
        walk.push(...node.children);
      }
      expect(count).toBe(mounts.length);
    }
    expect(mountTree(host, 1)).toBeUndefined();
  });
  it("have their peers in every mount namespace", () => {
    const host = golden();
    for (const [id, group] of peerGroups(host)) {
      for (const { mount } of group.peers) expect(mount.tags["shared"]).toBe(id);
      for (const { mount } of group.receivers) expect(mount.tags["master"]).toBe(id);
    }
    const mount = { mountid: 1, parentid: 0, major: 0, minor: 1, root: "/", mountoptions: [], fstype: "x", source: "x", superoptions: "", hidden: false };
    expect(propagation({ ...mount, tags: { shared: "3", master: "1", unbindable: "" } })).toBe("shared:3 master:1 unbindable");
    expect(propagation({ ...mount, tags: {} })).toBe("private");
  });
});

describe("search", () => {
  const index = indexOf(theirHost());
  it.each([
    ["4026532303", "net:[4026532303]"],
    ["net:[4026532303]", "net:[4026532303]"],
    ["blue", "net:[4026532303]"],
    ["7", "web 7"],
    ["--listen", "web 7"],
    ["tier=front", "<img src=x onerror=alert(1)>"],
    ["shop", "<img src=x onerror=alert(1)>"],
    ["aaa", "<img src=x onerror=alert(1)>"],
  ])("%s finds %s first", (query, label) => {
    expect(search(index, query).hits[0]?.label).toBe(label);
  });
  it("wants all words, and finds nothing for none", () => {
    expect(search(index, "web nosuchthing").total).toBe(0);
    expect(search(index, "  ").total).toBe(0);
  });
  it("finds a PID of any PID namespace", () => {
    const host = theirHost((dump) => {
      dump["discovery-options"].snapshot = { format: 1, hostname: "h", places: [], pidmap: [[{ pid: 1234, nsid: 4026532400 }, { pid: 8, nsid: 4026531836 }]] };
    });
    expect(search(indexOf(host), "1234").hits[0]?.label).toBe("worker 8");
  });
  it("finds ports and links of the agent", () => {
    const namespace = { nsid: 4026532303, type: "net", initial: false, owner: null, "unique-id": null };
    const port = { protocol: "tcp", address: "::", port: 8443, link: null, inode: 1, "user-id": 0, "user-name": null, namespace, processes: [], "all-processes-seen": true, "takes-v4": false };
    expect(search(indexOf(theirHost(), { ports: [port] }), "8443").hits[0]?.kind).toBe("port");
  });
  it("limits hits and counts all", () => {
    const found = search(indexOf(golden()), "net", 2);
    expect(found.hits).toHaveLength(2);
    expect(found.total).toBeGreaterThan(2);
  });
});

describe("comparing", () => {
  const kinds = (changes: { change: string; key: string }[]) => changes.map((one) => `${one.change} ${one.key}`);
  it("a host with itself finds nothing", () => {
    expect(difference(golden(), golden()).changes).toEqual([]);
    expect(difference(golden(), golden()).sameBoot).not.toBe(false);
  });
  it("finds what went and changed", () => {
    const [old, now] = [
      golden(),
      golden(),
    ];
    const gone = [...now.namespaces.values()].find((ns) => ns.type === "net" && !ns.initial)!;
    now.namespaces.delete(gone.id);
    now.holdersSeen = true;
    expect(kinds(difference(old, now).changes)).toEqual([`went ns/${gone.id}`]);
    now.holdersSeen = false;
    expect(kinds(difference(old, now).changes)).toEqual([`unseen ns/${gone.id}`]);
  });
  it("tells a reused PID and a moved process", () => {
    const now = theirHost((dump) => {
      dump.processes["7"].starttime = 99;
      dump.processes["8"].namespaces.net = 4026531833;
    });
    expect(kinds(difference(theirHost(), now).changes)).toEqual([
      "changed ns/4026532303", "went process/7", "changed process/8", "appeared process/7",
    ]);
  });
});

it("capabilities have names", () => {
  expect(capabilityNames("0000000000000003")).toEqual(["chown", "dac_override"]);
  expect(capabilityNames("8000000000000000")).toEqual(["63"]);
});
