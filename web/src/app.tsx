import { Component } from "preact";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { viewHref, type Address, type ObjectRef, type View } from "./data/address";
import { TYPES, type Host, type TypeName } from "./data/host";
import { S } from "./strings";
import { useAddress } from "./ui/router";
import { follow, store, useStore, type Mark } from "./ui/store";
import { AuditView, GapsView, OrphansView, PortsView } from "./views/answers";
import { ContainersView, MatrixView } from "./views/containers";
import { ContainerView, Gone, LinkView, NsView, ProcessView, TaskView } from "./views/details";
import { CompareView, FileButton, HelpView, save, SearchField, SearchView, SettingsView } from "./views/misc";
import { MountNamespacesView, MountsView, MountView } from "./views/mounts";
import { AllView, TypeView } from "./views/namespaces";
import { CpusView, ProcessesView } from "./views/processes";
import { WiringView } from "./views/wiring";

const MENU: [string, View[]][] = [
  [S.menu.namespaces, ["all", ...TYPES]],
  [S.menu.host, ["containers", "matrix", "processes", "cpus", "mounts"]],
  [S.menu.network, ["wiring", "ports"]],
  [S.menu.judge, ["orphans", "audit", "gaps", "compare"]],
];

export function App(): JSX.Element {
  const { host, error, settings, loading, notices } = useStore();
  const address = useAddress();
  const [menu, setMenu] = useState(false);
  const main = useRef<HTMLElement>(null);
  useEffect(() => follow(), []);
  useEffect(() => {
    const root = document.documentElement;
    if (settings.theme === "auto") delete root.dataset["theme"];
    else root.dataset["theme"] = settings.theme;
  }, [settings.theme]);
  useEffect(() => {
    setMenu(false);
    document.title = titleOf(address, host);
  }, [address, host]);
  useEffect(() => {
    main.current?.scrollTo(0, 0);
    // What had the focus may be gone with its view.
    if (document.activeElement === document.body) main.current?.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }, [address]);
  useDrop();
  useEffect(() => {
    const escape = (event: KeyboardEvent): void => {
      if (event.key === "Escape") setMenu(false);
    };
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, []);
  return (
    <div class={menu ? "app menu-open" : "app"}>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{S.skip}</a>
      <header class="top">
        <button type="button" class="menu-button" aria-expanded={menu} aria-controls="menu" onClick={() => setMenu(!menu)}>
          <span aria-hidden="true">☰</span><span class="sr">{S.menu.title}</span>
        </button>
        <a class="brand" href="#/">lxkns</a>
        <SearchField />
        <SourceState />
      </header>
      <nav id="menu" aria-label={S.menu.title}>
        {MENU.map(([title, views]) => (
          <div key={title}>
            <h2>{title}</h2>
            <ul>
              {views.map((view) => (
                <li key={view}>
                  <a href={viewHref(view)} aria-current={isAt(address, view) ? "page" : undefined}>
                    {(TYPES as readonly string[]).includes(view) ? <><span class={`type type-${view}`}>{view}</span> {S.typesShort[view as TypeName]}</> : S.views[view]}
                    <MenuCount host={host} view={view} />
                  </a>
                </li>
              ))}
            </ul>
          </div>
        ))}
        <ul class="foot">
          <li><a href={viewHref("settings")} aria-current={isAt(address, "settings") ? "page" : undefined}>{S.views.settings}</a></li>
          <li><a href={viewHref("help")} aria-current={isAt(address, "help") ? "page" : undefined}>{S.views.help}</a></li>
        </ul>
      </nav>
      <main id="main" ref={main} tabIndex={-1}>
        {error && <p class="problem" role="alert">{error}</p>}
        {notices.map((notice) => (
          <p key={notice.text} class="note notice" role="status">
            <time>{notice.time.toTimeString().slice(0, 8)}</time> <span>{notice.text}</span>
            <button type="button" onClick={() => store.dismiss(notice)}>{S.notices.dismiss}</button>
          </p>
        ))}
        <Catch key={location.hash}>
          {address.kind === "view" && address.view === "help" ? <HelpView />
            : address.kind === "view" && address.view === "settings" ? <SettingsView />
            : host ? <Shown host={host} address={address} />
            : <Welcome loading={loading} />}
        </Catch>
      </main>
    </div>
  );
}

/** A fault in one view leaves the others alone. */
class Catch extends Component<{ children: ComponentChildren }, { error?: Error }> {
  override state: { error?: Error } = {};
  static override getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }
  override render(): ComponentChildren {
    return this.state.error ? <p class="problem" role="alert">{S.fault(this.state.error.message)}</p> : this.props.children;
  }
}

function MenuCount({ host, view }: { host: Host | undefined; view: View }): JSX.Element | null {
  if (!host) return null;
  const counts: Partial<Record<View, number>> = { all: host.namespaces.size, containers: host.containers.length, processes: host.processes.size, gaps: host.gaps.length };
  const count = (TYPES as readonly string[]).includes(view) ? host.byType[view as TypeName].length : counts[view];
  return count === undefined ? null : <span class="menu-count">{count}</span>;
}

function isAt(address: Address, view: View): boolean {
  if (address.kind === "view") return address.view === view;
  if (address.kind !== "object") return false;
  const home: Partial<Record<ObjectRef["kind"], View>> = { process: "processes", task: "processes", container: "containers", mounts: "mounts", mount: "mounts", link: "wiring", cpu: "cpus" };
  return home[address.object.kind] === view;
}

function titleOf(address: Address, host: Host | undefined): string {
  const where = address.kind === "view" ? S.views[address.view] : address.kind === "object" ? location.hash.slice(2) : "";
  return [where, host?.name, "lxkns"].filter(Boolean).join(" · ");
}

