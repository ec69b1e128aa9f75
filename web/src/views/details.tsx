// All about one object.

import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { hrefOf, viewHref } from "../data/address";
import type { AuditAnswer, CapsAnswer, GraphAnswer, LinkAnswer, ShowAnswer, WhoCanAnswer } from "../data/answers";
import { CAPABILITIES, capabilityNames } from "../data/capabilities";
import type { CgroupLimit, CgroupLimits, Gap, Holder } from "../data/dump-types";
import { commandLine, TYPES, userLabel, type Container, type Host, type Missing, type Ns, type Proc, type Task } from "../data/host";
import { isOver } from "../data/diff";
import { bytes, rangesText } from "../data/text";
import { S } from "../strings";
import { Answer, Card, ContainerRef, Facts, Heading, MemberCount, NsById, NsRef, NsTags, ProcById, ProcRef, Some, Tag, TaskRef, Unread } from "../ui/bits";
import { useStore } from "../ui/store";
import { AuditFindings, GapText, WhyResult } from "./answers";
import { rootOnHost, State, whose } from "./containers";
import { Schedule } from "./processes";

/** Says that something is not there; `was` is its key in comparisons, by which the page may know what it was. */
export function Gone({ children, was = "" }: { children: ComponentChildren; was?: string }): JSX.Element {
  const mark = useStore().marks.get(was);
  return (
    <>
      <Heading title={S.gone.title} />
      <p class="note">{children}</p>
      {mark && isOver(mark.change) && <p class="over"><Tag kind={`mark-${mark.change}`}>{S.marks[mark.change]}</Tag> <bdi>{mark.label}</bdi> <bdi class="dim">{mark.details.join("; ")}</bdi></p>}
    </>
  );
}

const MissingText = ({ missing }: { missing: Missing }): JSX.Element =>
  missing === "none" ? <span class="dim">{S.relation.none}</span> : <Unread>{missing === "not-visible" ? S.relation.notVisible : S.relation.notAsked}</Unread>;

