// What the page knows: a host, where it is from, what changed in it lately, and the answers of the agent.

import { useEffect, useState } from "preact/hooks";
import type { Envelope, GraphAnswer, PortAnswer } from "../data/answers";
import { difference, type ChangeKind } from "../data/diff";
import { parseDump, type Host } from "../data/host";
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
  href: string;
}

/** A problem of the agent's, as it says it. */
export class Refused extends Error {}

type Asked<T> = { state: "asking" } | { state: "is"; value: T } | { state: "failed"; why: string };

class Store {
  host: Host | undefined;
  source: Source | undefined;
  /** A second dump, to compare with. */
  other: { host: Host; name: string } | undefined;
  loading = false;
  error: string | undefined;
  /** Whether the agent answered when it was asked last. */
  reachable: boolean | undefined;
  /** The dump as it came, to be saved. */
  text = "";
  loadedAt = 0;
  marks = new Map<string, Mark>();
  settings: Settings = readSettings();
  index: Index = [];

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
      const headers: Record<string, string> = { accept: "application/json", "cache-control": `max-age=${maxAge}` };
      if (this.etag && this.live) headers["if-none-match"] = this.etag;
      const response = await fetch("api/v1/snapshot", { headers, cache: "no-store" });
      if (response.status === 204) {
        this.reachable = false;
      } else if (response.status === 304) {
        this.reachable = true;
        this.loadedAt = scannedAt(response);
        this.error = undefined;
      } else if (!response.ok) {
        throw new Refused(await problem(response));
      } else {
        const text = await response.text();
        const host = parseDump(text);
        this.etag = response.headers.get("etag") ?? undefined;
        this.reachable = true;
        this.error = undefined;
        this.text = text;
        this.show(host, { kind: "agent" });
        this.loadedAt = scannedAt(response);
      }
    } catch (error) {
      this.reachable = false;
      this.error = error instanceof Error ? error.message : String(error);
    } finally {
      this.loading = false;
      this.emit();
    }
  }

  private show(host: Host, source: Source): void {
    const before = this.live && source.kind === "agent" ? this.host : undefined;
    this.marks = before ? marked(this.marks, before, host, this.settings.marks) : new Map();
    this.host = host;
    this.source = source;
    this.loadedAt = Date.now();
    // Old answers are shown until newer ones are there.
    if (before) for (const [key, asked] of this.answers) asked.state === "is" ? this.stale.add(key) : this.answers.delete(key);
    else this.answers.clear();
    this.reindex();
  }

  private stale = new Set<string>();

  private reindex(): void {
    this.indexed = undefined;
  }

  /** The search index, made when somebody searches. */
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
        const host = parseDump(text);
        if (compare) {
          this.other = { host, name };
        } else {
          this.files.clear();
          this.text = text;
          this.etag = undefined;
          this.show(host, { kind: "file", name });
        }
      }
    } catch (error) {
      this.error = S.source.unreadable(clean(file.name), error instanceof Error ? error.message : String(error));
    }
    this.emit();
  }

  /** An answer that is there already. */
  peek<T>(question: string, params: Record<string, string> = {}): Envelope<T> | undefined {
    const file = this.files.get(question);
    if (file && Object.keys(params).length === 0) return file as Envelope<T>;
    const asked = this.answers.get(keyOf(question, params));
    return asked?.state === "is" ? (asked.value as Envelope<T>) : undefined;
  }

  /** An answer of the agent, asked for if it is not there; what is shown meanwhile. */
  ask<T>(question: string, params: Record<string, string>): Asked<Envelope<T>> | { state: "needs-agent" } {
    const file = this.files.get(question);
    if (file && Object.keys(params).length === 0) return { state: "is", value: file as Envelope<T> };
    if (!this.live) return { state: "needs-agent" };
    const key = keyOf(question, params);
    const known = this.answers.get(key) as Asked<Envelope<T>> | undefined;
    if (known && !this.stale.has(key)) return known;
    this.stale.delete(key);
    const asking: Asked<Envelope<T>> = known ?? { state: "asking" };
    this.answers.set(key, asking);
    void this.fetchAnswer<T>(question, params).then((answer) => {
      this.answers.set(key, answer);
      if (question === "links" || question === "ports") this.reindex();
      this.emit();
    });
    return asking;
  }

  private async fetchAnswer<T>(question: string, params: Record<string, string>): Promise<Asked<Envelope<T>>> {
    try {
      const response = await fetch(answerUrl(question, params), { headers: { accept: "application/json" } });
      if (!response.ok) return { state: "failed", why: await problem(response) };
      return { state: "is", value: parseClean(await response.text()) as Envelope<T> };
    } catch (error) {
      return { state: "failed", why: error instanceof Error ? error.message : String(error) };
    }
  }
}

const keyOf = (question: string, params: Record<string, string>): string => `${question}?${new URLSearchParams(params).toString()}`;

export function answerUrl(question: string, params: Record<string, string>): string {
  const query = new URLSearchParams(params).toString();
  return `api/v1/${question}${query ? `?${query}` : ""}`;
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
  const marks = new Map([...old].filter(([, mark]) => mark.until > time));
  for (const { change, key, label, href } of difference(before, now).changes) {
    marks.set(key, { change, until: time + seconds * 1000, label, href });
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

/** The kinds of the agent's events, which are those of `lxkns diff`. */
const EVENTS = [
  "change", "changed", "went", "vanished", "hidden", "unseen", "appeared", "seen", "last-task-left", "first-task-came", "leader", "owner-known", "parent-known", "process-left",
  "process-entered", "holder-went", "holder-came", "lost",
];

/** When an agent that does not answer is asked again, in milliseconds. */
const RETRY = 3000;

/** Follows the agent: by its events, and at an interval. */
export function follow(): () => void {
  let events: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = Date.now();
  let took = 0;
  let wanted = false;
  let heardAt = 0;
  let triedAt = 0;

  const look = async (): Promise<void> => {
    // After an event a second has passed, so that a scan of that age has seen what it tells of.
    const maxAge = wanted ? 1 : Math.min(5, store.settings.interval);
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
    const pause = wanted ? took * 5 : Math.max(interval * 1000, took * 5);
    timer = setTimeout(() => void look(), Math.max(wanted ? heardAt + 1000 : 0, last + pause) - Date.now());
  };
  const arrange = (): void => {
    const follows = store.live && store.settings.events;
    // The browser gives up on an agent that refused; it may have them later.
    if (events?.readyState === EventSource.CLOSED && Date.now() - triedAt > 60_000) events = undefined;
    if (follows && !events) {
      triedAt = Date.now();
      events = new EventSource("api/v1/events");
      const heard = (): void => {
        // The first of several counts: the look is not put off again and again.
        if (!wanted) heardAt = Date.now();
        wanted = true;
        plan();
      };
      events.onmessage = heard;
      for (const kind of EVENTS) events.addEventListener(kind, heard);
    } else if (!follows && events) {
      events.close();
      events = undefined;
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
