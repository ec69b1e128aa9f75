// What the agent tells as it happens, and between two of its states: the lines of `lxkns watch` and `lxkns diff`.

import type { EventLine } from "./answers";
import { hrefOf } from "./address";
import type { Change, ChangeKind } from "./diff";
import { nsName } from "./host";
import { S } from "../strings";

/** A state of the agent's history. */
export interface State {
  state: string;
  time: string;
  processes: number;
  namespaces: number;
}

/** The changes that the agent tells of, by their names in events. */
export const CHANGES = [
  "appeared", "seen", "went", "vanished", "hidden", "unseen", "last-task-left", "first-task-came", "leader", "owner-known", "parent-known", "process-left", "process-entered",
  "holder-went", "holder-came", "other",
] as const;

const KINDS: Record<string, ChangeKind> = { appeared: "appeared", seen: "seen", went: "went", vanished: "unseen", hidden: "unseen", unseen: "unseen" };

/** A line as a change. */
export function changeOf(line: EventLine): Change {
  const { namespace, process, was, holder, from, to } = line;
  const id = namespace.nsid;
  const named = (one: { pid: number; command?: string | null }): string => `${one.command ?? S.process} ${one.pid}`;
  const details: (string | undefined | false | null)[] = [
    KINDS[line.change] === undefined && (S.events[line.change as keyof typeof S.events] ?? line.change),
    namespace["netns-name"] && S.diff.netns(namespace["netns-name"]),
    namespace.container && S.diff.container(namespace.container.name ?? namespace.container.id),
    process && named(process),
    was && `← ${named(was)}`,
    holder && `${S.holders.kinds[holder.kind as "fd"] ?? holder.kind}${holder.pid == null ? "" : ` ${holder.pid}`}${holder.path ? ` ${holder.path}` : ""}`,
    from != null && `← ${nsName({ type: namespace.type, id: from })}`,
    to != null && `→ ${nsName({ type: namespace.type, id: to })}`,
  ];
  return {
    change: KINDS[line.change] ?? "changed",
    kind: "namespace",
    key: `ns/${id}`,
    label: nsName({ type: namespace.type, id }),
    details: details.filter((one): one is string => Boolean(one)),
    href: hrefOf({ kind: "ns", id }),
  };
}

/** Whether a namespace came and went without being in any scan: then a process of it is all that is known. */
export const isPassed = (line: EventLine): boolean =>
  ["went", "vanished", "hidden"].includes(line.change) && line.process != null && line.holders == null;