export function NsView({ host, ns }: { host: Host; ns: Ns }): JSX.Element {
  const target = String(ns.id);
  const gaps = host.gaps.filter((gap) => gap.nsid === ns.id);
  const isUser = ns.type === "user";
  return (
    <>
      <Heading title={<><span class={`type type-${ns.type}`}>{ns.type}</span> <span class="id">{ns.id}</span> {ns.netnsName && <bdi>{ns.netnsName}</bdi>}</>}>
        <p class="lead">
          {S.typesOne[ns.type]} <NsTags ns={ns} />
          {ns.type === "mnt" && <a href={hrefOf({ kind: "mounts", mntns: ns.id })}>{S.mounts.all}</a>}
          {ns.type === "net" && <a href={viewHref("wiring", { ns: target })}>{S.views.wiring}</a>}
        </p>
      </Heading>
      <div class="cards">
        <Card title={S.details.facts}>
          <Facts
            facts={[
              [S.details.uniqueId, ns.uniqueId],
              !isUser && [S.details.owner, ns.owner ? <NsRef ns={ns.owner} /> : <MissingText missing={ns.ownerMissing} />],
              (isUser || ns.type === "pid") && [S.details.parent, ns.parent ? <NsRef ns={ns.parent} /> : <MissingText missing={ns.parentMissing} />],
              isUser && [S.columns.creator, ns.userId === undefined ? undefined : ns.userName ? `${ns.userName} (${ns.userId})` : S.uid(ns.userId)],
              [S.columns.processes, <MemberCount host={host} ns={ns} />],
              ns.loose.length > 0 && [S.details.loose, <Some items={ns.loose} limit={5} each={(task) => <TaskRef task={task} />} />],
              ns.containers.length > 0 && [S.views.containers, <Some items={ns.containers} limit={5} each={(one) => <ContainerRef container={one} />} />],
              ns.type === "net" && host.ours && [S.details.netnsId, ns.netnsId === undefined ? undefined : ns.netnsId < 0 ? S.details.noNetnsId : ns.netnsId],
              isUser && [S.details.uidMap, <IdMap map={ns.uidMap} />],
              isUser && [S.details.gidMap, <IdMap map={ns.gidMap} />],
              ns.type === "time" && [S.details.offsets, ns.offsets ? S.details.offset(ns.offsets.monotonic as [number, number], ns.offsets.boottime as [number, number]) : undefined],
              ns.type === "mnt" && [S.columns.mounts, host.mounts.get(ns.id)?.length],
              [S.details.reference, ns.reference.length > 0 ? <bdi class="wrap">{ns.reference.join(" → ")}</bdi> : <span class="dim">{S.details.noReference}</span>],
            ]}
          />
        </Card>
        <Card title={S.details.leaders}>
          {ns.leaders.length > 0 ? <Some items={ns.leaders} limit={12} each={(one) => <ProcLine process={one} />} /> : <MemberCount host={host} ns={ns} />}
          {ns.members.length > ns.leaders.length && <details><summary>{S.details.members(ns.members.length)}</summary><Some items={ns.members} limit={50} each={(one) => <ProcLine process={one} />} /></details>}
        </Card>
        <Card title={S.details.holders}>
          {host.ours ? <Holders host={host} ns={ns} /> : <Unread>{S.details.holdersUnknown}</Unread>}
          {ns.references && <p>{S.details.references(ns.references.total, ns.references.explained)} {ns.references.exact && ns.references.explained < ns.references.total && <span class="warn-text">{S.details.unexplained}</span>}</p>}
          {host.ours && !host.holdersSeen && <p><Unread>{S.details.holdersUnseen}</Unread> <a href={viewHref("gaps")}>{S.views.gaps}</a></p>}
        </Card>
        {(ns.children.length > 0 || ns.owned.length > 0) && (
          <Card title={S.details.below}>
            {ns.children.length > 0 && <><h3>{S.details.children(ns.children.length)}</h3><Some items={ns.children} limit={12} each={(one) => <><NsRef ns={one} /> <NsTags ns={one} /></>} /></>}
            {ns.owned.length > 0 && <><h3>{S.details.owned(ns.owned.length)}</h3><Some items={ns.owned} limit={24} each={(one) => <><NsRef ns={one} /> <NsTags ns={one} />{one.leaders[0] && <ProcRef process={one.leaders[0]} />}</>} /></>}
          </Card>
        )}
        {gaps.length > 0 && <Card title={S.views.gaps}><Gaps host={host} gaps={gaps} /></Card>}
        <Ask key={`why${ns.id}`} title={S.ask.why} open>{() => <WhyResult host={host} target={target} />}</Ask>
        <Ask key={`inside${ns.id}`} title={S.ask.inside}>{() => <Inside target={target} />}</Ask>
        <Ask key={`who${ns.id}`} title={S.ask.whoCan}>{() => <WhoCan host={host} target={target} />}</Ask>
      </div>
    </>
  );
}

/** A question to the agent, asked when it is opened. */
function Ask({ title, children, open = false }: { title: string; children: () => JSX.Element; open?: boolean }): JSX.Element {
  const [asked, setAsked] = useState(open);
  return (
    <section class="card ask" aria-label={title}>
      <details open={open} onToggle={(event) => event.currentTarget.open && setAsked(true)}>
        <summary><h2>{title}</h2></summary>
        {asked && children()}
      </details>
    </section>
  );
}

function ProcLine({ process }: { process: Proc }): JSX.Element {
  const command = commandLine(process);
  return <span><ProcRef process={process} /> {process.container && <ContainerRef container={process.container} />} <bdi class="dim clip">{command ?? (process.cmdline ? "" : <Unread>{S.notKnown}</Unread>)}</bdi></span>;
}

function IdMap({ map }: { map: number[][] | undefined }): JSX.Element {
  if (!map) return <Unread>{S.notKnown}</Unread>;
  if (map.length === 0) return <span class="dim">{S.details.emptyMap}</span>;
  return (
    <table class="small">
      <thead><tr><th>{S.details.inside}</th><th>{S.details.outside}</th><th>{S.details.count}</th></tr></thead>
      <tbody>{map.slice(0, 340).map(([inside, outside, count], n) => <tr key={n}><td>{inside}</td><td>{outside}</td><td>{count}</td></tr>)}</tbody>
    </table>
  );
}

