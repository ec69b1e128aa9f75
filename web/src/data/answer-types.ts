/* Generated from docs/answers.json by `npm run types`. */

export type Severity = "info" | "low" | "medium" | "high";
export type CapsReason = "member" | "ancestor" | "creator" | "elsewhere" | "not-known";
export type CgroupLimit = "memory-bytes" | "memory-high-bytes" | "swap-bytes" | "cpu-usec-per-second" | "tasks-max";
export type Seccomp = "none" | "strict" | "filter" | "dead";
export type Release = ReleaseStep[];
export type NamespaceAnswer = NamespaceAnswer1 & {
  container?: Container | null;
  "held-by": string | null;
  "holders-seen": boolean;
  initial: boolean;
  leaders: number[];
  "loose-threads": number[];
  "members-seen": boolean;
  missing: string | null;
  nsid: number;
  owner: number | null;
  paths: string[];
  "process-count": number | null;
  references?: References | null;
  "task-count": number | null;
  type: string;
  "unique-id": number | null;
  unit?: Unit | null;
};
export type NamespaceAnswer1 =
  | {
      children: number[];
      "gid-map": [number, number | null, number][] | null;
      limits: LimitAnswer[] | null;
      parent: number | null;
      "possession-counts": CountAnswer[];
      possessions: number[];
      "uid-map": [number, number | null, number][] | null;
      "user-id": number | null;
      "user-name": string | null;
    }
  | {
      "netns-name": string | null;
      network: NetworkAnswer | null;
    }
  | {
      domainname: string | null;
      hostname: string | null;
    }
  | {
      offsets: OffsetsAnswer | null;
    }
  | {
      children: number[];
      ending?: Ending | null;
      "init-pid": number | null;
      level: number | null;
      parent: number | null;
    }
  | {
      "mount-count": number | null;
    }
  | {};
export type Has = "yes" | "can-raise" | "not-known";