function Shown({ host, address }: { host: Host; address: Address }): JSX.Element {
  if (address.kind === "unknown") return <Gone>{S.gone.address(address.text)}</Gone>;
  if (address.kind === "object") return <ObjectView host={host} object={address.object} />;
  switch (address.view) {
    case "all": return <AllView host={host} />;
    case "containers": return <ContainersView host={host} />;
    case "matrix": return <MatrixView host={host} />;
    case "mounts": return <MountNamespacesView host={host} />;
    case "processes": return <ProcessesView host={host} />;
    case "cpus": return <CpusView host={host} />;
    case "wiring": return <WiringView host={host} only={Number(address.query.get("ns")) || undefined} />;
    case "ports": return <PortsView host={host} />;
    case "orphans": return <OrphansView host={host} />;
    case "audit": return <AuditView host={host} />;
    case "gaps": return <GapsView host={host} />;
    case "compare": return <CompareView host={host} />;
    case "search": return <SearchView host={host} query={address.query.get("q") ?? ""} />;
    case "settings": return <SettingsView />;
    case "help": return <HelpView />;
    default: return <TypeView key={address.view} host={host} type={address.view} />;
  }
}

function ObjectView({ host, object }: { host: Host; object: ObjectRef }): JSX.Element {
  switch (object.kind) {
    case "ns": {
      const ns = host.namespaces.get(object.id);
      return ns ? <div class="scroll"><NsView host={host} ns={ns} /></div> : <Gone was={`ns/${object.id}`}>{S.gone.ns(object.id)}</Gone>;
    }
    case "process": {
      const process = host.processes.get(object.pid);
      return process ? <div class="scroll"><ProcessView host={host} process={process} /></div> : <Gone was={`process/${object.pid}`}>{S.gone.process(object.pid)}</Gone>;
    }
    case "task": {
      const task = host.tasks.get(object.tid);
      return task ? <div class="scroll"><TaskView host={host} task={task} /></div> : <Gone>{S.gone.task(object.tid)}</Gone>;
    }
    case "container": {
      const container = host.containers.find((one) => one.key === object.key);
      return container ? <div class="scroll"><ContainerView host={host} container={container} /></div> : <Gone was={`container/${object.key}`}>{S.gone.container(object.key)}</Gone>;
    }
    case "mounts": return <MountsView host={host} mntns={object.mntns} />;
    case "mount": return <div class="scroll"><MountView host={host} mntns={object.mntns} id={object.id} /></div>;
    case "link": return <div class="scroll"><LinkView host={host} netns={object.netns} index={object.index} /></div>;
    case "cpu": return <CpusView host={host} cpu={object.cpu} />;
  }
}

function Welcome({ loading }: { loading: boolean }): JSX.Element {
  return (
    <section class="welcome">
      <h1>lxkns</h1>
      {loading ? <p role="status">{S.asking}</p> : (
        <>
          <p>{store.error === undefined ? S.welcome.noAgent : S.welcome.failed}</p>
          <p><FileButton label={S.source.open} /></p>
          <p class="dim">{S.welcome.drop}</p>
          <pre><code>lxkns dump {">"}host.json</code></pre>
        </>
      )}
    </section>
  );
}

/** What is shown, from where, and how old it is. */
function SourceState(): JSX.Element {
  const { host, source, loading, reachable, marks, follows } = useStore();
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const fresh = [...marks.values()].filter((mark) => mark.until > now);
  return (
    <div class="source">
      {host && (
        <span class="source-text" title={host.kernel}>
          <strong><bdi>{host.name || S.source.unnamed}</bdi></strong>{" "}
          {source?.kind === "file" ? <span class="dim"><bdi>{source.name}</bdi></span> : (
            <span class={reachable ? "dim" : "warn-text"}>{reachable ? S.source.age(Math.max(0, Math.round((now - store.loadedAt) / 1000))) : S.source.lost(Math.round((now - store.loadedAt) / 1000))}</span>
          )}
          {reachable && follows && <> <span class="tag state-running" title={S.source.liveHint}>{S.source.live}</span></>}
        </span>
      )}
      {fresh.length > 0 && <Changes marks={fresh} />}
      {source?.kind !== "file" && <button type="button" disabled={loading} onClick={() => void store.refresh()} title={S.source.refresh}><span aria-hidden="true">⟳</span><span class="sr">{S.source.refresh}</span></button>}
      {source?.kind === "file" && store.hasAgent && <button type="button" disabled={loading} onClick={() => void store.refresh()}>{S.source.back}</button>}
      <FileButton label={S.source.openShort} />
      {host && <button type="button" class="wide-only" onClick={() => save(store.text(), `lxkns-${host?.name || "host"}.json`, "application/json")}>{S.source.saveShort}</button>}
    </div>
  );
}

function Changes({ marks }: { marks: Mark[] }): JSX.Element {
  return (
    <details class="changes">
      <summary>{S.source.changes(marks.length)}</summary>
      <ul>{marks.slice(-60).reverse().map((mark, n) => <li key={n}><span class={`tag mark-${mark.change}`}>{S.marks[mark.change]}</span> {mark.href === undefined ? <bdi>{mark.label}</bdi> : <a href={mark.href}><bdi>{mark.label}</bdi></a>} <bdi class="dim">{mark.details.join("; ")}</bdi></li>)}</ul>
    </details>
  );
}

/** Files that are dropped anywhere are opened. */
function useDrop(): void {
  useEffect(() => {
    const over = (event: DragEvent): void => event.preventDefault();
    const drop = (event: DragEvent): void => {
      event.preventDefault();
      const compare = location.hash.startsWith("#/compare") && store.host !== undefined;
      for (const file of event.dataTransfer?.files ?? []) void store.open(file, compare);
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, []);
}
