// What the agent answers: why, orphans, audit, ports; and what could not be read.

import { useMemo } from "preact/hooks";
import type { JSX } from "preact";
import { hrefOf } from "../data/address";
import type { AuditAnswer, HolderAnswer, OrphanAnswer, PortAnswer, Step, WhyAnswer } from "../data/answers";
import type { Gap } from "../data/dump-types";
import { isOrphan, nsName, TYPES, type Host, type Ns } from "../data/host";
import { collate } from "../data/text";
import { S } from "../strings";
import { Answer, Card, Facts, Heading, MemberCount, NsById, NsRef, NsTags, ProcById, Some, Tag, Unread } from "../ui/bits";
import { Grid, useFilter, type Column, type Tree } from "../ui/grid";
import { useStore } from "../ui/store";
import { heldBy } from "./namespaces";

export function WhyResult({ host, target }: { host: Host; target: string }): JSX.Element {
  return (
    <Answer<WhyAnswer> question="why" params={{ target }}>
      {(results) => results.map((one, n) => (
        <div key={n}>
          {one["made-for"] && <p>{S.why.madeFor(one["made-for"])}</p>}
          {one.ending && one.ending["waits-for"].map((waits) => <p key={waits.tid} class="warn-text"><ProcById host={host} pid={waits.pid} name={waits.command} /> {waits.because}; {waits.until}</p>)}
          <Some items={one.holders} limit={12} each={(holder) => <HolderAnswerLine host={host} holder={holder} />} />
          {!one["keeper-found"] && <p class="warn-text">{S.why.unexplained}</p>}
          {!one["holders-seen"] && <p><Unread>{S.details.holdersUnseen}</Unread></p>}
          {!one["keeper-found"] && one.suspects.length > 0 && <><h3>{S.why.suspects}</h3><Some items={one.suspects} limit={10} each={(suspect) => <span>{suspect.text}</span>} /></>}
        </div>
      ))}
    </Answer>
  );
}

export function HolderAnswerLine({ host, holder }: { host: Host; holder: HolderAnswer }): JSX.Element {
  return (
    <>
      <span>
        {holder.count != null ? S.holders.count(holder.kind, holder.count) : (S.holders.kinds[holder.kind as "fd"] ?? holder.kind)}
        {holder.pid != null && <> <ProcById host={host} pid={holder.pid} name={holder.command} /></>}
        {holder.fd != null && <span class="dim"> fd {holder.fd}</span>}
        {holder.nsid != null && <> <NsById host={host} id={holder.nsid} /></>}
        {holder.path != null && <> <bdi class="wrap">{holder.path}</bdi></>}
        {holder.mntns !== undefined && holder.mntns !== host.mntns && <> <span class="dim">{S.in}</span> <NsById host={host} id={holder.mntns} type="mnt" /></>}
      </span>
      {holder.release && holder.release.length > 0 && <ul class="steps">{holder.release.map((step, n) => <li key={n}><StepLine step={step} /></li>)}</ul>}
    </>
  );
}

