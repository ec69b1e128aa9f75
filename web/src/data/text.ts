// Text that comes from processes, containers and mounts.

// Control, invisible and bidirectional characters.
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]/g;

/** Text with each control, invisible and bidirectional character written as `\u{...}`. */
export function clean(text: string): string {
  UNSAFE.lastIndex = 0;
  return UNSAFE.test(text) ? text.replace(UNSAFE, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`) : text;
}

/** Where JSON may have such characters in a string: as they are, or as escapes. */
const SUSPICIOUS =
  /\\[ubfnrt]|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]/;

/** Whether JSON may have strings that are not clean. */
export const isSuspicious = (json: string): boolean => SUSPICIOUS.test(json);

/** Parses JSON; all strings in the result are clean, keys too. */
export function parseClean(json: string): unknown {
  const whole: unknown[] = [JSON.parse(json)];
  if (isSuspicious(json)) cleanAll(whole);
  return whole[0];
}

function cleanAll(root: unknown[]): void {
  const stack: object[] = [root];
  for (let at = stack.pop(); at; at = stack.pop()) {
    const container = at as Record<string, unknown>;
    for (const key of Object.keys(container)) {
      const inside = container[key];
      const better = Array.isArray(container) ? key : clean(key);
      if (better !== key) delete container[key];
      if (typeof inside === "string") container[better] = clean(inside);
      else {
        if (better !== key) container[better] = inside;
        if (typeof inside === "object" && inside !== null) stack.push(inside);
      }
    }
  }
}

export type Text = string | { escaped: string };

/** A text of a dump: a string, or its escaped form where it is not UTF-8. */
export function textOf(text: Text | undefined): string | undefined {
  if (text === undefined) return undefined;
  return clean(typeof text === "string" ? text : text.escaped);
}

/** Undoes the octal escapes of mountinfo; bytes that are not UTF-8 stay escaped. */
export function unescapePath(path: string): string {
  const decoded = path.replace(/\\(040|011|012|134)/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return clean(decoded);
}

/** Compares as people sort: `eth2` before `eth10`. */
export const collate = new Intl.Collator("en", { numeric: true }).compare;

/** Inclusive ranges as in `0-3,6`. */
export function rangesText(ranges: readonly Range[]): string {
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

export type Range = [number, number];

/** The numbers in ranges, at most `limit` of them. */
export function expand(ranges: readonly Range[], limit = 4096): number[] {
  const all: number[] = [];
  for (const [first, last] of ranges) {
    for (let n = first; n <= last && all.length < limit; n++) all.push(n);
  }
  return all;
}

/** `64 MiB`: in the unit that gives at least one. */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; count /= 1024) unit++;
  return `${Math.floor(count * 1000) / 1000} ${units[unit]}`;
}
