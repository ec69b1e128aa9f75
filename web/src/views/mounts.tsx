// Mounts: of each mount namespace as a tree of paths.

import { useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { hrefOf } from "../data/address";
import type { Mount } from "../data/dump-types";
import { keyOf } from "../data/diff";
import type { Host, Ns } from "../data/host";
import { hiddenCount, mountPath, mountTree, peerGroups, propagation, type MountRef, type PathNode } from "../data/mounts";
import { unescapePath } from "../data/text";
import { S } from "../strings";
import { Card, ContainerRef, Facts, Heading, NsById, NsRef, NsTags, ProcRef, Some, Tag, Unread } from "../ui/bits";
import { Grid, useFilter, type Column, type Tree } from "../ui/grid";
import { useStore } from "../ui/store";

export function MountNamespacesView({ host }: { host: Host }): JSX.Element {
  const [text, input] = useFilter();
  const tree = useMemo((): Tree<Ns> => ({ roots: host.byType.mnt, key: (ns) => String(ns.id), href: (ns) => hrefOf({ kind: "mounts", mntns: ns.id }) }), [host]);
  const match = useMemo(() => (text === "" ? undefined : (ns: Ns) =>
    [String(ns.id), ns.leaders[0]?.name, ...ns.containers.map((one) => one.name), ...(host.mounts.get(ns.id) ?? []).map((mount) => `${mount.mountpoint ?? ""} ${mount.source}`)].join(" ").toLowerCase().includes(text)), [text, host]);
  const columns: Column<Ns>[] = [
    { id: "ns", title: S.columns.namespace, width: "minmax(13rem, 1.4fr)", sort: (a, b) => a.id - b.id, cell: (ns) => <><a class="ref" tabIndex={-1} href={hrefOf({ kind: "mounts", mntns: ns.id })}><span class="type type-mnt">mnt</span><span class="id">{ns.id}</span></a><NsTags ns={ns} /></> },
    { id: "mounts", title: S.columns.mounts, width: "minmax(6rem, 0.5fr)", from: 380, sort: (a, b) => (host.mounts.get(a.id)?.length ?? -1) - (host.mounts.get(b.id)?.length ?? -1), cell: (ns) => (host.mounts.has(ns.id) ? <span class="number">{host.mounts.get(ns.id)!.length}</span> : <Unread>{S.notRead}</Unread>) },
    { id: "hidden", title: S.columns.hidden, width: "minmax(6rem, 0.5fr)", from: 560, sort: (a, b) => hiddenCount(host, a.id) - hiddenCount(host, b.id), cell: (ns) => (host.mounts.has(ns.id) ? <span class="number">{hiddenCount(host, ns.id) || ""}</span> : null) },
    { id: "leader", title: S.columns.leader, width: "minmax(9rem, 1fr)", from: 700, cell: (ns) => (ns.leaders[0] ? <ProcRef process={ns.leaders[0]} inRow /> : null) },
    { id: "container", title: S.columns.container, width: "minmax(9rem, 1fr)", from: 820, cell: (ns) => (ns.containers[0] ? <ContainerRef container={ns.containers[0]} inRow /> : null) },
  ];
  return (
    <>
      <Heading title={S.views.mounts}><p class="lead">{S.lead.mounts}</p></Heading>
      <Grid id="mounts" label={S.views.mounts} columns={columns} tree={tree} match={match} tools={input} />
    </>
  );
}

type Row = { kind: "path"; node: PathNode; mount: Mount | undefined } | { kind: "under"; mount: Mount; path: string } | { kind: "lost"; mounts: Mount[] };

const rowOf = (node: PathNode): Row => ({ kind: "path", node, mount: node.mounts.at(-1) });

export function MountsView({ host, mntns }: { host: Host; mntns: number }): JSX.Element {
  const { marks } = useStore();
  const [text, input] = useFilter();
  const [onlyHidden, setOnlyHidden] = useState(false);
  const paths = mountTree(host, mntns);
  const groups = peerGroups(host);
  const tree = useMemo((): Tree<Row> | undefined => {
    if (!paths) return undefined;
    const roots: Row[] = paths.root ? [rowOf(paths.root)] : [];
    if (paths.unreachable.length > 0) roots.push({ kind: "lost", mounts: paths.unreachable });
    return {
      roots,
      children: (row) => {
        if (row.kind === "lost") return row.mounts.map((mount): Row => ({ kind: "under", mount, path: "" }));
        if (row.kind !== "path") return [];
        const under = row.node.mounts.slice(0, -1).reverse().map((mount): Row => ({ kind: "under", mount, path: row.node.path }));
        return [...under, ...row.node.children.map(rowOf)];
      },
      key: (row) => (row.kind === "path" ? `p${row.node.path}` : row.kind === "under" ? `m${row.mount.mountid}` : "lost"),
      href: (row) => (row.kind !== "lost" && row.mount ? hrefOf({ kind: "mount", mntns, id: row.mount.mountid }) : undefined),
      mark: (row) => (row.kind !== "lost" && row.mount ? marks.get(keyOf.mount(mntns, row.mount.mountid))?.change : undefined),
    };
  }, [paths, mntns, marks]);
  const match = useMemo(() => {
    if (text === "" && !onlyHidden) return undefined;
    return (row: Row) => {
      if (row.kind === "lost" || !row.mount) return false;
      const { mount } = row;
      return (!onlyHidden || mount.hidden) && (text === "" || `${mountPath(mount) ?? ""} ${mount.source} ${mount.fstype} ${mount.root}`.toLowerCase().includes(text));
    };
  }, [text, onlyHidden]);
  const columns: Column<Row>[] = [
    {
      id: "path",
      title: S.columns.path,
      width: "minmax(13rem, 2fr)",
      cell: (row) => {
        if (row.kind === "lost") return <span class="dim">{S.mounts.unreachable(row.mounts.length)}</span>;
        const { mount } = row;
        const label = row.kind === "path" ? row.node.tail : row.path === "" ? S.mounts.noPath : S.mounts.under;
        return (
          <>
            {mount ? <a class="ref" tabIndex={-1} href={hrefOf({ kind: "mount", mntns, id: mount.mountid })}><bdi class="name">{label}</bdi></a> : <bdi class="dim">{label}</bdi>}
            {mount?.hidden && <Tag kind="hidden">{S.tags.hidden}</Tag>}
            {row.kind === "path" && row.node.mounts.length > 1 && <Tag kind="over">{S.mounts.over(row.node.mounts.length)}</Tag>}
          </>
        );
      },
    },
    { id: "type", title: S.columns.fstype, width: "minmax(6rem, 0.6fr)", from: 440, cell: (row) => (row.kind !== "lost" ? <bdi>{row.mount && unescapePath(row.mount.fstype)}</bdi> : null) },
    { id: "source", title: S.columns.source, width: "minmax(8rem, 1fr)", from: 700, cell: (row) => (row.kind === "lost" || !row.mount ? null : row.mount["source-unknown"] ? <Unread>{S.notKnown}</Unread> : <bdi class="dim">{unescapePath(row.mount.source)}</bdi>) },
    {
      id: "propagation",
      title: S.columns.propagation,
      width: "minmax(9rem, 1fr)",
      from: 580,
      cell: (row) => {
        if (row.kind === "lost" || !row.mount) return null;
        const { shared, master } = row.mount.tags;
        const peers = (shared ? (groups.get(shared)?.peers.length ?? 1) - 1 : 0);
        return <span class="dim">{propagation(row.mount)}{peers > 0 && ` · ${S.mounts.peers(peers)}`}{master && ` · ${S.mounts.receives}`}</span>;
      },
    },
    { id: "options", title: S.columns.options, width: "minmax(9rem, 1fr)", from: 1000, cell: (row) => (row.kind !== "lost" && row.mount ? <span class="dim">{row.mount.mountoptions.join(",")}</span> : null) },
  ];
  const ns = host.namespaces.get(mntns);
  return (
    <>
      <Heading title={<>{S.mounts.title} <span class="type type-mnt">mnt</span> {mntns}</>}>
        <p class="lead">
          {ns && <NsRef ns={ns} />}
          {ns?.leaders[0] && <ProcRef process={ns.leaders[0]} />}
          {ns?.containers[0] && <ContainerRef container={ns.containers[0]} />}
        </p>
      </Heading>
      {tree ? (
        <Grid
          id={`mounts-${mntns}`}
          label={`${S.mounts.title} mnt:[${mntns}]`}
          columns={columns}
          tree={tree}
          match={match}
          openTo={99}
          tools={<>{input}<label class="check"><input type="checkbox" checked={onlyHidden} onChange={(event) => setOnlyHidden(event.currentTarget.checked)} />{S.mounts.onlyHidden}</label></>}
        />
      ) : (
        <p class="note"><Unread>{S.mounts.unread}</Unread></p>
      )}
    </>
  );
}

export function MountView({ host, mntns, id }: { host: Host; mntns: number; id: number }): JSX.Element {
  const mounts = host.mounts.get(mntns);
  const mount = mounts?.find((one) => one.mountid === id);
  if (!mount) return <p class="problem">{mounts ? S.gone.mount(id, mntns) : S.mounts.unread}</p>;
  const on = mounts?.find((one) => one.mountid === mount.parentid && one !== mount);
  const above = mounts?.filter((one) => one.parentid === id && one !== mount) ?? [];
  const groups = peerGroups(host);
  const { shared, master, propagate_from: from } = mount.tags;
  const self = (ref: MountRef): boolean => ref.mntns === mntns && ref.mount === mount;
  const peers = (shared && groups.get(shared)?.peers.filter((ref) => !self(ref))) || [];
  const receivers = (shared && groups.get(shared)?.receivers.filter((ref) => !self(ref))) || [];
  const masters = (master && groups.get(master)?.peers) || [];
  const busy = host.namespaces.get(mntns);
  const holds = [...host.namespaces.values()].filter((ns) => ns.holders.some((holder) => (holder.kind === "bind-mount" || holder.kind === "mount") && holder.mntns === mntns && holder.mountid === id));
  return (
    <>
      <Heading title={<>{S.kinds.mount} <bdi>{mountPath(mount) ?? S.mounts.noPath}</bdi></>}>
        <p class="lead">{mount.hidden && <Tag kind="hidden">{S.tags.hidden}</Tag>} {busy && <NsRef ns={busy} />} <a href={hrefOf({ kind: "mounts", mntns })}>{S.mounts.allOf}</a></p>
      </Heading>
      <div class="cards">
        <Card title={S.details.facts}>
          <Facts
            facts={[
              [S.columns.fstype, <bdi>{unescapePath(mount.fstype)}</bdi>],
              [S.columns.source, mount["source-unknown"] ? undefined : <bdi>{unescapePath(mount.source)}</bdi>],
              [S.mounts.root, <bdi>{unescapePath(mount.root)}</bdi>],
              [S.mounts.device, `${mount.major}:${mount.minor}`],
              [S.columns.options, mount.mountoptions.join(", ")],
              [S.mounts.superOptions, mount["superoptions-unknown"] ? undefined : <bdi class="wrap">{mount.superoptions}</bdi>],
              [S.mounts.id, `${mount.mountid}`],
              [S.mounts.on, on ? <MountLink reference={{ mntns, mount: on }} /> : S.mounts.onNothing],
            ]}
          />
        </Card>
        <Card title={S.columns.propagation}>
          <p>{propagation(mount)}</p>
          {shared && <><h3>{S.mounts.peersOf(shared)}</h3>{peers.length > 0 ? <Some items={peers} each={(ref) => <MountLink host={host} reference={ref} />} /> : <p class="dim">{S.mounts.noPeers}</p>}</>}
          {receivers.length > 0 && <><h3>{S.mounts.receivers}</h3><Some items={receivers} each={(ref) => <MountLink host={host} reference={ref} />} /></>}
          {master && <><h3>{S.mounts.mastersOf(master)}</h3>{masters.length > 0 ? <Some items={masters} each={(ref) => <MountLink host={host} reference={ref} />} /> : <p><Unread>{S.mounts.mastersUnseen}</Unread></p>}</>}
          {from && <p class="dim">{S.mounts.from(from)}</p>}
        </Card>
        {holds.length > 0 && <Card title={S.mounts.holds}><Some items={holds} each={(ns) => <NsRef ns={ns} />} /></Card>}
        <Card title={S.mounts.above}>{above.length > 0 ? <Some items={above} each={(one) => <MountLink reference={{ mntns, mount: one }} />} /> : <p class="dim">{S.mounts.nothingAbove}</p>}</Card>
      </div>
    </>
  );
}

export function MountLink({ host, reference }: { host?: Host; reference: MountRef }): JSX.Element {
  const { mntns, mount } = reference;
  return (
    <span>
      <a class="ref" href={hrefOf({ kind: "mount", mntns, id: mount.mountid })}><bdi class="name">{mountPath(mount) ?? S.mounts.noPath}</bdi></a>
      {mount.hidden && <Tag kind="hidden">{S.tags.hidden}</Tag>}
      {host && <> <span class="dim">{S.in}</span> <NsById host={host} id={mntns} type="mnt" /></>}
    </span>
  );
}
