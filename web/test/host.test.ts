import { describe, expect, it } from "vitest";
import { parseDump } from "../src/data/dump";
import { containerOf, hostOf, isOrphan, isShared, NotADump, TYPES } from "../src/data/host";
import { clean, expand, parseClean, rangesText, unescapePath } from "../src/data/text";
import { golden, theirHost, theirs } from "./dumps";

describe("a dump of ours", () => {
  it("has all namespaces with their relations", () => {
    const host = golden();
    expect(host.ours).toBe(true);
    expect(host.namespaces.size).toBe(31);
    expect(host.processes.size).toBe(6);
    expect(TYPES.reduce((sum, type) => sum + host.byType[type].length, 0)).toBe(31);
    for (const ns of host.namespaces.values()) {
      if (ns.owner && ns.type !== "user") expect(ns.owner.owned).toContain(ns);
      if (ns.parent) expect(ns.parent.children).toContain(ns);
      if (!ns.owner) expect(ns.ownerMissing).toBeDefined();
      for (const leader of ns.leaders) expect(leader.namespaces[ns.type]).toBe(ns.id);
    }
  });

  it("tells orphans from what has processes", () => {
    const orphans = [...golden().namespaces.values()].filter(isOrphan);
    expect(orphans.length).toBeGreaterThan(0);
    expect(orphans.every((ns) => ns.leaders.length === 0)).toBe(true);
  });

  it("keeps unique IDs that no number can hold", () => {
    const dump = JSON.stringify(theirs()).replace('"nsid":4026532303', '"nsid":4026532303,"unique-id":18446744073709551615');
    expect(parseDump(dump).namespaces.get(4026532303)?.uniqueId).toBe("18446744073709551615");
    // Not in a text that only looks like it.
    const text = JSON.stringify(theirs()).replace('"/sbin/init"', '"\\"unique-id\\":18446744073709551615"');
    expect(parseDump(text).processes.get(1)?.cmdline).toEqual(['"unique-id":18446744073709551615']);
  });

  it("from inside a PID namespace says of that alone who is in it", () => {
    const from = (pidns: number | undefined) =>
      theirHost((dump) => {
        const ns = dump.namespaces;
        ns["4026531836"].relations = { parent: "none" };
        ns["4026532400"] = { nsid: 4026532400, type: "pid", owner: 4026531837, parent: 4026531836, reference: [] };
        ns["4026532401"] = { nsid: 4026532401, type: "pid", owner: 4026531837, parent: 4026532400, reference: [] };
        dump["discovery-options"].snapshot = { format: 1, hostname: "h", places: [], observer: { uid: 0, capabilities: "0", "procfs-pidns": pidns } };
      });
    const whole = from(4026531836);
    expect([whole.hidesProcesses, whole.holdersSeen, whole.pidnsOnly]).toEqual([false, true, undefined]);
    const part = from(4026532400);
    expect([part.hidesProcesses, part.holdersSeen, part.pidnsOnly]).toEqual([true, false, 4026532400]);
    expect([4026531836, 4026532400, 4026532401, 4026532303].map((id) => part.namespaces.get(id)?.allListed)).toEqual([false, true, true, false]);
    // Which one is not known either.
    const unknown = from(undefined);
    expect([unknown.hidesProcesses, unknown.pidnsOnly]).toEqual([true, NaN]);
    expect(unknown.byType.pid.some((ns) => ns.allListed)).toBe(false);
  });

  it("does not count who has ended among those that could not be read", () => {
    const unread = (state: string) => theirHost((dump) => Object.assign(dump.processes["8"], { state })).unread.mnt;
    expect([unread("S"), unread("Z"), unread("X")]).toEqual([3, 2, 2]);
  });

  it("counts what could not be read by type", () => {
    const host = theirHost();
    expect(host.unread.net).toBe(1);
    expect(host.unread.mnt).toBe(3);
  });
});

describe("a dump of the Go program", () => {
  it("is read, and what it does not say is unknown", () => {
    const host = theirHost();
    expect(host.ours).toBe(false);
    expect(host.holdersSeen).toBe(false);
    expect(host.namespaces.get(4026531837)).toMatchObject({ initial: true, parentMissing: "none" });
    expect(host.namespaces.get(4026532303)).toMatchObject({ initial: false, netnsName: "blue", ownerMissing: undefined });
    expect(host.processes.get(7)?.capabilities).toBeUndefined();
    expect(host.cpus).toEqual([0, 1, 2, 3]);
  });

  it("joins containers with processes and namespaces", () => {
    const host = theirHost();
    const [web] = host.containers;
    expect(web?.members.map((process) => process.pid)).toEqual([7, 8]);
    expect(web?.groups[0]?.name).toBe("shop");
    expect(web?.engine?.containers).toEqual([web]);
    const net = host.namespaces.get(4026532303)!;
    expect(containerOf(net)).toBe(web);
    expect(isShared(net)).toBe(false);
    expect(containerOf(host.namespaces.get(4026531836)!)).toBeUndefined();
    expect(isShared(host.namespaces.get(4026531836)!)).toBe(true);
  });

  it("understands older keys", () => {
    const host = theirHost((dump) => {
      dump.namespaces["4026532303"].reference = "/run/netns/red";
      dump.processes["1"].cgroup = "/init";
      delete dump.processes["1"].cpucgroup;
      delete dump.processes["1"].tasks;
    });
    expect(host.namespaces.get(4026532303)?.netnsName).toBe("red");
    expect(host.processes.get(1)).toMatchObject({ cgroup: "/init", threads: 1 });
  });
});

describe("what is not a dump", () => {
  it.each([["{"], ["[]"], ['{"namespaces":{}}'], ['{"namespaces":{"1":{"type":"odd"}},"processes":{}}']])("%s is refused", (text) => {
    expect(() => parseDump(text)).toThrow(NotADump);
  });

  it("a newer format is refused", () => {
    const dump = { ...theirs(), "discovery-options": { snapshot: { format: 2 } } };
    expect(() => hostOf(dump)).toThrow(/newer/);
  });

  it("a process that is its own ancestor ends nothing", () => {
    const host = theirHost((dump) => {
      dump.processes["1"].ppid = 8;
    });
    expect([...host.processes.values()].filter((process) => !process.parent)).toHaveLength(1);
    expect(host.processes.get(8)?.container?.id).toBe("aaa");
  });
});

describe("text", () => {
  it("shows characters that nobody sees", () => {
    expect(clean("a\u202eb\u0007")).toBe("a\\u{202e}b\\u{7}");
    expect(clean("é <b>")).toBe("é <b>");
  });
  it("is cleaned wherever it stands in JSON, keys too", () => {
    expect(parseClean('{"a\\u202eb": ["x\\n", {"c": "\u200b", "d": 1}], "e": "fine"}')).toEqual({ "a\\u{202e}b": ["x\\u{a}", { c: "\\u{200b}", d: 1 }], e: "fine" });
    expect(parseClean('"\\u0007"')).toBe("\\u{7}");
  });
  it("undoes octal escapes, not those of other bytes", () => {
    expect(unescapePath("/a\\040b\\134\\377")).toBe("/a b\\\\377");
  });
  it("writes and expands ranges", () => {
    expect(rangesText([[0, 3], [6, 6]])).toBe("0-3,6");
    expect(expand([[0, 2], [6, 6]])).toEqual([0, 1, 2, 6]);
    expect(expand([[0, 1e9]])).toHaveLength(4096);
  });
});
