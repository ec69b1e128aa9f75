// A dump as JSON: kept as it came, to be saved and patched, and with clean texts, to be shown.

import { S } from "../strings";
import { hostOf, isObject, NotADump, type Host } from "./host";
import { isSuspicious, parseClean } from "./text";

export interface Dump {
  /** As it came; unique IDs are texts. */
  raw: unknown;
  /** The same with clean texts: `raw` itself where that has no others. */
  clean: unknown;
}

/** Unique IDs can exceed what a JavaScript number can hold. */
const withTexts = (json: string): string => json.replace(/("unique-id"\s*:\s*)(\d{16,})/g, '$1"$2"');
const withNumbers = (json: string): string => json.replace(/("unique-id":)"(\d{16,})"/g, "$1$2");

function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new NotADump(S.dump.notJson(error instanceof Error ? error.message : String(error)));
  }
}

export function readDump(json: string): Dump {
  const text = withTexts(json);
  return parsed(() => {
    const raw: unknown = JSON.parse(text);
    return { raw, clean: isSuspicious(text) ? parseClean(text) : raw };
  });
}

/** The dump that a merge patch makes of another, which stays as it is: they share what is equal. */
export function patched(dump: Dump, json: string): Dump {
  const text = withTexts(json);
  return parsed(() => {
    const raw = merged(dump.raw, JSON.parse(text));
    if (dump.clean === dump.raw && !isSuspicious(text)) return { raw, clean: raw };
    return { raw, clean: merged(dump.clean, parseClean(text)) };
  });
}

/** Whether only the time differs between two dumps, of which one is the other patched. */
export function isSameHost(a: Dump, b: Dump): boolean {
  const [one, other] = [a.raw, b.raw];
  if (!isObject(one) || !isObject(other)) return false;
  const options = (dump: Record<string, unknown>): Record<string, unknown> => (isObject(dump["discovery-options"]) ? dump["discovery-options"] : {});
  const snapshot = (dump: Record<string, unknown>): unknown => options(dump)["snapshot"];
  return (
    differing(one, other).every((key) => key === "discovery-options") &&
    differing(options(one), options(other)).every((key) => key === "snapshot") &&
    differing(snapshot(one), snapshot(other)).every((key) => key === "taken-at" || key === "took-nsec")
  );
}

function differing(a: unknown, b: unknown): string[] {
  if (a === b) return [];
  if (!isObject(a) || !isObject(b)) return [""];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]);
}

/** The dump as it is saved. */
export const dumpText = (dump: Dump): string => withNumbers(JSON.stringify(dump.raw));

/** RFC 7396; what does not change is shared with `target`. */
export function merged(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else result.set(key, merged(result.get(key), value));
  }
  return Object.fromEntries(result);
}

/** Parses a dump of lxkns, also one of the Go program. */
export const parseDump = (json: string): Host => hostOf(readDump(json).clean);