function Holders({ host, ns }: { host: Host; ns: Ns }): JSX.Element {
  const others = ns.holders.filter((holder) => holder.kind !== "process");
  const processes = ns.holders.length - others.length;
  if (ns.holders.length === 0) return <Unread>{S.details.noHolder}</Unread>;
  return (
    <>
      {processes > 0 && <p>{S.holders.count("process", processes)}</p>}
      {others.length > 0 && <Some items={others} limit={20} each={(holder) => <HolderLine host={host} holder={holder} />} />}
    </>
  );
}

export function HolderLine({ host, holder }: { host: Host; holder: Holder }): JSX.Element {
  const words = S.holders.kinds[holder.kind as "fd"] ?? holder.kind;
  const task = holder.tid !== undefined && holder.tid !== holder.pid ? ` ${S.holders.task(holder.tid)}` : "";
  return (
    <span>
      {holder.count !== undefined ? S.holders.count(holder.kind, holder.count) : words}
      {holder.pid !== undefined && <> <ProcById host={host} pid={holder.pid} />{task}</>}
      {holder.fd !== undefined && <span class="dim"> fd {holder.fd}</span>}
      {holder.what !== undefined && <span class="dim"> {holder.what}</span>}
      {holder.nsid !== undefined && <> <NsById host={host} id={holder.nsid} /></>}
      {holder.path !== undefined && <> <bdi class="wrap">{holder.path}</bdi></>}
      {holder.mntns !== undefined && <> <span class="dim">{S.in}</span> {holder.mountid !== undefined ? <a class="ref" href={hrefOf({ kind: "mount", mntns: holder.mntns, id: holder.mountid })}>mnt:[{holder.mntns}]</a> : <NsById host={host} id={holder.mntns} type="mnt" />}</>}
    </span>
  );
}

export function Gaps({ host, gaps }: { host: Host; gaps: Gap[] }): JSX.Element {
  return <Some items={gaps} each={(gap) => <GapText host={host} gap={gap} />} />;
}

function Inside({ target }: { target: string }): JSX.Element {
  return (
    <Answer<ShowAnswer> question="show" params={{ target }}>
      {(results) =>
        results.map(({ namespace }, n) => {
          if (!namespace) return null;
          const { network, limits } = namespace;
          return (
            <div key={n}>
              {namespace.missing && <p><Unread>{namespace.missing}</Unread></p>}
              <Facts
                facts={[
                  namespace.hostname != null && [S.details.hostname, <bdi>{namespace.hostname}</bdi>],
                  namespace.domainname != null && [S.details.domainname, <bdi>{namespace.domainname}</bdi>],
                ]}
              />
              {limits && limits.length > 0 && (
                <table class="small">
                  <thead><tr><th>{S.details.type}</th><th>{S.details.used}</th><th>{S.details.max}</th></tr></thead>
                  <tbody>{limits.map((limit) => <tr key={limit.type}><td>{limit.type}</td><td>{limit.used ?? <Unread>{S.notKnown}</Unread>}</td><td>{limit.max}</td></tr>)}</tbody>
                </table>
              )}
              {network && (
                <>
                  <h3>{S.details.links}</h3>
                  <Some items={network.links} each={(link) => <span><bdi class="name">{link.name}</bdi> <span class="dim">{link.kind ?? ""} {link.state} {link.mac ?? ""}</span> {network.addresses.filter((one) => one.index === link.index).map((one) => <code key={one.address}>{one.address}/{one.prefix} </code>)}</span>} />
                  <h3>{S.details.routes}</h3>
                  {network.routes.length > 0 ? <Some items={network.routes} each={(route) => <span><code>{route.destination}</code> {route.hops.map((hop) => [hop.gateway && `${S.details.via} ${hop.gateway}`, hop.link].filter(Boolean).join(" ")).join(", ")}</span>} /> : <p class="dim">{S.none}</p>}
                  {network.failures.map((failure, n) => <p key={n}><Unread>{failure}</Unread></p>)}
                </>
              )}
            </div>
          );
        })
      }
    </Answer>
  );
}

