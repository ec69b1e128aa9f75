import { describe, expect, it } from "vitest";
import { dumpText, isSameHost, merged, parseDump, patched, readDump } from "../src/data/dump";
import { changeOf, isPassed } from "../src/data/events";
import { hostOf } from "../src/data/host";
import { theirs } from "./dumps";

describe("a merge patch", () => {
  // The examples of RFC 7396, appendix A.
  it.each([
    [{ a: "b" }, { a: "c" }, { a: "c" }], [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }], [{ a: "b" }, { a: null }, {}], [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }], [{ a: "c" }, { a: ["b"] }, { a: ["b"] }], [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }], [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [["a", "b"], ["c", "d"], ["c", "d"]], [{ a: "b" }, ["c"], ["c"]], [{ a: "foo" }, null, null], [{ a: "foo" }, "bar", "bar"], [{ e: null }, { a: 1 }, { e: null, a: 1 }], [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("%j with %j is %j", (target, patch, result) => {
    const before = structuredClone(target);
    expect(merged(target, patch)).toEqual(result);
    expect(target).toEqual(before);
  });

  it("takes no key for a prototype", () => {
    const made = merged({}, JSON.parse('{"__proto__": {"polluted": 1}}')) as object;
    expect(Object.keys(made)).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("shares what is equal, and leaves the dump before it", () => {
    const before = readDump(JSON.stringify(theirs()));
    const after = patched(before, JSON.stringify({ processes: { 8: null, 7: { name: "other" } } }));
    const [old, now] = [before, after].map((dump) => dump.raw as Record<string, Record<string, unknown>>);
    expect(now!["namespaces"]).toBe(old!["namespaces"]);
    expect(now!["processes"]!["1"]).toBe(old!["processes"]!["1"]);
    expect(hostOf(before.clean).processes.get(8)?.name).toBe("worker");
    expect(hostOf(after.clean).processes.has(8)).toBe(false);
    expect(hostOf(after.clean).processes.get(7)?.name).toBe("other");
  });

  it("is clean where the dump was not, and the other way round", () => {
    const [plain, odd] = [{ processes: { 7: { name: "plain" } } }, { processes: { 7: { name: "a\u202eb" } } }];
    const dump = readDump(JSON.stringify(theirs()));
    const first = patched(dump, JSON.stringify(odd));
    const second = patched(first, JSON.stringify({ processes: { 8: { name: "x" } } }));
    expect(hostOf(second.clean).processes.get(7)?.name).toBe("a\\u{202e}b");
    expect(JSON.parse(dumpText(second)).processes["7"].name).toBe("a\u202eb");
    expect(hostOf(patched(second, JSON.stringify(plain)).clean).processes.get(7)?.name).toBe("plain");
  });

  it("of the time alone leaves the host the same", () => {
    const dump = readDump(JSON.stringify({ ...theirs(), "discovery-options": { snapshot: { format: 1, "taken-at": "a", hostname: "h" } } }));
    const later = patched(dump, '{"discovery-options":{"snapshot":{"taken-at":"b","took-nsec":5}}}');
    expect(isSameHost(dump, later)).toBe(true);
    expect(isSameHost(dump, patched(later, '{"discovery-options":{"snapshot":{"hostname":"i"}}}'))).toBe(false);
    expect(isSameHost(dump, patched(later, '{"processes":{"8":null}}'))).toBe(false);
    expect(isSameHost(dump, patched(later, '{"mounts":{"1":{}}}'))).toBe(false);
  });
});

describe("a dump that is saved", () => {
  it("is what came, unique IDs too", () => {
    const text = JSON.stringify({ ...theirs(), containers: { "7": { labels: { x: '"unique-id":18446744073709551615' } } } }).replace('"nsid":4026532303', '"nsid":4026532303,"unique-id":18446744073709551615');
    expect(dumpText(readDump(text))).toBe(text);
    expect(parseDump(text).namespaces.get(4026532303)?.uniqueId).toBe("18446744073709551615");
  });
});

describe("an event", () => {
  const namespace = { nsid: 4026532303, type: "net", "netns-name": "blue", initial: false, owner: null, "unique-id": null };
  const process = { pid: 7, command: null };
  it("is a change in words", () => {
    expect(changeOf({ change: "went", namespace, holders: [] })).toMatchObject({ change: "went", label: "net:[4026532303]", details: ["netns blue"] });
    expect(changeOf({ change: "vanished", namespace, holders: [] }).change).toBe("unseen");
    expect(changeOf({ change: "process-left", namespace, process: { pid: 7, command: "web" }, to: 5 })).toMatchObject({ change: "changed", details: ["process left", "netns blue", "web 7", "→ net:[5]"] });
    expect(changeOf({ change: "holder-went", namespace, holder: { kind: "fd", pid: 3, release: [] } }).details.at(-1)).toMatch(/ 3$/);
    expect(changeOf({ change: "of-a-later-version", namespace }).details).toContain("of-a-later-version");
  });
  it("of a namespace that no scan has seen is told from others", () => {
    expect(isPassed({ change: "went", namespace, process })).toBe(true);
    expect(isPassed({ change: "went", namespace, holders: [] })).toBe(false);
    expect(isPassed({ change: "appeared", namespace, process })).toBe(false);
  });
});
