// Small things that all views are made of.

import type { ComponentChildren, JSX } from "preact";
import type { Envelope } from "../data/answers";
import { hrefOf } from "../data/address";
import { isOver, type Change } from "../data/diff";
import { isOrphan, isShared, nsName, type Container, type Host, type Ns, type Proc, type Task, type TypeName } from "../data/host";
import { S } from "../strings";
import { useStore } from "./store";

/** A link inside a row: reached with Enter on the row, so that Tab does not stop at each. */
interface LinkProps {
  inRow?: boolean;
}

export function TypeBadge({ type }: { type: TypeName }): JSX.Element {
  return <span class={`type type-${type}`}>{type}</span>;
}

export function NsRef({ ns, inRow, bare }: LinkProps & { ns: Ns; bare?: boolean }): JSX.Element {
  return (
    <a class="ref" href={hrefOf({ kind: "ns", id: ns.id })} tabIndex={inRow ? -1 : undefined} title={S.typesOne[ns.type]}>
      {!bare && <TypeBadge type={ns.type} />}
      <span class="id">{ns.id}</span>
      {ns.netnsName && <bdi class="name">{ns.netnsName}</bdi>}
    </a>
  );
}

/** A namespace by its number, also where it is not in the snapshot. */
export function NsById({ host, id, type, inRow }: LinkProps & { host: Host; id: number; type?: string | null }): JSX.Element {
  const ns = host.namespaces.get(id);
  return ns ? <NsRef ns={ns} inRow={inRow} /> : <span class="id">{type ? nsName({ type, id }) : id}</span>;
}

export function ProcRef({ process, inRow }: LinkProps & { process: Proc }): JSX.Element {
  return (
    <a class="ref" href={hrefOf({ kind: "process", pid: process.pid })} tabIndex={inRow ? -1 : undefined}>
      <bdi class="name">{process.name || S.noName}</bdi> <span class="id">{process.pid}</span>
    </a>
  );
}

/** A process by its PID, also where it is not in the snapshot. */
export function ProcById({ host, pid, name }: { host: Host; pid: number; name?: string | null | undefined }): JSX.Element {
  const process = host.processes.get(pid);
  return process ? <ProcRef process={process} /> : <span><bdi>{name}</bdi> <span class="id">{pid}</span></span>;
}

export function TaskRef({ task, inRow }: LinkProps & { task: Task }): JSX.Element {
  return (
    <a class="ref" href={hrefOf({ kind: "task", tid: task.tid })} tabIndex={inRow ? -1 : undefined}>
      <bdi class="name">{task.name}</bdi> <span class="id">{task.tid}</span>
    </a>
  );
}

export function ContainerRef({ container, inRow }: LinkProps & { container: Container }): JSX.Element {
  return (
    <a class="ref container" href={hrefOf({ kind: "container", key: container.key })} tabIndex={inRow ? -1 : undefined}>
      <bdi class="name">{container.name}</bdi>
    </a>
  );
}

export const Tag = ({ kind, children }: { kind: string; children: ComponentChildren }): JSX.Element => <span class={`tag ${kind}`}>{children}</span>;

export function NsTags({ ns }: { ns: Ns }): JSX.Element {
  return (
    <>
      {ns.initial && <Tag kind="initial">{S.tags.initial}</Tag>}
      {!ns.initial && isShared(ns) && <Tag kind="shared">{S.tags.shared}</Tag>}
      {!ns.initial && isOrphan(ns) && <Tag kind="orphan">{S.tags.orphan}</Tag>}
    </>
  );
}

/** What could not be read, drawn as that. */
export const Unread = ({ children, why }: { children: ComponentChildren; why?: string | undefined }): JSX.Element => <span class="unread" title={why}>{children}</span>;

/** Why namespaces of processes could not be read. */
function whyUnread(host: Host): string | undefined {
  const gap = host.gaps.find((one) => one.place === "processes" && one.pid !== undefined);
  return gap && S.gaps.cause(gap.cause, gap.errno);
}

/** How many processes are in a namespace, as far as they could be read. */
export function MemberCount({ host, ns }: { host: Host; ns: Ns }): JSX.Element {
  const count = ns.members.length;
  const unread = host.unread[ns.type];
  const hidden = host.hidesProcesses && !ns.allListed;
  if (count === 0 && unread > 0) return <Unread why={whyUnread(host)}>{S.membersUnread(unread)}</Unread>;
  if (count === 0 && hidden) return <Unread>{S.membersHidden}</Unread>;
  if (unread > 0 || hidden) return <span class="number" title={unread > 0 ? S.moreUnread(unread) : S.moreHidden}>{S.atLeast(count)}</span>;
  return <span class="number">{count}</span>;
}

export function Card({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

export type Fact = [string, ComponentChildren] | undefined | false;

export function Facts({ facts }: { facts: Fact[] }): JSX.Element {
  const shown = facts.filter((fact): fact is [string, ComponentChildren] => Boolean(fact));
  return (
    <dl>
      {shown.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value ?? <Unread>{S.notKnown}</Unread>}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A list that shows its beginning first. */
export function Some<T>({ items, each, limit = 20 }: { items: readonly T[]; each: (item: T) => ComponentChildren; limit?: number }): JSX.Element {
  const list = items.slice(0, limit);
  return (
    <>
      <ul class="plain">{list.map((item, n) => <li key={n}>{each(item)}</li>)}</ul>
      {items.length > limit && (
        <details>
          <summary>{S.more(items.length - limit)}</summary>
          <ul class="plain">{items.slice(limit, limit + 2000).map((item, n) => <li key={n}>{each(item)}</li>)}</ul>
        </details>
      )}
    </>
  );
}

/** An answer of the agent's, or why there is none. */
export function Answer<T>({ question, params = {}, children }: { question: string; params?: Record<string, string>; children: (results: T[], envelope: Envelope<T>) => ComponentChildren }): JSX.Element {
  const answer = useStore().ask<T>(question, params);
  switch (answer.state) {
    case "needs-agent":
      return <p class="note">{S.needsAgent(question)}</p>;
    case "asking":
      return <p class="note" role="status">{S.asking}</p>;
    case "failed":
      return <p class="problem" role="alert">{answer.why}</p>;
    case "is":
      return (
        <>
          {children(answer.value.results, answer.value)}
          {answer.value.gaps.length > 0 && (
            <details class="gaps">
              <summary>{S.gaps.some(answer.value.gaps.length)}</summary>
              <ul>{answer.value.gaps.map((gap, n) => <li key={n}>{gap}</li>)}</ul>
            </details>
          )}
        </>
      );
  }
}

export function Heading({ title, children }: { title: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  return (
    <header class="heading">
      <h1 tabIndex={-1}>{title}</h1>
      {children}
    </header>
  );
}

/** What of a kind went lately: it has no row any more. */
export function Over({ kind, prefix = "" }: { kind: Change["kind"]; prefix?: string }): JSX.Element | null {
  const { marks } = useStore();
  const now = Date.now();
  const over = [...marks.values()].filter((mark) => mark.kind === kind && isOver(mark.change) && mark.until > now && mark.label.startsWith(prefix)).reverse();
  if (over.length === 0) return null;
  return (
    <details class="over" open={over.length <= 3}>
      <summary>{S.over} ({over.length})</summary>
      <ul>{over.slice(0, 50).map((mark, n) => <li key={n}><Tag kind={`mark-${mark.change}`}>{S.marks[mark.change]}</Tag> <bdi>{mark.label}</bdi> <bdi class="dim">{mark.details.join("; ")}</bdi></li>)}</ul>
    </details>
  );
}