function WhoCan({ host, target }: { host: Host; target: string }): JSX.Element {
  const [capability, setCapability] = useState("sys_admin");
  return (
    <>
      <label class="check">{S.details.capability} <select value={capability} onChange={(event) => setCapability(event.currentTarget.value)}>{CAPABILITIES.map((one) => <option key={one}>{one}</option>)}</select></label>
      <Answer<WhoCanAnswer> question="who-can" params={{ capability, target }}>
        {(results) => results.map((one, n) => (
          <div key={n}>
            <p>{one.summary}</p>
            <Some items={one.processes} limit={10} each={(process) => <span><ProcById host={host} pid={process.pid} name={process.name} /> {process.has !== "yes" && <Tag kind="dim">{process.has}</Tag>} {process.container && <bdi class="dim">{process.container.name}</bdi>}</span>} />
          </div>
        ))}
      </Answer>
    </>
  );
}

export function ProcessView({ host, process }: { host: Host; process: Proc }): JSX.Element {
  const { uids, capabilities } = process;
  const loose = process.tasks.filter((task) => TYPES.some((type) => task.namespaces[type] !== undefined && task.namespaces[type] !== process.namespaces[type]));
  const gaps = host.gaps.filter((gap) => gap.pid === process.pid);
  const unreadBy = gaps[0] && S.gaps.cause(gaps[0].cause, gaps[0].errno);
  return (
    <>
      <Heading title={<><bdi>{process.name}</bdi> <span class="id">{process.pid}</span></>}>
        <p class="lead">
          {S.kinds.process}
          {process.container && <ContainerRef container={process.container} />}
          {process.unit && <bdi>{process.unit.name}</bdi>}
          {process.freezer?.effective && <Tag kind="frozen">{S.tags.frozen}</Tag>}
        </p>
      </Heading>
      <div class="cards">
        <Card title={S.details.namespaces}>
          <dl>
            {TYPES.map((type) => {
              const id = process.namespaces[type];
              const ns = id === undefined ? undefined : host.namespaces.get(id);
              return (
                <div key={type}>
                  <dt><span class={`type type-${type}`}>{type}</span></dt>
                  <dd>{id === undefined ? <Unread why={unreadBy}>{S.notRead}</Unread> : ns ? <><NsRef ns={ns} bare /> <NsTags ns={ns} /></> : <span class="id">{id}</span>}</dd>
                </div>
              );
            })}
            {process.forChildren?.pid !== undefined && process.forChildren.pid !== process.namespaces.pid && <div><dt>{S.details.forChildren}</dt><dd><NsById host={host} id={process.forChildren.pid} type="pid" /></dd></div>}
            {process.forChildren?.time !== undefined && process.forChildren.time !== process.namespaces.time && <div><dt>{S.details.forChildren}</dt><dd><NsById host={host} id={process.forChildren.time} type="time" /></dd></div>}
          </dl>
        </Card>
        <Card title={S.details.facts}>
          <Facts
            facts={[
              [S.columns.command, process.cmdline ? <bdi class="wrap"><code>{commandLine(process) ?? S.details.noCommand}</code></bdi> : undefined],
              [S.details.parentProcess, process.parent ? <ProcRef process={process.parent} /> : process.ppid === 0 ? <span class="dim">{S.details.noParent}</span> : process.ppid],
              [S.details.nspids, process.nspids ? process.nspids.join(" → ") : undefined],
              [S.details.uids, uids ? S.details.uidText(userLabel(host, uids.real), userLabel(host, uids.effective), userLabel(host, uids.saved), userLabel(host, uids["file-system"])) : undefined],
              [S.columns.state, process.state ? S.details.state(process.state) : undefined],
              [S.details.started, S.details.ticks(process.startTicks)],
              ["seccomp", process.seccomp],
              ["no_new_privs", process.noNewPrivs === undefined ? undefined : process.noNewPrivs ? S.yes : S.no],
              [S.columns.cpus, process.affinity && rangesText(process.affinity)],
              [S.columns.policy, <Schedule task={process} />],
              [S.details.frozen, process.freezer ? (process.freezer.effective ? S.yes : S.no) : undefined],
            ]}
          />
        </Card>
        <Card title={S.details.capabilities}>
          {capabilities ? (
            <Facts facts={(["effective", "permitted", "inheritable", "bounding", "ambient"] as const).map((set) => [set, <CapabilitySet set={capabilities[set]} />])} />
          ) : <Unread>{S.notKnown}</Unread>}
        </Card>
        <Card title={S.details.cgroups}>
          {process.cgroups ? <Some items={process.cgroups} limit={14} each={(one) => <span><span class="dim">{one.hierarchy === 0 ? "v2" : one.controllers}</span> <bdi class="wrap">{one["path-escaped"] ?? one.path}</bdi></span>} /> : process.cgroup ? <bdi class="wrap">{process.cgroup}</bdi> : <Unread>{S.notKnown}</Unread>}
        </Card>
        {process.children.length > 0 && <Card title={S.details.childProcesses(process.children.length)}><Some items={process.children} limit={15} each={(one) => <ProcLine process={one} />} /></Card>}
        <Card title={S.details.tasks(process.threads)}>
          {loose.length > 0 && <p class="warn-text">{S.details.looseTasks(loose.length)}</p>}
          <Some items={process.tasks} limit={15} each={(task) => <TaskRef task={task} />} />
          {process.threads > process.tasks.length && <Unread>{S.details.tasksUnread(process.threads - process.tasks.length)}</Unread>}
        </Card>
        {gaps.length > 0 && <Card title={S.views.gaps}><Gaps host={host} gaps={gaps} /></Card>}
        <Ask key={`caps${process.pid}`} title={S.ask.caps}>{() => <Caps host={host} target={String(process.pid)} />}</Ask>
        <Ask key={`audit${process.pid}`} title={S.ask.audit}>{() => <AuditOf host={host} target={String(process.pid)} />}</Ask>
      </div>
    </>
  );
}

