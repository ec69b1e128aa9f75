// What the page knows: a host, where it is from, what changed in it lately, and the answers of the agent.

import { useEffect, useState } from "preact/hooks";
import type { Envelope, EventLine, GraphAnswer, PortAnswer } from "../data/answers";
import { difference, isOver, type Change, type ChangeKind } from "../data/diff";
import { dumpText, isSameHost, parseDump, patched, readDump, type Dump } from "../data/dump";
import type { LxknsDump } from "../data/dump-types";
import { CHANGES, changeOf, isPassed } from "../data/events";
import { hostOf, type Host } from "../data/host";
import { indexOf, type Index } from "../data/search";
import { clean, parseClean } from "../data/text";
import { S } from "../strings";

export type Source = { kind: "agent" } | { kind: "file"; name: string };

export interface Settings {
  theme: "auto" | "light" | "dark";
  /** Seconds between two looks at the agent; 0 for none. */
  interval: number;
  /** Whether the agent's events are followed. */
  events: boolean;
  /** How long changes stay marked, in seconds. */
  marks: number;
  kernelThreads: boolean;
}

const DEFAULTS: Settings = { theme: "auto", interval: 30, events: true, marks: 60, kernelThreads: true };
const SETTINGS = "lxkns.settings";

export interface Mark {
  change: ChangeKind;
  until: number;
  label: string;
  /** Where it is, unless it is over. */
  href: string | undefined;
  kind: Change["kind"];
  details: string[];
}

/** Something about the agent that is told once. */
export interface Notice {
  kind: "lost" | "resync" | "failed";
  time: Date;
  text: string;
}

/** A state of the agent that this page has seen. */
export interface Kept {
  state: string;
  time: Date;
  dump: Dump;
}

/** How long an answer lasts at least before it is asked for again, in milliseconds. */
const LASTS = 2000;
/** How many answers are kept. */
const MOST_ANSWERS = 500;
/** How many states are kept: they share what is equal. */
const MOST_KEPT = 12;
const MOST_NOTICES = 3;
/** How many marks outlast the next change. */
const MOST_MARKS = 5000;
/** How many namespaces are shown at most that came and went between scans. */
const MOST_PASSED = 200;

/** The parameters of a question; a list where one is repeated. */
export type Params = Record<string, string> | [string, string][];

/** A problem of the agent's, as it says it. */
export class Refused extends Error {}

/** `at` is when the answer came, `took` how long it took, in milliseconds. */
type Asked<T> = { state: "asking" } | { state: "is"; value: T; at?: number; took?: number } | { state: "failed"; why: string };

class Store {
  host: Host | undefined;
  source: Source | undefined;
  /** What is compared with: a second dump, or a state of the agent's. */
  other: { host: Host; name: string } | { state: string; name: string } | undefined;
  loading = false;
  error: string | undefined;
  /** Whether the agent answered when it was asked last. */
  reachable: boolean | undefined;
  /** Whether an agent has answered: one can return to it from a dump. */
  hasAgent = false;
  /** Whether the agent's events arrive. */
  follows = false;
  notices: Notice[] = [];
  kept: Kept[] = [];
  /** The state of the agent that is shown. */
  state: string | undefined;
  loadedAt = 0;
  marks = new Map<string, Mark>();
  settings: Settings = readSettings();
  index: Index = [];

  private dump: Dump | undefined;
  private etag: string | undefined;
  private answers = new Map<string, Asked<unknown>>();
  private files = new Map<string, Envelope<unknown>>();
  private listeners = new Set<() => void>();
  private indexed: unknown;

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(): void {
    for (const listener of this.listeners) listener();
  }

  set(settings: Partial<Settings>): void {
    this.settings = { ...this.settings, ...settings };
    try {
      localStorage.setItem(SETTINGS, JSON.stringify(this.settings));
    } catch {
      // A browser may keep nothing: the settings hold until the page is closed.
    }
    this.emit();
  }

  get live(): boolean {
    return this.source?.kind === "agent";
  }

