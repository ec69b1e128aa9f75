// How network namespaces are wired: a picture, and a table that says the same.

import { useMemo, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import { hrefOf } from "../data/address";
import type { GraphAnswer, LinkAnswer, PortAnswer } from "../data/answers";
import { containerOf, isOrphan, type Host } from "../data/host";
import { collate } from "../data/text";
import { addressesOf, draw, linkKey, pictureOf, toSvg, wiringOf, type Net, type Palette, type Picture, type Wiring } from "../data/wiring";
import { S } from "../strings";
import { Answer, ContainerRef, Heading, NsById, ProcById, Tag, Unread } from "../ui/bits";
import { Grid, useFilter, type Column, type Tree } from "../ui/grid";
import { store, useStore } from "../ui/store";
import { save, saveBlob } from "./misc";

export function WiringView({ host, only }: { host: Host; only: number | undefined }): JSX.Element {
  const [table, setTable] = useState(false);
  return (
    <>
      <Heading title={S.views.wiring}>
        <p class="lead">{S.lead.wiring} {only !== undefined && <><NsById host={host} id={only} type="net" /> <a href="#/wiring">{S.wiring.all}</a></>}</p>
      </Heading>
      <Answer<GraphAnswer> question="links">
        {([graph]) => (graph ? <Shown host={host} graph={graph} only={only} table={table} setTable={setTable} /> : <p>{S.wiring.none}</p>)}
      </Answer>
    </>
  );
}

function Shown({ host, graph, only, table, setTable }: { host: Host; graph: GraphAnswer; only: number | undefined; table: boolean; setTable: (table: boolean) => void }): JSX.Element {
  useStore();
  const asked = store.ask<PortAnswer>("ports", {});
  const ports = asked.state === "is" ? asked.value.results : undefined;
  const wiring = useMemo(() => {
    const title = (id: number): string | undefined => {
      const ns = host.namespaces.get(id);
      if (!ns) return undefined;
      if (ns.initial) return host.name || S.matrix.host;
      const owner = containerOf(ns);
      if (owner) return S.wiring.and(owner.name, ns.containers.length - 1);
      const [senior] = ns.leaders;
      return ns.netnsName ?? (senior && `${senior.name} ${senior.pid}`);
    };
    return wiringOf(graph, { initial: (id) => host.namespaces.get(id)?.initial ?? false, title }, ports, only);
  }, [graph, ports, only, host]);
  const picture = useMemo(() => pictureOf(wiring, S.wiring), [wiring]);
  const unknown = new Set(graph.links.filter((link) => !link.addresses).map((link) => link.id[0])).size;
  return table ? <WiringTable host={host} wiring={wiring} back={() => setTable(false)} /> : <PictureView picture={picture} table={() => setTable(true)} note={unknown > 0 ? S.wiring.noAddresses(unknown) : undefined} />;
}

function palette(element: Element): Palette {
  const style = getComputedStyle(element);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return { back: of("back"), text: of("text"), dim: of("dim"), link: of("link"), line: of("wire"), extra: of("accent"), net: of("card"), initial: of("initial-back"), orphan: of("orphan-back"), border: of("border-strong") };
}

const MOST_PIXELS = 16_000;

function PictureView({ picture, table, note }: { picture: Picture; table: () => void; note: string | undefined }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const [scale, setScale] = useState<number>(1);
  const fit = (): void => {
    const element = frame.current;
    if (element) setScale(Math.max(0.1, Math.min(1.5, (element.clientWidth - 4) / picture.width, (element.clientHeight - 4) / picture.height)));
  };
  const png = (): void => {
    const factor = Math.min(2, MOST_PIXELS / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(picture.width * factor);
    canvas.height = Math.round(picture.height * factor);
    const context = canvas.getContext("2d");
    if (!context || !frame.current) return;
    context.scale(factor, factor);
    draw(picture, palette(frame.current), context);
    canvas.toBlob((blob) => blob && saveBlob(blob, "lxkns-wiring.png"), "image/png");
  };
  return (
    <div class="picture-frame">
      <div class="tools">
        <span class="pair">
          <button type="button" onClick={() => setScale((n) => Math.min(3, n * 1.25))} aria-label={S.wiring.larger}>+</button>
          <button type="button" onClick={() => setScale((n) => Math.max(0.1, n / 1.25))} aria-label={S.wiring.smaller}>−</button>
          <button type="button" onClick={fit}>{S.wiring.fit}</button>
        </span>
        <button type="button" onClick={table}>{S.wiring.table}</button>
        <span class="pair">
          <button type="button" onClick={() => frame.current && save(toSvg(picture, palette(frame.current)), "lxkns-wiring.svg", "image/svg+xml")}>SVG</button>
          <button type="button" onClick={png}>PNG</button>
        </span>
        <span class="count" role="status">{S.wiring.nets(picture.nets)}{note && ` · ${note}`}</span>
      </div>
      <div class="picture" ref={frame} tabIndex={0} role="region" aria-label={S.wiring.pictureLabel}>
        <svg width={picture.width * scale} height={picture.height * scale} viewBox={`0 0 ${picture.width} ${picture.height}`} role="group" aria-label={S.views.wiring}>
          {picture.shapes.map((shape, n) => {
            if (shape.kind === "box") return <rect key={n} x={shape.x} y={shape.y} width={shape.w} height={shape.h} rx={6} class={`box-${shape.style}`} />;
            if (shape.kind === "line") return <path key={n} d={shape.d} class={`line-${shape.style}`} />;
            const text = <text x={shape.x} y={shape.y} class={`text-${shape.style}`} xml:space="preserve">{shape.text}</text>;
            return shape.href ? <a key={n} href={shape.href} tabIndex={-1}>{text}</a> : <g key={n}>{text}</g>;
          })}
        </svg>
      </div>
    </div>
  );
}

type Row = { kind: "net"; net: Net } | { kind: "link"; link: LinkAnswer };

function WiringTable({ host, wiring, back }: { host: Host; wiring: Wiring; back: () => void }): JSX.Element {
  const [text, input] = useFilter();
  const others = useMemo(() => {
    const all = new Map<string, { relation: string; link: [number, number] }[]>();
    const add = (from: [number, number], to: [number, number], relation: string): void => {
      const key = linkKey(from);
      all.set(key, [...(all.get(key) ?? []), { relation, link: to }]);
    };
    for (const { from, to, relation } of wiring.edges) {
      add(from, to, relation);
      add(to, from, relation === "master" ? S.wiring.port : relation === "lower" ? S.wiring.upper : relation);
    }
    return all;
  }, [wiring]);
  const tree = useMemo((): Tree<Row> => ({
    roots: wiring.nets.map((net): Row => ({ kind: "net", net })),
    children: (row) => (row.kind === "net" ? [...row.net.links].sort((a, b) => a.id[1] - b.id[1]).map((link): Row => ({ kind: "link", link })) : []),
    key: (row) => (row.kind === "net" ? `n${row.net.id}` : linkKey(row.link.id)),
    href: (row) => (row.kind === "net" ? hrefOf({ kind: "ns", id: row.net.id }) : hrefOf({ kind: "link", netns: row.link.id[0], index: row.link.id[1] })),
  }), [wiring]);
  const match = useMemo(() => (text === "" ? undefined : (row: Row) => (row.kind === "net" ? `${row.net.title} ${row.net.id} ${row.net.ports.map((port) => port.port).join(" ")}` : `${row.link.name} ${row.link.kind ?? ""} ${row.link.mac ?? ""}`).toLowerCase().includes(text)), [text]);
  const columns: Column<Row>[] = [
    { id: "name", title: S.wiring.namespaceOrLink, width: "minmax(13rem, 1.4fr)", sort: (a, b) => collate(a.kind === "net" ? a.net.title : a.link.name, b.kind === "net" ? b.net.title : b.link.name), cell: (row) => (row.kind === "net" ? <><a class="ref" tabIndex={-1} href={hrefOf({ kind: "ns", id: row.net.id })}><span class="type type-net">net</span><bdi class="name">{row.net.title}</bdi></a>{row.net.initial && <Tag kind="initial">{S.tags.initial}</Tag>}{host.namespaces.get(row.net.id) && isOrphan(host.namespaces.get(row.net.id)!) && <Tag kind="orphan">{S.tags.orphan}</Tag>}</> : <a class="ref" tabIndex={-1} href={hrefOf({ kind: "link", netns: row.link.id[0], index: row.link.id[1] })}><bdi class="name">{row.link.name}</bdi></a>) },
    { id: "kind", title: S.wiring.kind, width: "minmax(5rem, 0.5fr)", from: 420, cell: (row) => (row.kind === "link" ? <span class="dim">{row.link.kind ?? (row.link.name === "lo" ? "loopback" : S.wiring.physical)}</span> : <span class="dim">{S.wiring.linkCount(row.net.links.length)}</span>) },
    { id: "state", title: S.columns.state, width: "minmax(5rem, 0.4fr)", from: 560, cell: (row) => (row.kind === "link" ? <span class={row.link.up ? undefined : "dim"}>{row.link.state}</span> : null) },
    {
      id: "other",
      title: S.wiring.other,
      width: "minmax(10rem, 1.6fr)",
      from: 480,
      cell: (row) => {
        if (row.kind === "net") return <span class="dim">{row.net.ports.length > 0 ? `${S.wiring.ports()} ${row.net.ports.slice(0, 8).map((port) => port.port).join(" ")}` : ""}</span>;
        return (
          <span>
            {(others.get(linkKey(row.link.id)) ?? []).slice(0, 4).map(({ relation, link }, n) => {
              const end = wiring.links.get(linkKey(link));
              return <span key={n}>{n > 0 && ", "}<span class="dim">{relation}</span> <bdi>{end?.name ?? link[1]}</bdi>{link[0] !== row.link.id[0] && <span class="dim"> {S.in} {wiring.byId.get(link[0])?.title ?? link[0]}</span>}</span>;
            })}
            {(others.get(linkKey(row.link.id))?.length ?? 0) > 4 && <span class="dim"> {S.more(others.get(linkKey(row.link.id))!.length - 4)}</span>}
            {row.link.users.map((user, n) => <span key={n}> <ProcById host={host} pid={user.pid} name={user.name} /></span>)}
          </span>
        );
      },
    },
    { id: "address", title: S.ports.address, width: "minmax(8rem, 0.8fr)", from: 860, cell: (row) => (row.kind !== "link" ? null : row.link.addresses ? <span>{addressesOf(row.link).join(" ")}</span> : <Unread>{S.notKnown}</Unread>) },
    { id: "container", title: S.columns.container, width: "minmax(7rem, 0.7fr)", from: 960, cell: (row) => { const one = row.kind === "net" ? host.namespaces.get(row.net.id)?.containers[0] : undefined; return one ? <ContainerRef container={one} inRow /> : null; } },
  ];
  return <Grid id="wiring" label={S.views.wiring} columns={columns} tree={tree} match={match} openTo={1} tools={<>{input}<button type="button" onClick={back}>{S.wiring.picture}</button></>} />;
}
