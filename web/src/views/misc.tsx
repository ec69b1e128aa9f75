// Search, comparing, settings, help.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import { viewHref } from "../data/address";
import type { EventLine } from "../data/answers";
import { difference, isOver, type Change } from "../data/diff";
import { changeOf, type State } from "../data/events";
import type { Host } from "../data/host";
import { search, type Hit, type HitKind } from "../data/search";
import { S } from "../strings";
import { Answer, Card, Heading, Tag, Unread } from "../ui/bits";
import { Grid, useFilter, type Column, type Tree } from "../ui/grid";
import { store, useStore, type Settings } from "../ui/store";

const KINDS: HitKind[] = ["container", "namespace", "process", "task", "mount", "link", "port"];

export function SearchView({ host, query }: { host: Host; query: string }): JSX.Element {
  useStore();
  const [kind, setKind] = useState<HitKind | "every">("every");
  if (store.live) {
    // What only the agent knows is found too, once it is there.
    store.ask("links", {});
    store.ask("ports", {});
  }
  const index = store.searchIndex();
  const { hits, total } = useMemo(() => search(index, query, 2000, kind === "every" ? undefined : new Set([kind])), [index, query, kind, host]);
  const tree = useMemo((): Tree<Hit> => {
    const numbers = new Map(hits.map((hit, n) => [hit, String(n)]));
    return { roots: hits, key: (hit) => numbers.get(hit)!, href: (hit) => hit.href };
  }, [hits]);
  const columns: Column<Hit>[] = [
    { id: "label", title: S.search.found, width: "minmax(12rem, 1.4fr)", cell: (hit) => <a class="ref" tabIndex={-1} href={hit.href}><bdi class="name">{hit.label}</bdi></a> },
    { id: "kind", title: S.search.kind, width: "minmax(6rem, 0.5fr)", from: 420, cell: (hit) => <Tag kind="dim">{S.kinds[hit.kind]}</Tag> },
    { id: "detail", title: S.search.detail, width: "minmax(10rem, 2fr)", from: 600, cell: (hit) => <bdi class="dim">{hit.detail}</bdi> },
  ];
  return (
    <>
      <Heading title={query ? S.search.title(query) : S.views.search}><p class="lead" role="status">{query ? S.search.count(total, hits.length) : S.search.hint}</p></Heading>
      <Grid
        id="search"
        label={S.views.search}
        columns={columns}
        tree={tree}
        empty={S.search.nothing}
        tools={
          <select aria-label={S.search.kind} value={kind} onChange={(event) => setKind(event.currentTarget.value as HitKind)}>
            <option value="every">{S.search.every}</option>
            {KINDS.map((one) => <option key={one} value={one}>{S.kinds[one]}</option>)}
          </select>
        }
      />
    </>
  );
}

/** The search field of the heading: `/` leads to it, arrows choose a hit. */
export function SearchField(): JSX.Element {
  const [text, setText] = useState("");
  const [at, setAt] = useState(-1);
  const [open, setOpen] = useState(false);
  const closing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const { host } = useStore();
  const hits = useMemo(() => (open && text.trim() && host ? search(store.searchIndex(), text, 8).hits : []), [text, open, host]);
  useEffect(() => {
    const focus = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
      event.preventDefault();
      document.getElementById("search")?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  const visit = (href: string): void => {
    setOpen(false);
    setAt(-1);
    location.hash = href;
    document.getElementById("main")?.focus();
  };
  return (
    <form
      role="search"
      class="search"
      onSubmit={(event) => {
        event.preventDefault();
        const hit = hits[at];
        if (hit) visit(hit.href);
        else if (text.trim()) visit(viewHref("search", { q: text.trim() }));
      }}
    >
      <input
        id="search"
        type="text"
        role="combobox"
        aria-expanded={hits.length > 0}
        aria-controls="search-hits"
        aria-autocomplete="list"
        aria-activedescendant={at >= 0 && hits[at] ? `hit-${at}` : undefined}
        aria-label={S.search.label}
        placeholder={S.search.placeholder}
        autocomplete="off"
        spellcheck={false}
        value={text}
        onFocus={() => {
          clearTimeout(closing.current);
          setOpen(true);
        }}
        onBlur={() => {
          // A hit that is clicked is still there.
          closing.current = setTimeout(() => setOpen(false), 150);
        }}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(-1);
          setOpen(true);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            event.preventDefault();
            const step = event.key === "ArrowDown" ? 1 : -1;
            setAt((n) => (hits.length === 0 ? -1 : (n + step + hits.length + 1) % (hits.length + 1) === hits.length ? -1 : (n + step + hits.length + 1) % (hits.length + 1)));
          } else if (event.key === "Escape") {
            if (open && hits.length > 0) setOpen(false);
            else event.currentTarget.blur();
          }
        }}
      />
      <ul id="search-hits" role="listbox" aria-label={S.search.found} class="hits" hidden={hits.length === 0}>
        {hits.map((hit, n) => (
          <li
            key={n}
            id={`hit-${n}`}
            role="option"
            aria-selected={n === at}
            onMouseDown={(event) => {
              event.preventDefault();
              visit(hit.href);
            }}
          >
            <bdi class="name">{hit.label}</bdi> <span class="dim">{S.kinds[hit.kind]}</span> <bdi class="dim clip">{hit.detail}</bdi>
          </li>
        ))}
      </ul>
    </form>
  );
}