export interface Answers {
  audit: AuditEnvelope;
  caps: CapsEnvelope;
  containers: ContainersEnvelope;
  diff: DiffEnvelope;
  links: LinksEnvelope;
  orphans: OrphansEnvelope;
  ports: PortsEnvelope;
  show: ShowEnvelope;
  "who-can": WhoCanEnvelope;
  why: WhyEnvelope;
}
export interface AuditEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: AuditAnswer[];
}
export interface AuditAnswer {
  container: Container | null;
  findings: AuditFinding[];
  "not-judged": string[];
  pid: number | null;
  "process-count": number;
  remarks: string[];
  target: string;
  worst: Severity | null;
}
export interface Container {
  confidence: string;
  engine: string;
  id: string;
  name: string | null;
  pod: string | null;
  target: string;
}
export interface AuditFinding {
  evidence: AuditEvidence[];
  kind: string;
  remedy: string;
  severity: Severity;
  text: string;
}
export interface AuditEvidence {
  fd?: number | null;
  "mount-id"?: number | null;
  nsid?: number | null;
  path?: string | null;
  pid?: number | null;
  text: string;
  tid?: number | null;
}
export interface CapsEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: CapsAnswer[];
}
export interface CapsAnswer {
  all: boolean;
  because: string;
  branch: CapsBranch[];
  capabilities: string[] | null;
  "could-have": string[] | null;
  "created-userns": number | null;
  nsid: number;
  process: CapsProcess;
  reason: CapsReason;
  type: string | null;
  userns: number | null;
}
export interface CapsBranch {
  nsid: number;
  parent: number | null;
  "user-id": number | null;
  "user-name": string | null;
}
export interface CapsProcess {
  container?: Container | null;
  name: string;
  pid: number;
  tid?: number | null;
  uid: number | null;
  unit?: Unit | null;
  userns: number | null;
}
export interface Unit {
  kind: string;
  name: string;
  "of-user": number | null;
}
export interface ContainersEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: ContainerAnswer[];
}
export interface ContainerAnswer {
  capabilities: string[] | null;
  cgroup: string | null;
  "cgroup-limits": CgroupLimits | null;
  confidence: string;
  created: string | null;
  disagreements: Disagreement[];
  engine: string;
  "engine-version": string | null;
  evidence: Evidence[];
  "extra-capabilities": string[] | null;
  groups: string[];
  "has-root": boolean | null;
  health: string | null;
  "host-uid-of-root": number | null;
  id: string;
  image: string | null;
  inside: string | null;
  labels: {
    [k: string]: string;
  };
  "lsm-label": string | null;
  name: string | null;
  namespaces: ContainerNamespace[];
  "no-new-privs": boolean | null;
  pid: number | null;
  pod: string | null;
  runtime: string | null;
  sandbox: boolean;
  seccomp: Seccomp | null;
  state: string | null;
  target: string;
}
export interface CgroupLimits {
  "cpu-usec-per-second"?: number | null;
  "cpu-weight"?: number | null;
  cpus?: string | null;
  "memory-bytes"?: number | null;
  "memory-high-bytes"?: number | null;
  "swap-bytes"?: number | null;
  "tasks-max"?: number | null;
  unlimited: CgroupLimit[];
}
export interface Disagreement {
  about: string;
  values: string[];
}
export interface Evidence {
  at: string;
  confidence: string;
  kind: string;
}
export interface ContainerNamespace {
  container?: string | null;
  nsid: number | null;
  pid?: number | null;
  "shared-with"?: string[] | null;
  "shared-with-count"?: number | null;
  type: string;
  whose: string | null;
}
export interface DiffEnvelope {
  change: string;
  from?: number | null;
  holder?: Holder | null;
  holders?: Holder[] | null;
  namespace: Namespace;
  process?: Process | null;
  time?: string | null;
  to?: number | null;
  was?: Process | null;
}
export interface Holder {
  command?: string | null;
  container?: Container | null;
  count?: number | null;
  "device-nsid"?: number | null;
  fd?: number | null;
  fstype?: string | null;
  inode?: number | null;
  kind: string;
  mntns?: number;
  mountid?: number;
  nsid?: number | null;
  path?: string | null;
  pid?: number;
  release: Release;
  tid?: number | null;
  unit?: Unit | null;
  what?: string | null;
}
export interface ReleaseStep {
  command?: string | null;
  "delete-name"?: string | null;
  "engine-command"?: string | null;
  "engine-command-missing"?: string | null;
  fd?: number | null;
  lacks?: string | null;
  nsid?: number | null;
  pid?: number | null;
  step: string;
  text: string;
  tid?: number | null;
}
export interface Namespace {
  container?: Container | null;
  initial: boolean;
  leaders?: number[] | null;
  "netns-name"?: string | null;
  nsid: number;
  owner: number | null;
  parent?: number | null;
  type: string;
  "unique-id": number | null;
  unit?: Unit | null;
}
export interface Process {
  command: string | null;
  container?: Container | null;
  fd?: number | null;
  pid: number;
  tid?: number | null;
  unit?: Unit | null;
}
export interface LinksEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: GraphAnswer[];
}
export interface GraphAnswer {
  edges: EdgeAnswer[];
  links: GraphLink[];
}
export interface EdgeAnswer {
  /**
   * @minItems 2
   * @maxItems 2
   */
  from: [number, number];
  relation: string;
  /**
   * @minItems 2
   * @maxItems 2
   */
  to: [number, number];
}
export interface GraphLink {
  addresses: LinkAddressAnswer[] | null;
  container?: Container | null;
  /**
   * @minItems 2
   * @maxItems 2
   */
  id: [number, number];
  kind: string | null;
  /**
   * @minItems 1
   * @maxItems 1
   */
  "left-over": [LeftOverAnswer] | null;
  mac: string | null;
  /**
   * @minItems 2
   * @maxItems 2
   */
  master: [number, number] | null;
  mtu: number | null;
  name: string;
  "netns-name": string | null;
  nsid: number | null;
  "other-end": LinkEndAnswer | null;
  process: BriefProcess | null;
  state: string;
  target: string;
  unit?: Unit | null;
  up: boolean;
  users: LinkUserAnswer[];
}
export interface LinkAddressAnswer {
  address: string;
  peer: string | null;
  prefix: number;
  scope: string;
}
export interface LeftOverAnswer {
  /**
   * @minItems 2
   * @maxItems 2
   */
  id: [number, number];
  kind: string;
  "members-seen": boolean;
  name: string;
  "orphan-nsid": number;
  release: ReleaseStep[];
}
export interface LinkEndAnswer {
  container?: Container | null;
  /**
   * @minItems 2
   * @maxItems 2
   */
  id: [number, number] | null;
  index: number | null;
  name: string | null;
  "netns-name": string | null;
  nsid: number | null;
  process: BriefProcess | null;
  relation: string;
  unit?: Unit | null;
}
export interface BriefProcess {
  name: string | null;
  pid: number;
}
export interface LinkUserAnswer {
  container?: Container | null;
  fd: number;
  name: string | null;
  pid: number;
  tid: number;
  unit?: Unit | null;
}
export interface OrphansEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: OrphanResult[];
}
export interface OrphanResult {
  ending?: Ending | null;
  holders: Holder[];
  "keeper-found": boolean;
  "left-over": LeftOverAnswer[] | null;
  "made-for"?: string | null;
  "members-seen": boolean;
  name: string | null;
  namespace: Namespace;
  "suspect-count": number;
  suspects: Suspect[];
  target: string;
}
export interface Ending {
  init: EndingProcess;
  more: number;
  "waits-for": EndingProcess[];
}
export interface EndingProcess {
  because: string;
  command: string;
  "command-to-run": string | null;
  container?: Container | null;
  "fuse-connections": number[];
  killed: boolean | null;
  parent: number | null;
  pid: number;
  stack: string[] | null;
  state: string;
  tid: number;
  tracer: number | null;
  unit?: Unit | null;
  until: string | null;
  wchan: string | null;
}
export interface Suspect {
  command?: string | null;
  container?: Container | null;
  count?: number | null;
  fd?: number | null;
  fstype?: string | null;
  key?: number | null;
  kind: string;
  major?: number | null;
  minor?: number | null;
  mntns?: number;
  mountid?: number;
  path?: string | null;
  pid?: number;
  shmid?: number | null;
  text: string;
  tid?: number | null;
  type?: string | null;
  unit?: Unit | null;
}
export interface PortsEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: PortsAnswer[];
}
export interface PortsAnswer {
  address: string;
  "all-processes-seen": boolean;
  inode: number;
  link: string | null;
  namespace: Namespace;
  port: number | null;
  processes: Process[];
  protocol: string;
  "takes-v4": boolean;
  "user-id": number | null;
  "user-name": string | null;
}
export interface ShowEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: ShowAnswer[];
}
export interface ShowAnswer {
  namespace?: NamespaceAnswer | null;
  "network-link"?: GraphLink | null;
  process?: ProcessAnswer | null;
  target: string;
}
export interface LimitAnswer {
  max: number;
  type: string;
  used: number | null;
}
export interface CountAnswer {
  count: number;
  type: string;
}
export interface NetworkAnswer {
  addresses: AddressAnswer[];
  failures: string[];
  "left-over": LeftOverAnswer[];
  links: LinkAnswer[];
  "other-routes": number;
  routes: RouteAnswer[];
  sockets: SocketAnswer[];
}
export interface AddressAnswer {
  address: string;
  index: number;
  link: string | null;
  peer: string | null;
  prefix: number;
  scope: string;
}
export interface LinkAnswer {
  index: number;
  kind: string | null;
  mac: string | null;
  master: number | null;
  mtu: number | null;
  name: string;
  "other-end": OtherEndAnswer | null;
  state: string;
  up: boolean;
}
export interface OtherEndAnswer {
  container?: Container | null;
  index: number | null;
  name: string | null;
  "netns-name": string | null;
  netnsid: number | null;
  nsid: number | null;
  process: BriefProcess | null;
  relation: string;
  unit?: Unit | null;
}
export interface RouteAnswer {
  destination: string;
  family: string;
  hops: HopAnswer[];
  metric: number | null;
  "route-type": string;
  source: string | null;
}
export interface HopAnswer {
  gateway: string | null;
  index: number | null;
  link: string | null;
}
export interface SocketAnswer {
  address: string;
  inode: number;
  link: string | null;
  port: number;
  protocol: string;
  "takes-v4": boolean;
  "user-id": number | null;
  users: SocketUserAnswer[];
}
export interface SocketUserAnswer {
  container?: Container | null;
  fd: number;
  name: string | null;
  pid: number;
  tid: number;
  unit?: Unit | null;
}
export interface OffsetsAnswer {
  /**
   * @minItems 2
   * @maxItems 2
   */
  boottime: [number, number];
  /**
   * @minItems 2
   * @maxItems 2
   */
  monotonic: [number, number];
}
export interface References {
  exact: boolean;
  explained: number;
  total: number;
}
export interface ProcessAnswer {
  "capability-sets": SetsAnswer | null;
  "cgroup-limits": CgroupLimits | null;
  cgroups: CgroupAnswer[] | null;
  command: string;
  "compared-with": string;
  container?: Container | null;
  cpus: string | null;
  frozen: boolean | null;
  "host-capabilities": string[] | null;
  "loose-tasks": TaskAnswer[];
  "lsm-label": string | null;
  "lsm-missing": string | null;
  name: string;
  namespaces: MembershipAnswer[];
  nice: number | null;
  "no-new-privs": boolean | null;
  nspids: number[] | null;
  pid: number;
  policy: string | null;
  ppid: number | null;
  priority: number | null;
  "root-on-host": boolean | null;
  seccomp: Seccomp | null;
  "started-seconds": number;
  "task-count": number;
  "uid-inside": number | null;
  uids: UidsAnswer | null;
  unit?: Unit | null;
  "user-name": string | null;
}
export interface SetsAnswer {
  ambient: string[];
  bounding: string[];
  effective: string[];
  inheritable: string[];
  permitted: string[];
}
export interface CgroupAnswer {
  controllers: string;
  hierarchy: number;
  path: string;
}
export interface TaskAnswer {
  name: string;
  nsids: number[];
  tid: number;
}
export interface MembershipAnswer {
  "netns-name": string | null;
  nsid: number | null;
  shared: boolean | null;
  type: string;
}
export interface UidsAnswer {
  effective: number | null;
  "file-system": number | null;
  real: number | null;
  saved: number | null;
}
export interface WhoCanEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: WhoCanAnswer[];
}
export interface WhoCanAnswer {
  capability: string;
  namespaces: WhoCanNamespace[];
  processes: WhoCanProcess[];
  summary: string;
  userns: number | null;
}
export interface WhoCanNamespace {
  container?: Container | null;
  nsid: number;
  type: string | null;
  unit?: Unit | null;
}
export interface WhoCanProcess {
  container?: Container | null;
  "created-userns": number | null;
  has: Has;
  "kernel-thread": boolean;
  name: string;
  pid: number;
  reason: CapsReason;
  tid: number | null;
  uid: number | null;
  unit?: Unit | null;
  userns: number | null;
}
export interface WhyEnvelope {
  format: number;
  gaps: string[];
  question: string;
  results: WhyResult[];
}
export interface WhyResult {
  ending?: Ending | null;
  holders: Holder[];
  "holders-seen": boolean;
  "keeper-found": boolean;
  "made-for"?: string | null;
  namespace: Namespace | null;
  references?: References | null;
  suspects: Suspect[];
  target: string;
}
