// Namespaces: all below the user namespaces that own them, and those of one type.

import { useCallback, useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { hrefOf } from "../data/address";
import { keyOf } from "../data/diff";
import { commandLine, isOrphan, isShared, TYPES, type Host, type Ns, type Proc, type Task, type TypeName } from "../data/host";
import { S } from "../strings";
import { ContainerRef, Heading, MemberCount, NsRef, NsTags, Over, ProcRef, Tag, TaskRef, Unread } from "../ui/bits";
import { Grid, useFilter, type Column, type Tree } from "../ui/grid";
import { useStore } from "../ui/store";

export type Node =
  | { kind: "ns"; ns: Ns }
  | { kind: "process"; process: Proc; within: Ns }
  | { kind: "task"; task: Task };

const nsNode = (ns: Ns): Node => ({ kind: "ns", ns });

/** The topmost processes of a namespace, then the tasks whose process is elsewhere. */
function inside(ns: Ns): Node[] {
  const leaders = ns.leaders.length > 0 ? ns.leaders : ns.members.filter((process) => process.parent?.namespaces[ns.type] !== ns.id);
  return [
    ...leaders.map((process): Node => ({ kind: "process", process, within: ns })),
    ...ns.loose.map((task): Node => ({ kind: "task", task })),
  ];
}

const below = (process: Proc, within: Ns): Node[] =>
  process.children.filter((child) => child.namespaces[within.type] === within.id).map((child) => ({ kind: "process", process: child, within }));

export const nodeKey = (node: Node): string => (node.kind === "ns" ? `n${node.ns.id}` : node.kind === "process" ? `p${node.process.pid}` : `t${node.task.tid}`);

export const nodeHref = (node: Node): string =>
  node.kind === "ns" ? hrefOf({ kind: "ns", id: node.ns.id }) : node.kind === "process" ? hrefOf({ kind: "process", pid: node.process.pid }) : hrefOf({ kind: "task", tid: node.task.tid });

export function nodeText(node: Node): string {
  if (node.kind === "process") return `${node.process.name} ${node.process.pid} ${commandLine(node.process) ?? ""} ${node.process.container?.name ?? ""}`.toLowerCase();
  if (node.kind === "task") return `${node.task.name} ${node.task.tid}`.toLowerCase();
  const { ns } = node;
  const leader = ns.leaders[0];
  return [`${ns.type}:[${ns.id}]`, ns.uniqueId, ns.netnsName, ns.userName, leader && `${leader.name} ${leader.pid} ${commandLine(leader) ?? ""}`, ...ns.containers.map((one) => one.name), ...ns.reference].join(" ").toLowerCase();
}

/** What is seen to keep a namespace alive, beside its processes. */
export function heldBy(ns: Ns): string {
  const counts = new Map<string, number>();
  for (const holder of ns.holders) counts.set(holder.kind, (counts.get(holder.kind) ?? 0) + (holder.count ?? 1));
  return [...counts].filter(([kind]) => kind !== "process").map(([kind, count]) => S.holders.count(kind, count)).join(", ");
}

export function columns(host: Host, withUser: boolean): Column<Node>[] {
  return [
    {
      id: "ns",
      title: S.columns.namespace,
      width: "minmax(15rem, 2.6fr)",
      cell: (node) =>
        node.kind === "ns" ? <><NsRef ns={node.ns} inRow /><NsTags ns={node.ns} /><bdi class="narrow dim">{(node.ns.initial ? undefined : node.ns.containers[0]?.name) ?? node.ns.leaders[0]?.name}</bdi></>
        : node.kind === "process" ? <ProcRef process={node.process} inRow />
        : <><TaskRef task={node.task} inRow /><Tag kind="task">{S.tags.task}</Tag></>,
    },
    {
      id: "leader",
      title: S.columns.leader,
      width: "minmax(9rem, 1.2fr)",
      from: 620,
      cell: (node) => {
        if (node.kind !== "ns") return <bdi class="dim">{node.kind === "process" ? (commandLine(node.process) ?? (node.process.cmdline ? "" : <Unread>{S.notKnown}</Unread>)) : S.taskOf(node.task.process.name, node.task.process.pid)}</bdi>;
        const leader = node.ns.leaders[0];
        return leader ? <ProcRef process={leader} inRow /> : null;
      },
    },
    {
      id: "members",
      title: S.columns.processes,
      width: "minmax(11.5rem, 0.8fr)",
      from: 480,
      cell: (node) => (node.kind === "ns" ? <MemberCount host={host} ns={node.ns} /> : null),
    },
    {
      id: "container",
      title: S.columns.container,
      width: "minmax(8rem, 1fr)",
      from: 800,
      cell: (node) => {
        const containers = node.kind === "ns" ? (node.ns.initial ? [] : node.ns.containers) : node.kind === "process" && node.process.container ? [node.process.container] : [];
        const [one] = containers;
        return one ? <><ContainerRef container={one} inRow />{containers.length > 1 && <span class="dim"> +{containers.length - 1}</span>}</> : <span class="dim">{node.kind === "process" ? node.process.unit?.name : ""}</span>;
      },
    },
    ...(withUser
      ? [{
          id: "user",
          title: S.columns.creator,
          width: "minmax(6.5rem, 0.6fr)",
          from: 1000,
          cell: (node: Node) => (node.kind === "ns" && node.ns.type === "user" ? <span>{node.ns.userName ?? (node.ns.userId === undefined ? <Unread>{S.notKnown}</Unread> : node.ns.userId)}</span> : null),
        }]
      : []),
    {
      id: "held",
      title: S.columns.held,
      width: "minmax(10rem, 1.2fr)",
      from: 1000,
      cell: (node) => (node.kind !== "ns" ? null : host.ours ? <span class="dim">{heldBy(node.ns)}</span> : <Unread>{S.notKnown}</Unread>),
    },
  ];
}

type Which = "every" | "orphan" | "shared" | "contained" | "own";

const WHICH: Record<Which, (ns: Ns) => boolean> = {
  every: () => true,
  orphan: isOrphan,
  shared: isShared,
  contained: (ns) => ns.containers.length > 0 && !ns.initial,
  own: (ns) => !ns.initial,
};

/** The filters above a tree of namespaces: text, and which. */
function useNsFilter(): [((node: Node) => boolean) | undefined, JSX.Element] {
  const [text, input] = useFilter();
  const [which, setWhich] = useState<Which>("every");
  const match = useMemo(() => {
    if (text === "" && which === "every") return undefined;
    return (node: Node) => (which === "every" || (node.kind === "ns" && WHICH[which](node.ns))) && (text === "" || nodeText(node).includes(text));
  }, [text, which]);
  return [
    match,
    <>
      {input}
      <select aria-label={S.grid.which} value={which} onChange={(event) => setWhich(event.currentTarget.value as Which)}>
        {Object.keys(WHICH).map((one) => <option key={one} value={one}>{S.which[one as Which]}</option>)}
      </select>
    </>,
  ];
}

function useMarks(): (node: Node) => string | undefined {
  const { marks } = useStore();
  return useCallback((node: Node) => marks.get(node.kind === "ns" ? keyOf.ns(node.ns) : node.kind === "process" ? keyOf.process(node.process) : "")?.change, [marks]);
}

export function AllView({ host }: { host: Host }): JSX.Element {
  const [match, tools] = useNsFilter();
  const [types, setTypes] = useState<ReadonlySet<TypeName>>(new Set(TYPES));
  const mark = useMarks();
  const tree = useMemo((): Tree<Node> => {
    const roots = host.byType.user.filter((ns) => !ns.parent).map(nsNode);
    // Their owner could not be read: they stand for themselves.
    const loose = [...host.namespaces.values()].filter((ns) => ns.type !== "user" && !ns.owner && types.has(ns.type)).map(nsNode);
    return {
      roots: [...roots, ...loose],
      children: (node) => {
        if (node.kind === "process") return below(node.process, node.within);
        if (node.kind !== "ns") return [];
        const { ns } = node;
        if (ns.type !== "user") return inside(ns);
        return [...ns.owned.filter((one) => types.has(one.type)).map(nsNode), ...ns.children.map(nsNode)];
      },
      key: nodeKey,
      href: nodeHref,
      mark,
    };
  }, [host, types, mark]);
  const toggle = (type: TypeName): void => {
    const next = new Set(types);
    if (!next.delete(type)) next.add(type);
    setTypes(next);
  };
  return (
    <>
      <Heading title={S.views.all}><p class="lead">{S.lead.all}</p></Heading>
      <Over kind="namespace" />
      <Grid
        id="all"
        label={S.views.all}
        columns={columns(host, true)}
        tree={tree}
        match={match}
        openTo={1}
        tools={
          <>
            {tools}
            <fieldset class="chips">
              <legend class="sr">{S.grid.types}</legend>
              {TYPES.filter((type) => type !== "user").map((type) => (
                <label key={type} class="chip">
                  <input type="checkbox" checked={types.has(type)} onChange={() => toggle(type)} />
                  <span class={`type type-${type}`}>{type}</span>
                </label>
              ))}
            </fieldset>
          </>
        }
      />
    </>
  );
}

export function TypeView({ host, type }: { host: Host; type: TypeName }): JSX.Element {
  const [match, tools] = useNsFilter();
  const mark = useMarks();
  const nested = type === "user" || type === "pid";
  const tree = useMemo((): Tree<Node> => {
    const all = host.byType[type];
    return {
      roots: (nested ? all.filter((ns) => !ns.parent) : all).map(nsNode),
      children: (node) => {
        if (node.kind === "process") return below(node.process, node.within);
        if (node.kind !== "ns") return [];
        return [...inside(node.ns), ...(nested ? node.ns.children.map(nsNode) : [])];
      },
      key: nodeKey,
      href: nodeHref,
      mark,
    };
  }, [host, type, mark]);
  const list = columns(host, type === "user");
  if (!nested) {
    list[0]!.sort = (a, b) => (a.kind === "ns" && b.kind === "ns" ? a.ns.id - b.ns.id : 0);
    list[2]!.sort = (a, b) => (a.kind === "ns" && b.kind === "ns" ? a.ns.members.length - b.ns.members.length : 0);
  }
  return (
    <>
      <Heading title={S.types[type]}><p class="lead">{S.typeLead[type]}</p></Heading>
      <Over kind="namespace" prefix={`${type}:`} />
      <Grid id={`type-${type}`} label={S.types[type]} columns={list} tree={tree} match={match} openTo={host.byType[type].length > 60 ? 0 : 1} tools={tools} />
    </>
  );
}