const timeOf = (time: string | Date): string => (typeof time === "string" ? time : time.toISOString()).replace(/\.\d+Z$/, "Z");

/** Chooses what to compare with among the states that this page has seen, and those that the agent still knows. */
function StateChoice(): JSX.Element | null {
  const { kept, live, other } = useStore();
  if (!live || store.state === undefined) return null;
  const asked = store.ask<State>("history", {});
  const seen = kept.slice(0, -1).map(({ state, time }) => ({ state, time: timeOf(time) }));
  const known = asked.state === "is" ? asked.value.results.filter((one) => one.state !== store.state && !seen.some(({ state }) => state === one.state)) : [];
  if (seen.length + known.length === 0) return null;
  const group = (label: string, states: { state: string; time: string }[]): JSX.Element | null =>
    states.length === 0 ? null : <optgroup label={label}>{[...states].reverse().map((one) => <option key={one.state} value={one.state}>{timeOf(one.time)}</option>)}</optgroup>;
  return (
    <select
      aria-label={S.compare.states}
      value={other && "state" in other ? other.state : ""}
      onChange={(event) => {
        const { value, selectedOptions } = event.currentTarget;
        if (value) store.compareWith(value, selectedOptions[0]?.label ?? value);
      }}
    >
      <option value="">{S.compare.states}</option>
      {group(S.compare.kept, seen)}
      {group(S.compare.history, known.map(({ state, time }) => ({ state, time })))}
    </select>
  );
}

export function CompareView({ host }: { host: Host }): JSX.Element {
  const { other } = useStore();
  const [swapped, setSwapped] = useState(false);
  const found = useMemo(() => (other && "host" in other ? (swapped ? difference(host, other.host) : difference(other.host, host)) : undefined), [other, host, swapped]);
  return (
    <>
      <Heading title={S.views.compare}><p class="lead">{S.lead.compare}</p></Heading>
      <div class="tools">
        <FileButton label={S.compare.open} compare />
        <StateChoice />
        {other && <span>{S.compare.with} <strong><bdi>{other.name}</bdi></strong> {"host" in other && other.host.takenAt && <span class="dim">{timeOf(other.host.takenAt)}</span>}</span>}
        {other && "host" in other && <button type="button" onClick={() => setSwapped(!swapped)}>{swapped ? S.compare.thisFirst : S.compare.otherFirst}</button>}
        {!other && store.host && <button type="button" onClick={() => { store.other = { host, name: S.compare.now(host.takenAt) }; store.emit(); }}>{S.compare.keep}</button>}
      </div>
      {found && found.sameBoot === false && <p class="problem">{S.compare.otherBoot}</p>}
      {found && found.sameBoot === undefined && <p class="note"><Unread>{S.compare.unknownBoot}</Unread></p>}
      {found ? <ChangeGrid all={found.changes} />
        : other && "state" in other ? (
          <Answer<EventLine> question="diff" params={{ since: other.state, ...(store.state === undefined ? {} : { until: store.state }) }}>
            {(lines) => <ChangeGrid all={lines.map(changeOf)} />}
          </Answer>
        ) : <p class="note">{S.compare.hint}</p>}
    </>
  );
}

function ChangeGrid({ all }: { all: Change[] }): JSX.Element {
  const [text, input] = useFilter();
  const [kind, setKind] = useState("every");
  const changes = useMemo(() => all.filter((one) => kind === "every" || one.kind === kind), [all, kind]);
  const tree = useMemo((): Tree<Change> => {
    const numbers = new Map(changes.map((change, n) => [change, String(n)]));
    return { roots: changes, key: (change) => numbers.get(change)!, href: (change) => (isOver(change.change) ? undefined : change.href) };
  }, [changes]);
  const match = useMemo(() => (text === "" ? undefined : (change: Change) => `${change.label} ${change.details.join(" ")}`.toLowerCase().includes(text)), [text]);
  const columns: Column<Change>[] = [
    { id: "change", title: S.compare.change, width: "minmax(6.5rem, 0.5fr)", cell: (one) => <Tag kind={`mark-${one.change}`}>{S.marks[one.change]}</Tag>, sort: (a, b) => a.change.localeCompare(b.change) },
    { id: "label", title: S.compare.object, width: "minmax(11rem, 1.2fr)", cell: (one) => (isOver(one.change) ? <bdi>{one.label}</bdi> : <a class="ref" tabIndex={-1} href={one.href}><bdi class="name">{one.label}</bdi></a>) },
    { id: "kind", title: S.search.kind, width: "minmax(6rem, 0.5fr)", from: 620, cell: (one) => <span class="dim">{S.kinds[one.kind]}</span> },
    { id: "details", title: S.search.detail, width: "minmax(10rem, 2fr)", from: 520, cell: (one) => <bdi>{one.details.join("; ")}</bdi> },
  ];
  return (
    <Grid
      id="compare"
      label={S.views.compare}
      columns={columns}
      tree={tree}
      match={match}
      empty={S.compare.same}
      tools={
        <>
          {input}
          <select aria-label={S.search.kind} value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
            <option value="every">{S.search.every}</option>
            {(["namespace", "container", "process", "mount"] as const).map((one) => <option key={one} value={one}>{S.kinds[one]}</option>)}
          </select>
        </>
      }
    />
  );
}

