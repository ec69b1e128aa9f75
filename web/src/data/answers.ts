// Answers of `lxkns ... --json`, as docs/views.md has them: the keys that the page shows.

import type { TypeName } from "./dump-types";

export interface Envelope<T> {
  format: number;
  question: string;
  results: T[];
  gaps: string[];
}

export interface ContainerRef {
  target: string;
  engine: string;
  id: string;
  name: string;
  pod: string | null;
  confidence: string;
}

export interface Belongs {
  container?: ContainerRef | null;
  unit?: { kind: string; name: string; "of-user": number | null } | null;
}

export interface NamespaceAnswer extends Belongs {
  nsid: number;
  type: TypeName;
  "netns-name"?: string | null;
  leaders?: number[];
}

export interface Step {
  step: string;
  text: string;
  pid?: number;
  nsid?: number;
  command?: string;
  lacks?: string;
  "delete-name"?: string;
  "engine-command"?: string;
}

export interface HolderAnswer extends Belongs {
  kind: string;
  pid?: number;
  tid?: number;
  fd?: number;
  command?: string;
  count?: number;
  inode?: number;
  mntns?: number;
  mountid?: number;
  fstype?: string;
  path?: string;
  nsid?: number;
  release?: Step[];
}

export interface SuspectAnswer {
  kind: string;
  text: string;
  pid?: number;
}

export interface WhyAnswer {
  target: string;
  namespace: NamespaceAnswer | null;
  explained: boolean;
  "holders-seen": boolean;
  "made-for"?: string;
  ending?: { "waits-for": { pid: number; tid: number; command: string; because: string; release: string }[]; more: number };
  holders: HolderAnswer[];
  suspects: SuspectAnswer[];
}

export interface OrphanAnswer {
  target: string;
  namespace: NamespaceAnswer;
  explained: boolean;
  "members-seen": boolean;
  "made-for"?: string;
  name: string | null;
  "left-over": { name: string; release: Step }[] | null;
  holders: HolderAnswer[];
  suspects: SuspectAnswer[];
  "suspect-count": number;
}

export interface CapsAnswer {
  nsid: number;
  type: TypeName;
  userns: number | null;
  process: { pid: number; name: string; uid: number | null; userns: number | null };
  reason: string;
  all: boolean;
  capabilities: string[] | null;
  "could-have": string[] | null;
  because: string;
}

export interface WhoCanAnswer {
  capability: string;
  userns: number | null;
  summary: string;
  processes: (Belongs & { pid: number; tid: number | null; name: string; uid: number | null; has: string; kernel: boolean })[];
}

export interface AuditAnswer {
  target: string;
  container: ContainerRef | null;
  pid: number | null;
  processes: number;
  worst: string | null;
  findings: {
    kind: string;
    severity: string;
    text: string;
    remedy: string | null;
    evidence: { text: string; pid?: number; nsid?: number }[];
  }[];
  "not-judged": string[];
  remarks: string[];
}

export interface ContainerAnswer extends ContainerRef {
  state: string | null;
  pid: number | null;
  namespaces: {
    type: TypeName;
    nsid: number | null;
    whose: string | null;
    container?: string;
    pid?: number;
    "shared-with"?: string[];
    "shared-with-count"?: number;
  }[];
  "host-uid-of-root": number | null;
  "has-root": boolean | null;
  capabilities: string[] | null;
  "extra-capabilities": string[] | null;
  seccomp: string | null;
  "no-new-privs": boolean | null;
  "lsm-label": string | null;
}

export interface PortAnswer {
  protocol: string;
  address: string;
  port: number | null;
  link: string | null;
  inode: number;
  "user-id": number | null;
  "user-name": string | null;
  namespace: NamespaceAnswer;
  processes: (Belongs & { pid: number; tid: number; fd: number; command: string })[];
  "all-processes-seen": boolean;
}

export type LinkId = [number, number];

export interface LinkAnswer extends Belongs {
  id: LinkId;
  target: string;
  name: string;
  kind: string | null;
  up: boolean;
  state: string;
  mtu: number | null;
  mac: string | null;
  master: LinkId | null;
  nsid: number;
  "netns-name": string | null;
  process: { pid: number; name: string } | null;
  "other-end": { relation: string; id: LinkId | null; index: number; name: string | null; nsid: number | null } | null;
  users: { pid: number; tid: number; fd: number; name: string }[];
  "left-over": unknown;
}

export interface EdgeAnswer {
  from: LinkId;
  to: LinkId;
  relation: string;
}

export interface GraphAnswer {
  links: LinkAnswer[];
  edges: EdgeAnswer[];
}

export interface NetworkAnswer {
  links: { index: number; name: string; kind?: string | null; up: boolean; state: string; mtu: number | null; mac: string | null }[];
  addresses: { index: number; link: string; address: string; prefix: number; scope: string }[];
  routes: { destination: string; hops: { gateway: string | null; link: string | null }[] }[];
  "other-routes"?: number;
  failures: string[];
}

export interface ShowAnswer {
  target: string;
  namespace?: {
    nsid: number;
    missing: string | null;
    "held-by"?: string;
    hostname?: string | null;
    domainname?: string | null;
    limits?: { type: string; max: number | null; used: number }[] | null;
    network?: NetworkAnswer | null;
  };
  process?: {
    pid: number;
    "lsm-label": string | null;
    "lsm-missing": string | null;
    "root-on-host": boolean | null;
    "host-capabilities": string[] | null;
  };
}

interface NamedProcess {
  pid: number;
  command?: string | null;
}

/** A line of `lxkns watch --json` or `lxkns diff --json`. */
export interface EventLine {
  change: string;
  time?: string;
  namespace: NamespaceAnswer;
  holders?: HolderAnswer[];
  holder?: HolderAnswer;
  process?: NamedProcess;
  was?: NamedProcess;
  from?: number;
  to?: number;
}
