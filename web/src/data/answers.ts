// Answers of `lxkns ... --json`: what the schema calls each, under the names that the page has for them.

import type {
  AddressAnswer, AuditAnswer, CapsAnswer, Container, ContainerAnswer, DiffEnvelope, EdgeAnswer, GraphAnswer, GraphLink, Holder, LimitAnswer, Namespace, NetworkAnswer,
  OrphanResult, PortsAnswer, ProcessAnswer, ReleaseStep, WhoCanAnswer, WhyResult,
} from "./answer-types";

export type { AddressAnswer, AuditAnswer, CapsAnswer, ContainerAnswer, EdgeAnswer, GraphAnswer, NetworkAnswer, WhoCanAnswer };
export type ContainerRef = Container;
/** A line of `lxkns diff --json`, or of `lxkns watch --json` that is about a namespace. */
export type EventLine = DiffEnvelope;
export type HolderAnswer = Holder;
export type LinkAnswer = GraphLink;
export type LinkId = GraphLink["id"];
export type NamespaceAnswer = Namespace;
export type OrphanAnswer = OrphanResult;
export type PortAnswer = PortsAnswer;
export type Step = ReleaseStep;
export type WhyAnswer = WhyResult;

export interface Envelope<T> {
  format: number;
  question: string;
  results: T[];
  gaps: string[];
}

/** What depends on the type of a namespace, beside what all have. */
export interface ShowAnswer {
  target: string;
  namespace?: {
    nsid: number;
    missing: string | null;
    hostname?: string | null;
    domainname?: string | null;
    limits?: LimitAnswer[] | null;
    network?: NetworkAnswer | null;
  } | null;
  process?: ProcessAnswer | null;
}