function CapabilitySet({ set }: { set: string }): JSX.Element {
  const names = capabilityNames(set);
  if (names.length === 0) return <span class="dim">{S.none}</span>;
  if (names.length <= 12) return <span class="wrap">{names.join(", ")}</span>;
  const missing = CAPABILITIES.filter((one) => !names.includes(one));
  return (
    <details>
      <summary>{missing.length === 0 ? S.details.allCapabilities : missing.length <= 6 ? S.details.allBut(missing.join(", ")) : S.matrix.capabilityCount(names.length)}</summary>
      <span class="wrap">{names.join(", ")}</span>
    </details>
  );
}

function Caps({ host, target }: { host: Host; target: string }): JSX.Element {
  return (
    <Answer<CapsAnswer> question="caps" params={{ target }}>
      {(results) => (
        <ul class="plain">
          {results.map((one) => (
            <li key={one.nsid}><NsById host={host} id={one.nsid} type={one.type} /> {one.because}{one.capabilities && !one.all && one.capabilities.length > 0 && <span class="dim wrap"> {one.capabilities.join(", ")}</span>}</li>
          ))}
        </ul>
      )}
    </Answer>
  );
}

function AuditOf({ host, target }: { host: Host; target: string }): JSX.Element {
  return <Answer<AuditAnswer> question="audit" params={{ target }}>{(results) => results.map((one, n) => <AuditFindings key={n} host={host} answer={one} />)}</Answer>;
}

export function TaskView({ host, task }: { host: Host; task: Task }): JSX.Element {
  const { process } = task;
  return (
    <>
      <Heading title={<><bdi>{task.name}</bdi> <span class="id">{task.tid}</span></>}>
        <p class="lead">{S.kinds.task} <ProcRef process={process} /></p>
      </Heading>
      <div class="cards">
        <Card title={S.details.namespaces}>
          <dl>
            {TYPES.map((type) => {
              const id = task.namespaces[type];
              return (
                <div key={type}>
                  <dt><span class={`type type-${type}`}>{type}</span></dt>
                  <dd>{id === undefined ? <Unread>{S.notRead}</Unread> : <NsById host={host} id={id} type={type} />} {id !== undefined && process.namespaces[type] !== undefined && id !== process.namespaces[type] && <Tag kind="warn">{S.tags.otherThanProcess}</Tag>}</dd>
                </div>
              );
            })}
          </dl>
        </Card>
        <Card title={S.details.facts}>
          <Facts
            facts={[
              [S.columns.state, task.state ? S.details.state(task.state) : undefined],
              [S.columns.cpus, task.affinity && rangesText(task.affinity)],
              [S.columns.policy, <Schedule task={task} />],
              [S.details.started, S.details.ticks(task.startTicks)],
              [S.details.cgroups, task.cgroup && <bdi class="wrap">{task.cgroup}</bdi>],
            ]}
          />
        </Card>
      </div>
    </>
  );
}