  /** Looks at the agent, whose last scan is good enough if it is not older than that; what has changed since is marked. */
  async refresh(maxAge = 0): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    this.emit();
    try {
      // Of a state that the agent still has, it sends what changed since.
      const before = this.live && this.state !== undefined ? this.dump : undefined;
      const headers: Record<string, string> = { accept: "application/json", "cache-control": `max-age=${maxAge}` };
      if (before) headers["accept"] = "application/merge-patch+json, application/json";
      else if (this.etag && this.live) headers["if-none-match"] = this.etag;
      const query = before ? `?${new URLSearchParams({ since: this.state! }).toString()}` : "";
      const response = await fetch(`api/v1/snapshot${query}`, { headers, cache: "no-store" });
      if (response.status === 204) {
        this.reachable = false;
      } else if (response.status === 304) {
        this.reachable = true;
        this.loadedAt = scannedAt(response);
        this.error = undefined;
      } else if (!response.ok) {
        // The next request is for everything.
        this.state = undefined;
        throw new Refused(await problem(response));
      } else {
        const isPatch = response.headers.get("content-type")?.startsWith("application/merge-patch+json") ?? false;
        const text = await response.text();
        const state = response.headers.get("lxkns-state") ?? undefined;
        this.state = undefined;
        const dump = isPatch && before ? patched(before, text) : readDump(text);
        this.etag = isPatch ? undefined : (response.headers.get("etag") ?? undefined);
        if (before && this.host && isSameHost(before, dump)) {
          this.dump = dump;
          const { takenAt, tookNsec } = hostTimes(dump);
          Object.assign(this.host, { takenAt, tookNsec });
          this.outdate();
        } else {
          this.show(hostOf(dump.clean), { kind: "agent" }, dump);
        }
        this.reachable = true;
        this.hasAgent = true;
        this.error = undefined;
        this.state = state;
        this.loadedAt = scannedAt(response);
        this.keep();
      }
    } catch (error) {
      this.reachable = false;
      this.error = error instanceof Error ? error.message : String(error);
    } finally {
      this.loading = false;
      this.emit();
    }
  }

  /** The dump that is shown, as it is saved. */
  text(): string {
    return this.dump ? dumpText(this.dump) : "";
  }

  private keep(): void {
    const { state, dump, host } = this;
    if (state === undefined || dump === undefined || this.kept.at(-1)?.state === state) return;
    const last = this.kept.at(-1);
    // Between two that differ by their time alone there is nothing to compare.
    if (last && isSameHost(last.dump, dump)) this.kept.pop();
    this.kept = [...this.kept, { state, time: host?.takenAt ?? new Date(), dump }].slice(-MOST_KEPT);
  }

  /** Has what is shown compared with a state that this page has seen, or that the agent knows. */
  compareWith(state: string, name: string): void {
    const kept = this.kept.find((one) => one.state === state);
    this.other = kept ? { host: hostOf(kept.dump.clean), name } : { state, name };
    this.emit();
  }

  /** What the agent has told, by the kind of the event. Returns whether the host is to be loaded again. */
  heard(kind: string, json: string): boolean {
    let data: unknown;
    try {
      data = parseClean(json);
    } catch {
      return true;
    }
    const { text, state } = data as { text?: string; state?: string };
    switch (kind) {
      case "state":
        this.notices = this.notices.filter((one) => one.kind !== "failed");
        return state !== this.state;
      case "lost":
        this.notice("lost", text ?? kind);
        return true;
      case "resync":
        this.notice("resync", S.notices.resync(text ?? kind));
        return true;
      case "failed":
        this.notice("failed", S.notices.failed(text ?? kind));
        return false;
      default: {
        const line = data as EventLine;
        if (line.namespace !== undefined && isPassed(line)) this.pass(line);
        // A state follows.
        return false;
      }
    }
  }

  /** Marks a namespace that no snapshot has. */
  private pass(line: EventLine): void {
    const { label, details, kind } = changeOf(line);
    const until = Date.now() + this.settings.marks * 1000;
    const passed = [...this.marks.keys()].filter((key) => key.startsWith("passed/"));
    for (const key of passed.slice(0, passed.length + 1 - MOST_PASSED)) this.marks.delete(key);
    this.marks = new Map([...this.marks, [`passed/${label}/${line.time}`, { change: "passed", until, label, href: undefined, kind, details }]]);
    this.emit();
  }

  private notice(kind: Notice["kind"], text: string): void {
    this.notices = [...this.notices.filter((one) => one.kind !== kind || one.text !== text), { kind, text, time: new Date() }].slice(-MOST_NOTICES);
    this.emit();
  }

  dismiss(notice: Notice): void {
    this.notices = this.notices.filter((one) => one !== notice);
    this.emit();
  }

  private show(host: Host, source: Source, dump: Dump): void {
    const before = this.live && source.kind === "agent" ? this.host : undefined;
    if (source.kind === "file") {
      this.state = undefined;
      this.kept = [];
      this.notices = [];
    }
    this.dump = dump;
    this.marks = before ? marked(this.marks, before, host, this.settings.marks) : new Map();
    this.host = host;
    this.source = source;
    this.loadedAt = Date.now();
    if (before) this.outdate();
    else this.answers.clear();
    this.reindex();
  }

  /** Has answers asked for again; the old ones are shown until newer ones are there. */
  private outdate(): void {
    for (const [key, asked] of this.answers) {
      // What differs between two states stays.
      if (asked.state === "failed") this.answers.delete(key);
      else if (!key.startsWith("diff?")) this.stale.add(key);
    }
  }

  private stale = new Set<string>();
  /** What was asked and is not answered yet. */
  private underWay = new Set<string>();

  private reindex(): void {
    this.indexed = undefined;
  }

  /** The search index, made at the first search. */
  searchIndex(): Index {
    if (this.host && this.indexed !== this.host) {
      this.indexed = this.host;
      const links = this.peek<GraphAnswer>("links");
      const ports = this.peek<PortAnswer>("ports");
      this.index = indexOf(this.host, { links: links?.results[0], ports: ports?.results });
    }
    return this.index;
  }

  /** Opens a file: a dump, or a saved answer to `links`, `ports`, ... */
  async open(file: File, compare: boolean): Promise<void> {
    this.error = undefined;
    try {
      const text = await file.text();
      const head = text.slice(0, 4096);
      const name = clean(file.name);
      if (!compare && /"question"\s*:/.test(head) && /"results"\s*:/.test(text)) {
        const envelope = parseClean(text) as Envelope<unknown>;
        this.files.set(envelope.question, envelope);
        this.reindex();
      } else {
        if (compare) {
          this.other = { host: parseDump(text), name };
        } else {
          const dump = readDump(text);
          const host = hostOf(dump.clean);
          this.files.clear();
          this.etag = undefined;
          this.show(host, { kind: "file", name }, dump);
        }
      }
    } catch (error) {
      this.error = S.source.unreadable(clean(file.name), error instanceof Error ? error.message : String(error));
    }
    this.emit();
  }

  /** An answer that is there already. */
  peek<T>(question: string, params: Params = {}): Envelope<T> | undefined {
    const file = this.files.get(question);
    if (file && Object.keys(params).length === 0) return file as Envelope<T>;
    const asked = this.answers.get(keyOf(question, params));
    return asked?.state === "is" ? (asked.value as Envelope<T>) : undefined;
  }

  /**
   * An answer of the agent, asked for if it is not there; what is shown meanwhile. After a change it is asked for again, but
   * not before it has lasted for a while, in milliseconds: a host can change all the time, and some answers cost much.
   */
  ask<T>(question: string, params: Params, lasts = LASTS): Asked<Envelope<T>> | { state: "needs-agent" } {
    const file = this.files.get(question);
    if (file && Object.keys(params).length === 0) return { state: "is", value: file as Envelope<T> };
    if (!this.live) return { state: "needs-agent" };
    const key = keyOf(question, params);
    const known = this.answers.get(key) as Asked<Envelope<T>> | undefined;
    if (known && (!this.stale.has(key) || this.underWay.has(key))) return known;
    if (known?.state === "is" && known.at !== undefined) {
      const rest = known.at + Math.max(lasts, 10 * (known.took ?? 0)) - Date.now();
      if (rest > 0) {
        this.wakeAfter(rest);
        return known;
      }
    }
    this.stale.delete(key);
    const asking: Asked<Envelope<T>> = known ?? { state: "asking" };
    this.answers.set(key, asking);
    // The first is the oldest.
    for (const old of [...this.answers.keys()].slice(0, Math.max(0, this.answers.size - MOST_ANSWERS))) this.answers.delete(old);
    const began = Date.now();
    this.underWay.add(key);
    void this.fetchAnswer<T>(question, params).then((answer) => {
      const at = Date.now();
      this.underWay.delete(key);
      this.answers.set(key, answer.state === "is" ? { ...answer, at, took: at - began } : answer);
      if (question === "links" || question === "ports") this.reindex();
      this.emit();
    });
    return asking;
  }

  private wakes: { at: number; timer: ReturnType<typeof setTimeout> } | undefined;

  /** Has everything drawn again after a time, and what is due asked for. */
  private wakeAfter(rest: number): void {
    const at = Date.now() + rest;
    if (this.wakes && this.wakes.at <= at) return;
    clearTimeout(this.wakes?.timer);
    const timer = setTimeout(() => {
      this.wakes = undefined;
      this.emit();
    }, rest);
    this.wakes = { at, timer };
  }

  private async fetchAnswer<T>(question: string, params: Params): Promise<Asked<Envelope<T>>> {
    try {
      const response = await fetch(answerUrl(question, params), { headers: { accept: "application/json" } });
      if (!response.ok) return { state: "failed", why: await problem(response) };
      const text = await response.text();
      if (response.headers.get("content-type")?.startsWith("application/jsonl")) {
        const lines = text.split("\n").filter((line) => line !== "");
        return { state: "is", value: { format: 1, question, results: lines.map((line) => parseClean(line) as T), gaps: [] } };
      }
      return { state: "is", value: parseClean(text) as Envelope<T> };
    } catch (error) {
      return { state: "failed", why: error instanceof Error ? error.message : String(error) };
    }
  }
}