/** Text in which commands stand between backquotes. */
function Coded({ text }: { text: string }): JSX.Element {
  return <>{text.split(/`([^`]+)`/).map((part, n) => (n % 2 ? <code key={n} class="wrap">{part}</code> : part))}</>;
}

function StepLine({ step }: { step: Step }): JSX.Element {
  const named = step["engine-command"] ?? step["delete-name"] ?? step.command ?? undefined;
  const command = named !== undefined && step.text.includes(named) ? undefined : named;
  return <span><Coded text={step.text} />{command && <> <code class="wrap">{command}</code></>}{step.lacks && <> <Tag kind="warn">{S.why.lacks(step.lacks)}</Tag></>}</span>;
}

export function OrphansView({ host }: { host: Host }): JSX.Element {
  const { live } = useStore();
  return (
    <>
      <Heading title={S.views.orphans}><p class="lead">{S.lead.orphans}</p></Heading>
      {live ? (
        <div class="scroll">
          <Answer<OrphanAnswer> question="orphans">
            {(results) => results.length === 0 ? <p>{S.orphans.none}</p> : (
              <div class="cards">
                {results.map((one) => {
                  const ns = host.namespaces.get(one.namespace.nsid);
                  return (
                    <Card key={one.namespace.nsid} title={nsName({ type: one.namespace.type, id: one.namespace.nsid })}>
                      <p>{ns && <NsRef ns={ns} />} {one.name ? <bdi class="dim">{S.orphans.named(one.name)}</bdi> : <Tag kind="warn">{S.orphans.leftOver}</Tag>}</p>
                      {!one["members-seen"] && <p><Unread>{S.orphans.unsure}</Unread></p>}
                      {one["made-for"] && <p>{S.why.madeFor(one["made-for"])}</p>}
                      <Some items={one.holders} limit={6} each={(holder) => <HolderAnswerLine host={host} holder={holder} />} />
                      {!one["keeper-found"] && <p class="warn-text">{S.why.unexplained}</p>}
                      {one["left-over"]?.map((link, n) => <p key={n}><bdi>{link.name}</bdi>: {link.release.map((step, m) => <StepLine key={m} step={step} />)}</p>)}
                    </Card>
                  );
                })}
              </div>
            )}
          </Answer>
        </div>
      ) : <OrphansOfDump host={host} />}
    </>
  );
}

function OrphansOfDump({ host }: { host: Host }): JSX.Element {
  const [text, input] = useFilter();
  const tree = useMemo((): Tree<Ns> => ({ roots: TYPES.flatMap((type) => host.byType[type].filter(isOrphan)), key: (ns) => String(ns.id), href: (ns) => hrefOf({ kind: "ns", id: ns.id }) }), [host]);
  const match = useMemo(() => (text === "" ? undefined : (ns: Ns) => `${nsName(ns)} ${ns.netnsName ?? ""} ${ns.reference.join(" ")}`.includes(text)), [text]);
  const columns: Column<Ns>[] = [
    { id: "ns", title: S.columns.namespace, width: "minmax(13rem, 1fr)", cell: (ns) => <><NsRef ns={ns} inRow /><NsTags ns={ns} /></>, sort: (a, b) => a.id - b.id },
    { id: "sure", title: S.columns.processes, width: "minmax(10rem, 1fr)", from: 520, cell: (ns) => (<MemberCount host={host} ns={ns} />) },
    { id: "held", title: S.columns.held, width: "minmax(12rem, 2fr)", from: 700, cell: (ns) => (host.ours ? <span>{heldBy(ns)}</span> : <Unread>{S.notKnown}</Unread>) },
  ];
  return (
    <>
      <p class="note">{S.needsAgent("orphans")}</p>
      <Grid id="orphans" label={S.views.orphans} columns={columns} tree={tree} match={match} tools={input} empty={S.orphans.none} />
    </>
  );
}

export function AuditFindings({ host, answer }: { host: Host; answer: AuditAnswer }): JSX.Element {
  return (
    <>
      {answer.findings.length === 0 && <p>{S.audit.clean}</p>}
      <ul class="findings">
        {answer.findings.map((finding, n) => (
          <li key={n}>
            <Tag kind={`severity-${finding.severity}`}>{finding.severity}</Tag> {finding.text}
            <ul>{finding.evidence.slice(0, 5).map((one, m) => <li key={m} class="dim"><bdi>{one.text}</bdi>{one.pid != null && host.processes.has(one.pid) && <> <ProcById host={host} pid={one.pid} /></>}</li>)}</ul>
            {finding.remedy && <p class="dim"><Coded text={S.audit.remedy(finding.remedy)} /></p>}
          </li>
        ))}
      </ul>
      {answer["not-judged"].map((text, n) => <p key={n}><Unread>{text}</Unread></p>)}
    </>
  );
}

export function AuditView({ host }: { host: Host }): JSX.Element {
  return (
    <>
      <Heading title={S.views.audit}><p class="lead">{S.lead.audit}</p></Heading>
      <div class="scroll">
        <Answer<AuditAnswer> question="audit">
          {(results) => results.length === 0 ? <p>{S.audit.none}</p> : (
            <div class="cards">
              {results.map((one, n) => (
                <Card key={n} title={one.target}>
                  <p>{one.worst && <Tag kind={`severity-${one.worst}`}>{one.worst}</Tag>} {S.audit.judged(one["process-count"])} {one.pid !== null && <ProcById host={host} pid={one.pid} />}</p>
                  <AuditFindings host={host} answer={one} />
                </Card>
              ))}
            </div>
          )}
        </Answer>
      </div>
    </>
  );
}

export function PortsView({ host }: { host: Host }): JSX.Element {
  return (
    <>
      <Heading title={S.views.ports}><p class="lead">{S.lead.ports}</p></Heading>
      <Answer<PortAnswer> question="ports">{(results) => <Ports host={host} ports={results} />}</Answer>
    </>
  );
}

function Ports({ host, ports }: { host: Host; ports: PortAnswer[] }): JSX.Element {
  const [text, input] = useFilter();
  const tree = useMemo((): Tree<PortAnswer> => ({ roots: ports, key: (port) => `${port.namespace.nsid}-${port.protocol}-${port.inode}-${port.address}`, href: (port) => hrefOf({ kind: "ns", id: port.namespace.nsid }) }), [ports]);
  const match = useMemo(() => (text === "" ? undefined : (port: PortAnswer) => [port.protocol, port.address, port.port, port.namespace.nsid, port.namespace["netns-name"], ...port.processes.map((one) => `${one.command} ${one.pid} ${one.container?.name ?? ""}`)].join(" ").toLowerCase().includes(text)), [text]);
  const columns: Column<PortAnswer>[] = [
    { id: "port", title: S.ports.port, width: "minmax(6rem, 0.6fr)", cell: (port) => <span><strong>{port.port ?? ""}</strong> <span class="dim">{port.protocol}</span></span>, sort: (a, b) => (a.port ?? 0) - (b.port ?? 0) || collate(a.protocol, b.protocol) },
    { id: "address", title: S.ports.address, width: "minmax(8rem, 1fr)", from: 480, cell: (port) => <bdi>{port.address}{port.link ? `%${port.link}` : ""}</bdi>, sort: (a, b) => collate(a.address, b.address) },
    { id: "process", title: S.columns.process, width: "minmax(9rem, 1.2fr)", cell: (port) => { const [one] = port.processes; return one ? <span><ProcById host={host} pid={one.pid} name={one.command} />{port.processes.length > 1 && <span class="dim"> +{port.processes.length - 1}</span>}</span> : <Unread>{port["all-processes-seen"] ? S.ports.kernel : S.ports.unseen}</Unread>; } },
    { id: "container", title: S.columns.container, width: "minmax(8rem, 1fr)", from: 700, cell: (port) => <bdi class="dim">{port.processes.find((one) => one.container)?.container?.name ?? port.namespace.container?.name}</bdi> },
    { id: "ns", title: S.columns.namespace, width: "minmax(11rem, 1fr)", from: 840, cell: (port) => <NsById host={host} id={port.namespace.nsid} type="net" inRow />, sort: (a, b) => a.namespace.nsid - b.namespace.nsid },
    { id: "user", title: S.columns.user, width: "minmax(6rem, 0.6fr)", from: 1000, cell: (port) => <bdi class="dim">{port["user-name"] ?? port["user-id"]}</bdi> },
  ];
  return <Grid id="ports" label={S.views.ports} columns={columns} tree={tree} match={match} tools={input} empty={S.ports.none} />;
}

export function GapText({ host, gap }: { host: Host; gap: Gap }): JSX.Element {
  return (
    <span>
      {S.gaps.place(gap.place)}: {gap.operation}{gap.operand ? ` ${gap.operand}` : ""}: <Unread>{S.gaps.cause(gap.cause, gap.errno)}</Unread>
      {gap.pid != null && <> <ProcById host={host} pid={gap.pid} /></>}
      {gap.tid !== undefined && gap.tid !== gap.pid && <span class="dim"> {S.holders.task(gap.tid)}</span>}
      {gap.fd !== undefined && <span class="dim"> fd {gap.fd}</span>}
      {gap.nsid !== undefined && <> <NsById host={host} id={gap.nsid} /></>}
      {gap.mntns !== undefined && <> <span class="dim">{S.in}</span> <NsById host={host} id={gap.mntns} type="mnt" /></>}
      {gap.path !== undefined && <> <bdi class="wrap">{gap.path}</bdi></>}
    </span>
  );
}

export function GapsView({ host }: { host: Host }): JSX.Element {
  const [text, input] = useFilter();
  const tree = useMemo((): Tree<Gap> => {
    const numbers = new Map(host.gaps.map((gap, n) => [gap, String(n)]));
    return { roots: host.gaps, key: (gap) => numbers.get(gap)! };
  }, [host]);
  const match = useMemo(() => (text === "" ? undefined : (gap: Gap) => JSON.stringify(gap).toLowerCase().includes(text)), [text]);
  const { observer } = host;
  const columns: Column<Gap>[] = [
    { id: "place", title: S.gaps.where, width: "minmax(7rem, 0.8fr)", cell: (gap) => <span>{S.gaps.place(gap.place)}</span>, sort: (a, b) => collate(a.place, b.place) },
    { id: "cause", title: S.gaps.why, width: "minmax(9rem, 1fr)", cell: (gap) => <Unread>{S.gaps.cause(gap.cause, gap.errno)}</Unread>, sort: (a, b) => collate(a.cause, b.cause) },
    { id: "operation", title: S.gaps.operation, width: "minmax(8rem, 1fr)", from: 560, cell: (gap) => <bdi class="dim">{gap.operation} {gap.operand ?? ""}</bdi> },
    { id: "object", title: S.gaps.object, width: "minmax(10rem, 1.4fr)", from: 440, cell: (gap) => <span>{gap.pid != null && <ProcById host={host} pid={gap.pid} />}{gap.fd !== undefined && <span class="dim"> fd {gap.fd}</span>} {gap.nsid !== undefined && <NsById host={host} id={gap.nsid} />}{gap.mntns !== undefined && <NsById host={host} id={gap.mntns} type="mnt" />} <bdi>{gap.path ?? ""}</bdi></span> },
  ];
  return (
    <>
      <Heading title={S.views.gaps}><p class="lead">{host.ours ? S.lead.gaps : <Unread>{S.gaps.theirs}</Unread>}</p></Heading>
      <div class="cards tight">
        <Card title={S.gaps.observer}>
          <Facts
            facts={[
              [S.source.host, host.name ? <bdi>{host.name}</bdi> : undefined],
              [S.source.kernel, host.kernel],
              [S.source.taken, host.takenAt?.toISOString().replace(/\.\d+Z$/, "Z")],
              [S.gaps.uid, observer ? userName(host, observer.uid) : undefined],
              [S.gaps.reader, host.reader],
            ]}
          />
        </Card>
        {host.pidnsOnly !== undefined && <Card title={S.views.processes}><p><Unread>{S.gaps.outside}</Unread>{!Number.isNaN(host.pidnsOnly) && <> <NsById host={host} id={host.pidnsOnly} type="pid" /></>}</p></Card>}
        {host.suspects.length > 0 && <Card title={S.gaps.suspects(host.suspects.length)}><Some items={host.suspects} limit={4} each={(one) => <span>{one.kind}{one.pid != null && <> <ProcById host={host} pid={one.pid} /></>}{one.fd !== undefined && <span class="dim"> fd {one.fd}</span>} {one.mntns !== undefined && <NsById host={host} id={one.mntns} type="mnt" />} <bdi class="wrap">{one.path}</bdi></span>} /></Card>}
      </div>
      <Grid id="gaps" label={S.views.gaps} columns={columns} tree={tree} match={match} tools={input} empty={host.ours ? (host.pidnsOnly === undefined ? S.gaps.none : S.gaps.noOther) : <Unread>{S.gaps.theirs}</Unread>} />
    </>
  );
}

const userName = (host: Host, uid: number): string => {
  const name = host.userNames.get(uid);
  return name ? `${name} (${uid})` : String(uid);
};