/** What a container's control groups let it use; without what few have, where it has none. */
function Limits({ limits }: { limits: CgroupLimits }): JSX.Element {
  const amount = (name: CgroupLimit, text: (amount: number) => string): ComponentChildren => {
    const value = limits[name];
    return value != null ? text(value) : limits.unlimited.includes(name) ? S.containers.unlimited : undefined;
  };
  return (
    <Facts
      facts={[
        [S.containers.memory, amount("memory-bytes", bytes)],
        limits["memory-high-bytes"] != null && [S.containers.memoryHigh, amount("memory-high-bytes", bytes)],
        limits["swap-bytes"] != null && [S.containers.swap, amount("swap-bytes", bytes)],
        [S.containers.cpus, amount("cpu-usec-per-second", S.containers.cpuTime)],
        limits["cpu-weight"] != null && [S.containers.cpuWeight, limits["cpu-weight"]],
        [S.containers.runsOn, limits.cpus],
        [S.containers.maxTasks, amount("tasks-max", String)],
      ]}
    />
  );
}

export function ContainerView({ host, container }: { host: Host; container: Container }): JSX.Element {
  const root = rootOnHost(host, container);
  const set = container.process?.capabilities?.effective;
  return (
    <>
      <Heading title={<bdi>{container.name}</bdi>}>
        <p class="lead">{S.kinds.container} <State container={container} /> {container.role === "sandbox" && <Tag kind="dim">{S.containers.sandbox}</Tag>}</p>
      </Heading>
      <div class="cards">
        <Card title={S.details.facts}>
          <Facts
            facts={[
              ["ID", <code class="wrap">{container.id}</code>],
              [S.containers.engine, <bdi>{[container.type, container.engine?.version].filter(Boolean).join(" ")}</bdi>],
              [S.columns.image, container.image && <bdi class="wrap">{container.image}</bdi>],
              [S.containers.runtime, container.runtime && <bdi>{container.runtime}</bdi>],
              [S.containers.created, container.created?.replace(/\.\d+Z$/, "Z")],
              [S.columns.firstProcess, container.process ? <ProcRef process={container.process} /> : <span class="dim">{S.none}</span>],
              container.pod !== undefined && [S.containers.pod, <bdi>{container.pod}</bdi>],
              container.groups.length > 0 && [S.columns.groups, container.groups.map((group) => group.name).join(", ")],
              [S.details.cgroups, container.cgroup && <bdi class="wrap">{container.cgroup}</bdi>],
              container.networkPath !== undefined && [S.containers.network, <bdi class="wrap">{container.networkPath}</bdi>],
              container.inside && [S.containers.inside, <ContainerRef container={container.inside} />],
              [S.containers.confidence, container.confidence],
            ]}
          />
        </Card>
        <Card title={S.details.namespaces}>
          {container.process ? (
            <dl>
              {TYPES.map((type) => {
                const cell = whose(host, container, type);
                return <div key={type}><dt><span class={`type type-${type}`}>{type}</span></dt><dd>{cell.ns ? <><NsRef ns={cell.ns} bare /> <span class={`whose whose-${cell.whose}`}><bdi>{cell.label}</bdi></span></> : <Unread>{S.notRead}</Unread>}</dd></div>;
              })}
            </dl>
          ) : <p class="dim">{S.containers.noProcess}</p>}
        </Card>
        <Card title={S.containers.confinement}>
          <Facts
            facts={[
              [S.matrix.root, root === undefined ? undefined : root === 0 ? <Tag kind="warn">{S.matrix.isRoot}</Tag> : root === null ? S.matrix.noRoot : S.uid(root)],
              [S.details.capabilities, set && <CapabilitySet set={set} />],
              ["seccomp", container.process?.seccomp],
              ["no_new_privs", container.process?.noNewPrivs === undefined ? undefined : container.process.noNewPrivs ? S.yes : S.no],
            ]}
          />
        </Card>
        {container.limits && <Card title={S.containers.limits}><Limits limits={container.limits} /></Card>}
        <Card title={S.columns.processes}>{container.members.length > 0 ? <Some items={container.members} limit={15} each={(one) => <ProcLine process={one} />} /> : <p class="dim">{S.none}</p>}</Card>
        <Card title={S.containers.labels}>
          {container.labels.length + container.annotations.length > 0 ? <Facts facts={[...container.labels, ...container.annotations].map(([key, value]) => [key, <bdi class="wrap">{value}</bdi>])} /> : <p class="dim">{S.none}</p>}
        </Card>
        {container.evidence.length > 0 && (
          <Card title={S.containers.evidence}>
            <Some items={container.evidence} each={(one) => <span>{one.kind} <bdi class="wrap dim">{one.at}</bdi> <Tag kind="dim">{one.confidence}</Tag></span>} />
            {container.disagreements.map((one, n) => <p key={n} class="warn-text">{S.containers.disagree(one.about, one.values.join(" / "))}</p>)}
          </Card>
        )}
        {container.process && <Ask key={`audit${container.key}`} title={S.ask.audit}>{() => <AuditOf host={host} target={String(container.process!.pid)} />}</Ask>}
      </div>
    </>
  );
}

