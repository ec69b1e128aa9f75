// Containers: by engine and group, and as a matrix of what they share.

import { useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { hrefOf, viewHref } from "../data/address";
import type { ContainerAnswer } from "../data/answers";
import { capabilityNames } from "../data/capabilities";
import { keyOf } from "../data/diff";
import { containerOf, nsName, TYPES, type Container, type Engine, type Group, type Host, type Ns, type TypeName } from "../data/host";
import { collate } from "../data/text";
import { S } from "../strings";
import { ContainerRef, Heading, NsRef, NsTags, Over, ProcRef, Tag, Unread } from "../ui/bits";
import { Grid, useFilter, type Column, type Tree } from "../ui/grid";
import { store, useStore } from "../ui/store";

type Node =
  | { kind: "head"; key: string; title: string; detail: string; containers: Container[] }
  | { kind: "container"; container: Container }
  | { kind: "ns"; ns: Ns; of: Container }
  | { kind: "missing"; type: TypeName; id: number | undefined };

const containerText = (one: Container): string =>
  [one.name, one.id, one.image, one.state, one.pod, one.type, ...one.groups.map((group) => group.name), ...one.labels.map(([key, value]) => `${key}=${value}`)].join(" ").toLowerCase();

const engineHead = (engine: Engine): Node => ({
  kind: "head",
  key: `e${engine.key}`,
  title: engine.type,
  detail: [engine.version, engine.api, engine.unseen ? S.containers.unseenEngine : undefined].filter(Boolean).join(" · "),
  containers: engine.containers,
});

const groupHead = (group: Group): Node => ({ kind: "head", key: `g${group.key}`, title: group.name, detail: group.type, containers: group.containers });

function namespacesOf(host: Host, container: Container): Node[] {
  return TYPES.map((type): Node => {
    const id = container.namespaces[type];
    const ns = id === undefined ? undefined : host.namespaces.get(id);
    return ns ? { kind: "ns", ns, of: container } : { kind: "missing", type, id };
  });
}

export function ContainersView({ host }: { host: Host }): JSX.Element {
  const { marks } = useStore();
  const [by, setBy] = useState<"engine" | "group">("engine");
  const [text, input] = useFilter();
  const tree = useMemo((): Tree<Node> => {
    const grouped = new Set(host.groups.flatMap((group) => group.containers));
    const heads = by === "engine" ? host.engines.map(engineHead) : host.groups.map(groupHead);
    const rest = host.containers.filter((one) => (by === "engine" ? !one.engine : !grouped.has(one)));
    if (rest.length > 0) heads.push({ kind: "head", key: "rest", title: by === "engine" ? S.containers.noEngine : S.containers.noGroup, detail: "", containers: rest });
    return {
      roots: heads,
      children: (node) => {
        if (node.kind === "head") return [...node.containers].sort((a, b) => collate(a.name, b.name)).map((container): Node => ({ kind: "container", container }));
        return node.kind === "container" && node.container.process ? namespacesOf(host, node.container) : [];
      },
      key: (node) => (node.kind === "head" ? node.key : node.kind === "container" ? `c${node.container.index}` : node.kind === "ns" ? `n${node.ns.id}` : node.type),
      href: (node) => (node.kind === "container" ? hrefOf({ kind: "container", key: node.container.key }) : node.kind === "ns" ? hrefOf({ kind: "ns", id: node.ns.id }) : undefined),
      mark: (node) => (node.kind === "container" ? marks.get(keyOf.container(node.container))?.change : undefined),
    };
  }, [host, by, marks]);
  const match = useMemo(() => (text === "" ? undefined : (node: Node) => (node.kind === "container" ? containerText(node.container).includes(text) : node.kind === "ns" && nsName(node.ns).includes(text))), [text]);
  const columns: Column<Node>[] = [
    {
      id: "name",
      title: S.columns.container,
      width: "minmax(15rem, 2fr)",
      cell: (node) => {
        switch (node.kind) {
          case "head": return <span><strong><bdi>{node.title}</bdi></strong> <bdi class="dim">{node.detail}</bdi></span>;
          case "container": return <ContainerRef container={node.container} inRow />;
          case "ns": return <><NsRef ns={node.ns} inRow /><NsTags ns={node.ns} /></>;
          case "missing": return <><span class={`type type-${node.type}`}>{node.type}</span> <Unread>{S.notKnown}</Unread></>;
        }
      },
    },
    {
      id: "state",
      title: S.columns.state,
      width: "minmax(6rem, 0.6fr)",
      from: 480,
      cell: (node) => (node.kind === "container" ? <State container={node.container} /> : node.kind === "head" ? <span class="dim">{S.containers.count(node.containers.length)}</span> : null),
    },
    { id: "image", title: S.columns.image, width: "minmax(9rem, 1fr)", from: 760, cell: (node) => (node.kind === "container" ? <bdi class="dim">{node.container.image}</bdi> : null) },
    { id: "process", title: S.columns.firstProcess, width: "minmax(8rem, 1fr)", from: 900, cell: (node) => (node.kind === "container" && node.container.process ? <ProcRef process={node.container.process} inRow /> : null) },
    { id: "members", title: S.columns.processes, width: "minmax(5rem, 0.5fr)", from: 1000, cell: (node) => (node.kind === "container" ? <span class="number">{node.container.members.length}</span> : null) },
    { id: "pod", title: S.columns.groups, width: "minmax(8rem, 1fr)", from: 1100, cell: (node) => (node.kind === "container" ? <bdi class="dim">{node.container.pod ?? node.container.groups.map((group) => group.name).join(", ")}</bdi> : null) },
  ];
  return (
    <>
      <Heading title={S.views.containers}><p class="lead">{S.lead.containers} <a href={viewHref("matrix")}>{S.views.matrix}</a></p></Heading>
      <Over kind="container" />
      <Grid
        id={`containers-${by}`}
        label={S.views.containers}
        columns={columns}
        tree={tree}
        match={match}
        openTo={1}
        empty={host.containersSearched ? S.containers.none : <Unread>{S.containers.notSearched}</Unread>}
        tools={
          <>
            {input}
            <select aria-label={S.containers.by} value={by} onChange={(event) => setBy(event.currentTarget.value as "engine")}>
              <option value="engine">{S.containers.byEngine}</option>
              <option value="group">{S.containers.byGroup}</option>
            </select>
          </>
        }
      />
    </>
  );
}

export function State({ container }: { container: Container }): JSX.Element {
  const state = container.state ?? (container.paused ? "paused" : undefined);
  return (
    <span>
      {state ? <Tag kind={`state-${state}`}>{state}</Tag> : <Unread>{S.notKnown}</Unread>}
      {container.health && <Tag kind={`health-${container.health}`}>{container.health}</Tag>}
    </span>
  );
}

export type Whose = { whose: "own" | "host" | "container" | "process" | undefined; ns: Ns | undefined; label: string };

/** Whose a namespace of a container is. */
export function whose(host: Host, container: Container, type: TypeName): Whose {
  const id = container.namespaces[type];
  const ns = id === undefined ? undefined : host.namespaces.get(id);
  if (!ns) return { whose: undefined, ns, label: S.notKnown };
  if (ns.initial) return { whose: "host", ns, label: S.matrix.host };
  const owner = containerOf(ns);
  if (owner === container) return { whose: "own", ns, label: ns.containers.length > 1 ? S.matrix.ownShared(ns.containers.length - 1) : S.matrix.own };
  if (owner) return { whose: "container", ns, label: owner.name };
  const leader = ns.leaders[0];
  return { whose: "process", ns, label: leader ? `${leader.name} ${leader.pid}` : S.matrix.process };
}

/** The UID on the host of a container's UID 0; `null` where it has none. */
export function rootOnHost(host: Host, container: Container): number | null | undefined {
  const id = container.namespaces.user;
  const ns = id === undefined ? undefined : host.namespaces.get(id);
  if (ns?.initial) return 0;
  // Maps are towards the observer's user namespace.
  const observer = host.observer?.userns;
  const onHost = observer === undefined ? !host.ours : host.namespaces.get(observer)?.initial;
  if (!ns?.uidMap || !onHost) return undefined;
  const range = ns.uidMap.find(([inside = 0, , count = 0]) => inside === 0 && count > 0);
  return range ? range[1] : null;
}

interface Line {
  container: Container;
  cells: Record<TypeName, Whose>;
  shared: number;
  root: number | null | undefined;
  answer: ContainerAnswer | undefined;
  capabilities: string[] | undefined;
}

type Only = "every" | "host" | "root" | "extra";

export function MatrixView({ host }: { host: Host }): JSX.Element {
  const [text, input] = useFilter();
  const [only, setOnly] = useState<Only>("every");
  useStore();
  const asked = store.live ? store.ask<ContainerAnswer>("containers", {}) : undefined;
  const answers = asked?.state === "is" ? asked.value.results : undefined;
  const lines = useMemo((): Line[] => {
    const byId = new Map(answers?.map((answer) => [answer.id, answer]));
    return host.containers.filter((one) => one.process).map((container) => {
      const cells = Object.fromEntries(TYPES.map((type) => [type, whose(host, container, type)])) as Line["cells"];
      const set = container.process?.capabilities?.effective;
      return {
        container,
        cells,
        shared: TYPES.filter((type) => cells[type].whose !== "own" && cells[type].whose !== undefined).length,
        root: rootOnHost(host, container),
        answer: byId.get(container.id),
        capabilities: set === undefined ? undefined : capabilityNames(set),
      };
    });
  }, [host, answers]);
  const tree = useMemo((): Tree<Line> => ({
    roots: lines,
    key: (line) => String(line.container.index),
    href: (line) => hrefOf({ kind: "container", key: line.container.key }),
  }), [lines]);
  const match = useMemo(() => {
    if (text === "" && only === "every") return undefined;
    return (line: Line) =>
      (text === "" || containerText(line.container).includes(text)) &&
      (only === "every" ||
        (only === "host" && TYPES.some((type) => type !== "time" && type !== "user" && type !== "cgroup" && line.cells[type].whose === "host")) ||
        (only === "root" && line.root === 0) ||
        (only === "extra" && (line.answer?.["extra-capabilities"]?.length ?? 0) > 0));
  }, [text, only]);
  const columns: Column<Line>[] = [
    { id: "name", title: S.columns.container, width: "minmax(8rem, 1.6fr)", cell: (line) => <ContainerRef container={line.container} inRow />, sort: (a, b) => collate(a.container.name, b.container.name) },
    ...TYPES.map((type): Column<Line> => ({
      id: type,
      title: type,
      width: "minmax(4.5rem, 0.7fr)",
      // Narrow screens show what is most often shared.
      from: { net: 0, pid: 340, mnt: 440, ipc: 520, user: 600, uts: 700, cgroup: 780, time: 860 }[type],
      sort: (a, b) => collate(a.cells[type].whose ?? "", b.cells[type].whose ?? "") || (a.cells[type].ns?.id ?? 0) - (b.cells[type].ns?.id ?? 0),
      cell: (line) => <WhoseCell cell={line.cells[type]} />,
    })),
    {
      id: "root",
      title: S.matrix.root,
      width: "minmax(6.4rem, 0.6fr)",
      from: 980,
      sort: (a, b) => (a.root ?? 1e12) - (b.root ?? 1e12),
      cell: (line) => (line.root === undefined ? <Unread>{S.notKnown}</Unread> : line.root === 0 ? <Tag kind="warn">{S.matrix.isRoot}</Tag> : line.root === null ? <span class="dim">{S.matrix.noRoot}</span> : <span class="number">{line.root}</span>),
    },
    {
      id: "caps",
      title: S.matrix.capabilities,
      width: "minmax(7.5rem, 1.2fr)",
      from: 1000,
      sort: (a, b) => (a.answer?.["extra-capabilities"]?.length ?? a.capabilities?.length ?? 0) - (b.answer?.["extra-capabilities"]?.length ?? b.capabilities?.length ?? 0),
      cell: (line) => {
        const extra = line.answer?.["extra-capabilities"];
        if (extra) return extra.length > 0 ? <span class="warn-text" title={extra.join(", ")}>+{extra.length} {extra.map((one) => one.replace("CAP_", "").toLowerCase()).join(", ")}</span> : <span class="dim">{S.matrix.defaults}</span>;
        return line.capabilities ? <span title={line.capabilities.join(", ")}>{S.matrix.capabilityCount(line.capabilities.length)}</span> : <Unread>{S.notKnown}</Unread>;
      },
    },
  ];
  return (
    <>
      <Heading title={S.views.matrix}><p class="lead">{S.lead.matrix}</p></Heading>
      <Grid
        id="matrix"
        label={S.views.matrix}
        columns={columns}
        tree={tree}
        match={match}
        empty={host.containersSearched ? S.containers.none : <Unread>{S.containers.notSearched}</Unread>}
        tools={
          <>
            {input}
            <select aria-label={S.matrix.only} value={only} onChange={(event) => setOnly(event.currentTarget.value as Only)}>
              {(["every", "host", "root", "extra"] as const).map((one) => <option key={one} value={one}>{S.matrix.which[one]}</option>)}
            </select>
          </>
        }
      />
    </>
  );
}

function WhoseCell({ cell }: { cell: Whose }): JSX.Element {
  if (!cell.ns) return <Unread>{cell.label}</Unread>;
  return (
    <a class={`whose whose-${cell.whose}`} href={hrefOf({ kind: "ns", id: cell.ns.id })} tabIndex={-1} title={nsName(cell.ns)}>
      <bdi>{cell.label}</bdi>
    </a>
  );
}
