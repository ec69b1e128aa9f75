// Processes and tasks; which may run on each CPU.

import { useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { hrefOf } from "../data/address";
import { policyName } from "../data/capabilities";
import { keyOf } from "../data/diff";
import { commandLine, userLabel, type Host, type Proc, type Task } from "../data/host";
import { collate, expand, rangesText } from "../data/text";
import { S } from "../strings";
import { ContainerRef, Heading, Over, ProcRef, Tag, TaskRef, Unread } from "../ui/bits";
import { Grid, useFilter, type Column, type Tree } from "../ui/grid";
import { store, useStore } from "../ui/store";

export type Node = { kind: "process"; process: Proc; task: Proc | Task } | { kind: "task"; process: Proc; task: Task };

const processNode = (process: Proc): Node => ({ kind: "process", process, task: process });

export const isKernelThread = (process: Proc): boolean => process.pid === 2 || process.ppid === 2;

export const processText = (process: Proc): string =>
  `${process.name} ${process.pid} ${process.nspids?.join(" ") ?? ""} ${commandLine(process) ?? ""} ${process.container?.name ?? ""} ${process.unit?.name ?? ""} ${process.cgroup ?? ""}`.toLowerCase();

export function taskColumns(host: Host): Column<Node>[] {
  return [
    {
      id: "name",
      title: S.columns.process,
      width: "minmax(12rem, 1.6fr)",
      sort: (a, b) => collate(a.task.name, b.task.name),
      cell: (node) => <>{node.kind === "process" ? <ProcRef process={node.process} inRow /> : <><TaskRef task={node.task} inRow /><Tag kind="task">{S.tags.task}</Tag></>}{node.task.freezer?.effective && <Tag kind="frozen">{S.tags.frozen}</Tag>}</>,
    },
    { id: "pid", title: S.columns.pid, width: "5rem", from: 640, sort: (a, b) => a.task.tid - b.task.tid, cell: (node) => <span class="number">{node.task.tid}</span> },
    { id: "command", title: S.columns.command, width: "minmax(8rem, 2fr)", from: 720, cell: (node) => (node.kind === "task" ? null : node.process.cmdline ? <bdi class="dim">{commandLine(node.process)}</bdi> : <Unread>{S.notKnown}</Unread>) },
    { id: "user", title: S.columns.user, width: "minmax(6rem, 0.6fr)", from: 900, sort: (a, b) => (a.process.uids?.effective ?? 0) - (b.process.uids?.effective ?? 0), cell: (node) => (node.kind === "task" ? null : node.process.uids ? <span class="dim">{userLabel(host, node.process.uids.effective)}</span> : <Unread>{S.notKnown}</Unread>) },
    { id: "cpus", title: S.columns.cpus, width: "minmax(6.2rem, 0.5fr)", from: 560, cell: (node) => (node.task.affinity ? <span>{rangesText(node.task.affinity)}</span> : <Unread>{S.notKnown}</Unread>) },
    {
      id: "policy",
      title: S.columns.policy,
      width: "minmax(9.5rem, 0.8fr)",
      from: 460,
      sort: (a, b) => (b.task.scheduling?.policy ?? -1) - (a.task.scheduling?.policy ?? -1) || (b.task.scheduling?.priority ?? 0) - (a.task.scheduling?.priority ?? 0) || (a.task.scheduling?.nice ?? 0) - (b.task.scheduling?.nice ?? 0),
      cell: (node) => <Schedule task={node.task} />,
    },
    { id: "container", title: S.columns.container, width: "minmax(7rem, 0.8fr)", from: 1000, cell: (node) => (node.process.container ? <ContainerRef container={node.process.container} inRow /> : <bdi class="dim">{node.process.unit?.name}</bdi>) },
  ];
}

export function Schedule({ task }: { task: Proc | Task }): JSX.Element {
  const { scheduling } = task;
  if (!scheduling) return <Unread>{S.notKnown}</Unread>;
  const { policy, priority, nice } = scheduling;
  const more = priority > 0 ? S.schedule.priority(priority) : nice !== 0 ? S.schedule.nice(nice) : "";
  return <span class={policy === 0 && nice === 0 ? "dim" : undefined}>{policyName(policy)} {more}</span>;
}

export function ProcessesView({ host }: { host: Host }): JSX.Element {
  const { marks, settings } = useStore();
  const [text, input] = useFilter();
  const [flat, setFlat] = useState(false);
  const [tasks, setTasks] = useState(false);
  const kernel = settings.kernelThreads;
  const tree = useMemo((): Tree<Node> => {
    const wanted = (process: Proc): boolean => kernel || !isKernelThread(process);
    const all = [...host.processes.values()].filter(wanted);
    const others = (process: Proc): Node[] => (tasks ? process.tasks.filter((task) => task.tid !== process.pid).map((task): Node => ({ kind: "task", process, task })) : []);
    return {
      roots: (flat ? all : all.filter((process) => !process.parent || !wanted(process.parent))).map(processNode),
      ...(flat && !tasks ? {} : {
        children: (node: Node) => (node.kind === "task" ? [] : [...others(node.process), ...(flat ? [] : node.process.children.filter(wanted).map(processNode))]),
      }),
      key: (node) => `${node.kind}${node.task.tid}`,
      href: (node) => (node.kind === "process" ? hrefOf({ kind: "process", pid: node.process.pid }) : hrefOf({ kind: "task", tid: node.task.tid })),
      mark: (node) => (node.kind === "process" ? marks.get(keyOf.process(node.process))?.change : undefined),
    };
  }, [host, flat, tasks, kernel, marks]);
  const match = useMemo(() => (text === "" ? undefined : (node: Node) => (node.kind === "process" ? processText(node.process) : `${node.task.name} ${node.task.tid}`.toLowerCase()).includes(text)), [text]);
  return (
    <>
      <Heading title={S.views.processes}><p class="lead">{S.lead.processes}</p></Heading>
      <Over kind="process" />
      <Grid
        id={flat ? "processes-list" : "processes"}
        label={S.views.processes}
        columns={taskColumns(host)}
        tree={tree}
        match={match}
        openTo={host.processes.size > 1000 ? 2 : 4}
        tools={
          <>
            {input}
            <label class="check"><input type="checkbox" checked={!flat} onChange={(event) => setFlat(!event.currentTarget.checked)} />{S.processes.tree}</label>
            <label class="check"><input type="checkbox" checked={tasks} onChange={(event) => setTasks(event.currentTarget.checked)} />{S.processes.tasks}</label>
            <label class="check"><input type="checkbox" checked={kernel} onChange={(event) => store.set({ kernelThreads: event.currentTarget.checked })} />{S.processes.kernel}</label>
          </>
        }
      />
    </>
  );
}

type CpuNode = { kind: "cpu"; cpu: number; only: Node[]; total: number } | { kind: "node"; cpu: number; node: Node };

/** The tasks of a host, each with the process it belongs to. */
function allTasks(host: Host): Node[] {
  const all: Node[] = [];
  for (const process of host.processes.values()) {
    all.push(processNode(process));
    for (const task of process.tasks) if (task.tid !== process.pid) all.push({ kind: "task", process, task });
  }
  return all;
}

export function CpusView({ host, cpu }: { host: Host; cpu?: number }): JSX.Element {
  const [text, input] = useFilter();
  const [every, setEvery] = useState(false);
  const { roots, unknown } = useMemo(() => {
    const tasks = allTasks(host);
    const cpus = new Map<number, { only: Node[]; total: number }>(host.cpus.map((n) => [n, { only: [], total: 0 }]));
    let unknown = 0;
    for (const node of tasks) {
      const affinity = node.task.affinity;
      if (!affinity) {
        unknown++;
        continue;
      }
      const allowed = expand(affinity).filter((n) => host.cpus.length === 0 || cpus.has(n));
      for (const n of allowed) {
        const entry = cpus.get(n) ?? { only: [], total: 0 };
        cpus.set(n, entry);
        entry.total++;
        // Those that may run everywhere say little about this CPU.
        if (every || allowed.length < host.cpus.length) entry.only.push(node);
      }
    }
    const order = (node: Node): number => (node.task.scheduling?.policy ? 0 : 1);
    const roots = [...cpus].sort(([a], [b]) => a - b).filter(([n]) => cpu === undefined || n === cpu).map(([n, entry]): CpuNode => ({
      kind: "cpu", cpu: n, total: entry.total,
      only: entry.only.sort((a, b) => order(a) - order(b) || (b.task.scheduling?.priority ?? 0) - (a.task.scheduling?.priority ?? 0) || (a.task.scheduling?.nice ?? 0) - (b.task.scheduling?.nice ?? 0) || a.task.tid - b.task.tid),
    }));
    return { roots, unknown };
  }, [host, every, cpu]);
  const tree = useMemo((): Tree<CpuNode> => ({
    roots,
    children: (node) => (node.kind === "cpu" ? node.only.map((one): CpuNode => ({ kind: "node", cpu: node.cpu, node: one })) : []),
    key: (node) => (node.kind === "cpu" ? `c${node.cpu}` : `${node.node.kind}${node.node.task.tid}`),
    href: (node) => (node.kind === "cpu" ? hrefOf({ kind: "cpu", cpu: node.cpu }) : node.node.kind === "process" ? hrefOf({ kind: "process", pid: node.node.process.pid }) : hrefOf({ kind: "task", tid: node.node.task.tid })),
  }), [roots]);
  const match = useMemo(() => (text === "" ? undefined : (node: CpuNode) => (node.kind === "cpu" ? `cpu ${node.cpu}` : node.node.kind === "process" ? processText(node.node.process) : node.node.task.name.toLowerCase()).includes(text)), [text]);
  const inner = taskColumns(host);
  const columns: Column<CpuNode>[] = inner.map((column) => ({
    id: column.id,
    title: column.title,
    width: column.width,
    from: column.from,
    cell: (node) => {
      if (node.kind === "node") return column.cell(node.node);
      if (column.id === "name") return <a class="ref" tabIndex={-1} href={hrefOf({ kind: "cpu", cpu: node.cpu })}><strong>{S.cpus.cpu(node.cpu)}</strong></a>;
      return column.id === "policy" ? <span class="dim">{S.cpus.counts(node.only.length, node.total)}</span> : null;
    },
  })) as Column<CpuNode>[];
  return (
    <>
      <Heading title={cpu === undefined ? S.views.cpus : S.cpus.cpu(cpu)}><p class="lead">{S.lead.cpus} {unknown > 0 && <Unread>{S.cpus.unknown(unknown)}</Unread>}</p></Heading>
      <Grid
        id={`cpus${cpu ?? ""}${every ? "-every" : ""}`}
        label={S.views.cpus}
        columns={columns}
        tree={tree}
        match={match}
        openTo={cpu === undefined && roots.length > 8 ? 0 : 1}
        empty={S.cpus.none}
        tools={<>{input}<label class="check"><input type="checkbox" checked={every} onChange={(event) => setEvery(event.currentTarget.checked)} />{S.cpus.every}</label></>}
      />
    </>
  );
}