const keyOf = (question: string, params: Params): string => `${question}?${new URLSearchParams(params).toString()}`;

export function answerUrl(question: string, params: Params): string {
  const query = new URLSearchParams(params).toString();
  return `api/v1/${question}${query ? `?${query}` : ""}`;
}

function hostTimes(dump: Dump): { takenAt: Date | undefined; tookNsec: number | undefined } {
  const { snapshot } = (dump.clean as LxknsDump)["discovery-options"];
  return { takenAt: snapshot?.["taken-at"] ? new Date(snapshot["taken-at"]) : undefined, tookNsec: snapshot?.["took-nsec"] ?? undefined };
}

/** When the scan began that an answer is from. */
const scannedAt = (response: Response): number => Date.now() - 1000 * (Number(response.headers.get("age")) || 0);

/** What the agent says is wrong: problem details (RFC 9457), or the status alone. */
async function problem(response: Response): Promise<string> {
  const type = response.headers.get("content-type") ?? "";
  if (type.includes("json")) {
    const body = (await response.json().catch(() => undefined)) as { title?: string; detail?: string } | undefined;
    const text = body?.detail ?? body?.title;
    if (text) return clean(text);
  }
  return S.source.status(response.status);
}

function marked(old: Map<string, Mark>, before: Host, now: Host, seconds: number): Map<string, Mark> {
  const time = Date.now();
  const marks = new Map([...old].filter(([, mark]) => mark.until > time).slice(-MOST_MARKS));
  for (const { change, key, label, href, kind, details } of difference(before, now).changes) {
    marks.set(key, { change, until: time + seconds * 1000, label, href: isOver(change) ? undefined : href, kind, details });
  }
  return marks;
}