export function LinkView({ host, netns, index }: { host: Host; netns: number; index: number }): JSX.Element {
  const is = (link: LinkAnswer): boolean => link.id[0] === netns && link.id[1] === index;
  return (
    <Answer<GraphAnswer> question="links">
      {([graph]) => {
        const link = graph?.links.find(is);
        if (!graph || !link) return <Gone>{S.gone.link(index, netns)}</Gone>;
        const ends = graph.edges.filter((edge) => [edge.from, edge.to].some(([ns, n]) => ns === netns && n === index));
        const find = ([ns, n]: [number, number]): LinkAnswer | undefined => graph.links.find((one) => one.id[0] === ns && one.id[1] === n);
        return (
          <>
            <Heading title={<>{S.kinds.link} <bdi>{link.name}</bdi></>}><p class="lead">{link.kind ?? S.wiring.physical} <Tag kind={link.up ? "state-running" : "dim"}>{link.state}</Tag> <NsById host={host} id={netns} type="net" /></p></Heading>
            <div class="cards">
              <Card title={S.details.facts}>
                <Facts facts={[["MAC", link.mac ?? <span class="dim">{S.none}</span>], ["MTU", link.mtu], [S.wiring.index, index], [S.columns.process, link.process && <ProcById host={host} pid={link.process.pid} name={link.process.name} />], [S.columns.container, link.container ? <bdi>{link.container.name}</bdi> : <span class="dim">{S.none}</span>]]} />
              </Card>
              <Card title={S.wiring.related}>
                {ends.length > 0 ? <Some items={ends} each={(edge) => {
                  const other = edge.from[0] === netns && edge.from[1] === index ? edge.to : edge.from;
                  const end = find(other);
                  return <span>{edge.relation} <a class="ref" href={hrefOf({ kind: "link", netns: other[0], index: other[1] })}><bdi class="name">{end?.name ?? other[1]}</bdi></a> <NsById host={host} id={other[0]} type="net" /></span>;
                }} /> : <p class="dim">{S.none}</p>}
              </Card>
              {link.users.length > 0 && <Card title={S.wiring.users}><Some items={link.users} each={(user) => <span><ProcById host={host} pid={user.pid} name={user.name} /> <span class="dim">fd {user.fd}</span></span>} /></Card>}
            </div>
          </>
        );
      }}
    </Answer>
  );
}