export function FileButton({ label, compare = false }: { label: string; compare?: boolean }): JSX.Element {
  return (
    <label class="button">
      {label}
      <input
        type="file"
        class="sr"
        accept=".json,application/json"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) void store.open(file, compare);
          event.currentTarget.value = "";
        }}
      />
    </label>
  );
}

export function save(text: string, name: string, type: string): void {
  saveBlob(new Blob([text], { type }), name);
}

export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function SettingsView(): JSX.Element {
  const { settings, live, host } = useStore();
  return (
    <>
      <Heading title={S.views.settings} />
      <div class="cards">
        <Card title={S.settings.look}>
          <fieldset>
            <legend>{S.settings.theme}</legend>
            {(["auto", "light", "dark"] as const).map((theme) => (
              <label key={theme} class="check"><input type="radio" name="theme" checked={settings.theme === theme} onChange={() => store.set({ theme })} />{S.settings.themes[theme]}</label>
            ))}
          </fieldset>
          <label class="check"><input type="checkbox" checked={settings.kernelThreads} onChange={(event) => store.set({ kernelThreads: event.currentTarget.checked })} />{S.processes.kernel}</label>
        </Card>
        <Card title={S.settings.agent}>
          {!live && <p class="note">{S.settings.noAgent}</p>}
          <label class="field">{S.settings.interval}
            <select value={String(settings.interval)} onChange={(event) => store.set({ interval: Number(event.currentTarget.value) })}>
              {[0, 1, 5, 10, 30, 60, 300].map((one) => <option key={one} value={String(one)}>{S.settings.every(one)}</option>)}
            </select>
          </label>
          <label class="check"><input type="checkbox" checked={settings.events} onChange={(event) => store.set({ events: event.currentTarget.checked })} />{S.settings.events}</label>
          <label class="field">{S.settings.marks}
            <select value={String(settings.marks)} onChange={(event) => store.set({ marks: Number(event.currentTarget.value) } as Partial<Settings>)}>
              {[10, 60, 300, 3600].map((one) => <option key={one} value={String(one)}>{S.settings.seconds(one)}</option>)}
            </select>
          </label>
        </Card>
        <Card title={S.settings.dumps}>
          <p>{S.settings.dumpHint}</p>
          <p class="pair">
            <FileButton label={S.source.open} />
            <button type="button" disabled={!host} onClick={() => save(store.text(), `lxkns-${host?.name || "host"}.json`, "application/json")}>{S.source.save}</button>
          </p>
        </Card>
      </div>
    </>
  );
}

export function HelpView(): JSX.Element {
  return (
    <>
      <Heading title={S.views.help} />
      <div class="cards">
        <Card title={S.help.keys}>
          <dl>{S.help.keyList.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
        </Card>
        <Card title={S.help.marks}>
          <dl>
            <div><dt><Tag kind="initial">{S.tags.initial}</Tag></dt><dd>{S.help.initial}</dd></div>
            <div><dt><Tag kind="shared">{S.tags.shared}</Tag></dt><dd>{S.help.shared}</dd></div>
            <div><dt><Tag kind="orphan">{S.tags.orphan}</Tag></dt><dd>{S.help.orphan}</dd></div>
            <div><dt><Tag kind="hidden">{S.tags.hidden}</Tag></dt><dd>{S.help.hidden}</dd></div>
            <div><dt><Unread>{S.notKnown}</Unread></dt><dd>{S.help.unread}</dd></div>
          </dl>
        </Card>
        <Card title={S.help.search}><p>{S.help.searchText}</p></Card>
        <Card title={S.help.dumps}><p>{S.help.dumpText}</p><pre><code>lxkns dump {">"}host.json{"\n"}lxkns links --json {">"}links.json</code></pre></Card>
      </div>
    </>
  );
}