function readSettings(): Settings {
  try {
    const read = JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") as Partial<Settings>;
    return { ...DEFAULTS, ...read };
  } catch {
    return DEFAULTS;
  }
}

export const store = new Store();

/** Draws a component anew when anything in the store changes. */
export function useStore(): Store {
  const [, bump] = useState(0);
  useEffect(() => store.subscribe(() => bump((n) => n + 1)), []);
  return store;
}

/** The kinds of the agent's events. */
const EVENTS = [...CHANGES, "lost", "state", "resync", "failed"];

/** How old a state may be that the agent has told of: it is not to scan again for that. */
const TOLD = 60;
/** The least time between two looks, in milliseconds. */
const LEAST = 300;
/** The longest time until the page looks at what it was told of, in milliseconds. */
const LONGEST = 10_000;

/** When an agent that refused to tell events is asked for them again at the earliest, in milliseconds. */
const REFUSED = 5000;

/** When an agent that does not answer is asked again, in milliseconds. */
const RETRY = 3000;

/** Follows the agent: by its events, and at an interval. */
export function follow(): () => void {
  let events: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = Date.now();
  let took = 0;
  let wanted = false;
  let triedAt = 0;
  /** The last event that was heard, from which the agent can go on. */
  let lastEvent = "";

  const look = async (): Promise<void> => {
    // Whoever looks already makes a plan when that has ended.
    if (store.loading) return;
    const maxAge = wanted ? TOLD : Math.min(5, store.settings.interval);
    wanted = false;
    const began = Date.now();
    await store.refresh(maxAge);
    last = Date.now();
    took = last - began;
    plan();
  };
  const plan = (): void => {
    clearTimeout(timer);
    const { interval } = store.settings;
    // Nobody looks at a page that is hidden.
    if (document.hidden) return;
    if (!store.live) {
      // An agent that failed at first may answer yet.
      if (!store.host && store.error !== undefined) timer = setTimeout(() => void look(), RETRY);
      return;
    }
    // One that does not answer may soon.
    if (store.reachable === false) {
      timer = setTimeout(() => void look(), RETRY);
      return;
    }
    if (interval === 0 && !wanted) return;
    // What costs much is looked at less often.
    const pause = wanted ? Math.min(took * 3, LONGEST) : Math.max(interval * 1000, took * 5);
    timer = setTimeout(() => void look(), Math.max(wanted ? last + LEAST : 0, last + pause) - Date.now());
  };
  const arrange = (): void => {
    const follows = store.live && store.settings.events;
    // The browser gives up on an agent that refused, as one does that is being started; it may have them later.
    if (events?.readyState === EventSource.CLOSED && store.reachable && Date.now() - triedAt > REFUSED) events = undefined;
    if (follows && !events) {
      triedAt = Date.now();
      events = new EventSource(answerUrl("events", lastEvent ? { since: lastEvent } : {}));
      const follows = (now: boolean): void => {
        if (store.follows === now) return;
        store.follows = now;
        store.emit();
      };
      events.onopen = () => follows(true);
      events.onerror = () => follows(false);
      for (const kind of EVENTS) {
        events.addEventListener(kind, (event) => {
          // Errors of the connection have no data.
          if (!("data" in event)) return;
          lastEvent = event.lastEventId || lastEvent;
          if (!store.heard(kind, String(event.data))) return;
          wanted = true;
          plan();
        });
      }
    } else if (!follows && events) {
      events.close();
      events = undefined;
      store.follows = false;
    }
    plan();
  };
  const stop = store.subscribe(arrange);
  document.addEventListener("visibilitychange", plan);
  void look().then(arrange);
  return () => {
    stop();
    document.removeEventListener("visibilitychange", plan);
    clearTimeout(timer);
    events?.close();
  };
}
