// The picture of how network namespaces are wired: which boxes and lines are where.
//
// Network namespaces form trees: from the host outwards, each below the one that it was first reached from. What is
// attached to one bridge stands in columns beside it, joined by a line that runs between the columns, so that 200
// containers on a bridge are as plain as five. Connections beyond the trees are told in words on the card, and are dashed
// curves as well where there are few.

import { hrefOf } from "./address";
import type { EdgeAnswer, GraphAnswer, LinkAnswer, LinkId, PortAnswer } from "./answers";

export type Shape =
  | { kind: "box"; x: number; y: number; w: number; h: number; style: "net" | "initial" | "orphan" | "link"; href?: string; label?: string }
  | { kind: "line"; d: string; style: "wire" | "extra" }
  | { kind: "text"; x: number; y: number; text: string; style: "title" | "small" | "link" | "port"; href?: string; bold?: boolean };

export interface Picture {
  width: number;
  height: number;
  shapes: Shape[];
  nets: number;
}

export interface Net {
  id: number;
  title: string;
  initial: boolean;
  orphan: boolean;
  links: LinkAnswer[];
  ports: PortAnswer[];
}

export interface Wiring {
  nets: Net[];
  byId: Map<number, Net>;
  links: Map<string, LinkAnswer>;
  edges: EdgeAnswer[];
  /** Other ends that are in another place of the picture, by link. */
  beyond: Map<string, LinkAnswer>;
}

export interface Words {
  ports: () => string;
  apart: string;
  physical: string;
  noProcess: string;
  more: (count: number) => string;
}

export const linkKey = (id: LinkId): string => `${id[0]}/${id[1]}`;

/** What is drawn: all network namespaces with links, or one with those that it is connected to. */
/** The addresses of a link by which others can reach it; none where they are not known. */
export const addressesOf = (link: LinkAnswer): string[] =>
  (link.addresses ?? []).filter((one) => one.scope !== "host" && one.scope !== "link").map((one) => `${one.address}/${one.prefix}`);

export function wiringOf(graph: GraphAnswer, known: { initial: (id: number) => boolean; title: (id: number) => string | undefined }, ports: readonly PortAnswer[] = [], only?: number): Wiring {
  let { links, edges } = graph;
  if (only !== undefined) {
    const near = new Set([only]);
    for (const { from, to } of edges) {
      if (from[0] === only) near.add(to[0]);
      if (to[0] === only) near.add(from[0]);
    }
    links = links.filter((link) => near.has(link.id[0]));
    edges = edges.filter(({ from, to }) => near.has(from[0]) && near.has(to[0]));
  }
  const byId = new Map<number, Net>();
  for (const link of links) {
    let net = byId.get(link.id[0]);
    if (!net) {
      const title = known.title(link.id[0]) ?? link.container?.name ?? link["netns-name"] ?? (link.process ? `${link.process.name} ${link.process.pid}` : `net:[${link.id[0]}]`);
      net = { id: link.id[0], title, initial: known.initial(link.id[0]), orphan: !link.process, links: [], ports: [] };
      byId.set(link.id[0], net);
    }
    net.links.push(link);
  }
  for (const port of ports) if (port.port !== null) byId.get(port.namespace.nsid)?.ports.push(port);
  const nets = [...byId.values()].sort((a, b) => Number(b.initial) - Number(a.initial) || a.id - b.id);
  return { nets, byId, links: new Map(links.map((link) => [linkKey(link.id), link])), edges, beyond: new Map() };
}

/** A connection between two network namespaces, by the link that each has. */
interface Connection {
  own: LinkAnswer;
  other: LinkAnswer;
}

interface Placed {
  net: Net;
  parent: Connection | undefined;
  /** What hangs on each link of it: a bridge, or a link itself. */
  segments: { link: LinkAnswer; children: Placed[] }[];
}

const CARD = 216;
const HUB = 236;
const LINE = 16;
const GAP = 26;
const PAD = 20;
const MOST_LINKS = 5;
const MOST_CURVES = 8;

/** Where lines begin and end: by link, and by network namespace. */
type Anchors = Map<string, { left: [number, number]; right: [number, number] }>;

interface Drawn {
  w: number;
  h: number;
}

export function pictureOf(wiring: Wiring, words: Words): Picture {
  const shapes: Shape[] = [];
  const { connections, extra } = connect(wiring);
  const { trees, apart } = forest(wiring, connections, extra);
  wiring.beyond.clear();
  const ends = new Map<string, number>();
  for (const { own, other } of extra) for (const { id } of [own, other]) ends.set(linkKey(id), (ends.get(linkKey(id)) ?? 0) + 1);
  for (const { own, other } of extra) {
    // What several links lie on, as macvlan on a physical device, is told by them.
    if (ends.get(linkKey(own.id)) === 1) wiring.beyond.set(linkKey(own.id), other);
    if (ends.get(linkKey(other.id)) === 1) wiring.beyond.set(linkKey(other.id), own);
  }
  const anchors: Anchors = new Map();
  let y = PAD;
  let width = 0;
  for (const tree of trees) {
    const drawn = drawTree(wiring, tree, PAD, y, shapes, anchors, words);
    y += drawn.h + GAP * 1.5;
    width = Math.max(width, drawn.w);
  }
  if (apart.length > 0) {
    shapes.push({ kind: "text", x: PAD, y: y + 12, text: words.apart, style: "small" });
    const drawn = drawCards(wiring, apart.map((net) => ({ net, parent: undefined, segments: [] })), PAD, y + 24, shapes, anchors, words, undefined);
    y += drawn.h + 24 + GAP;
    width = Math.max(width, drawn.w);
  }
  for (const { own, other } of extra.length > MOST_CURVES ? [] : extra) {
    const [a, b] = [anchors.get(linkKey(own.id)) ?? anchors.get(String(own.id[0])), anchors.get(linkKey(other.id)) ?? anchors.get(String(other.id[0]))];
    if (!a || !b) continue;
    const [[ax, ay], [bx, by]] = a.left[0] <= b.left[0] ? [a.right, b.left] : [a.left, b.right];
    const bend = Math.max(40, Math.abs(ax - bx) / 2);
    const side = ax <= bx ? 1 : -1;
    shapes.push({ kind: "line", d: `M${ax} ${ay}C${ax + side * bend} ${ay} ${bx - side * bend} ${by} ${bx} ${by}`, style: "extra" });
  }
  // What lies below comes first: lines, then boxes, then what is written in them.
  const layer = { line: 0, box: 1, text: 2 };
  shapes.sort((a, b) => layer[a.kind] - layer[b.kind]);
  return { width: width + PAD * 2, height: Math.max(y, PAD * 2), shapes, nets: wiring.nets.length };
}

/** Which network namespaces are connected, in both directions. */
function connect(wiring: Wiring): { connections: Map<number, Connection[]>; extra: Connection[] } {
  const connections = new Map<number, Connection[]>();
  const add = (own: LinkAnswer, other: LinkAnswer): void => {
    const list = connections.get(own.id[0]);
    if (list) list.push({ own, other });
    else connections.set(own.id[0], [{ own, other }]);
  };
  for (const edge of wiring.edges) {
    if (edge.relation === "master") continue;
    const [a, b] = [wiring.links.get(linkKey(edge.from)), wiring.links.get(linkKey(edge.to))];
    if (!a || !b || a.nsid === b.nsid) continue;
    add(a, b);
    add(b, a);
  }
  return { connections, extra: [] };
}

/** The bridge that a link is a port of, or the link itself: that is what its other end hangs on. */
const hangsOn = (wiring: Wiring, link: LinkAnswer): LinkAnswer => (link.master && wiring.links.get(linkKey(link.master))) || link;

function forest(wiring: Wiring, connections: Map<number, Connection[]>, extra: Connection[]): { trees: Placed[]; apart: Net[] } {
  const placed = new Map<number, Placed>();
  const used = new Set<string>();
  const degree = (net: Net): number => new Set(connections.get(net.id)?.map((one) => one.other.id[0])).size;
  const degrees = new Map(wiring.nets.map((net) => [net.id, degree(net)]));
  const order = [...wiring.nets].sort((a, b) => Number(b.initial) - Number(a.initial) || degrees.get(b.id)! - degrees.get(a.id)! || a.id - b.id);
  const trees: Placed[] = [];
  const apart: Net[] = [];
  for (const root of order) {
    if (placed.has(root.id)) continue;
    if (!root.initial && !connections.has(root.id)) {
      apart.push(root);
      continue;
    }
    const tree: Placed = { net: root, parent: undefined, segments: [] };
    placed.set(root.id, tree);
    trees.push(tree);
    const queue = [tree];
    for (let n = 0; n < queue.length; n++) {
      const at = queue[n]!;
      for (const { own, other } of connections.get(at.net.id) ?? []) {
        const pair = [linkKey(own.id), linkKey(other.id)].sort().join("-");
        if (used.has(pair)) continue;
        used.add(pair);
        const net = wiring.byId.get(other.id[0]);
        if (!net) continue;
        if (placed.has(net.id)) {
          extra.push({ own, other });
          continue;
        }
        const child: Placed = { net, parent: { own: other, other: own }, segments: [] };
        placed.set(net.id, child);
        queue.push(child);
        const hook = hangsOn(wiring, own);
        let segment = at.segments.find((one) => one.link === hook);
        if (!segment) at.segments.push((segment = { link: hook, children: [] }));
        segment.children.push(child);
      }
    }
  }
  return { trees, apart };
}

/** A network namespace with all that hangs on it, to its right. */
function drawTree(wiring: Wiring, placed: Placed, x: number, y: number, shapes: Shape[], anchors: Anchors, words: Words): Drawn {
  const card = drawCard(wiring, placed, x, y, HUB, 40, shapes, anchors, words);
  let right = x + HUB;
  let at = y;
  // Single links that lead to one namespace each stand below each other; what hangs on a bridge stands in columns.
  const lanes = placed.segments.length;
  placed.segments.forEach((segment, lane) => {
    const anchor = anchors.get(linkKey(segment.link.id))?.right ?? anchors.get(String(placed.net.id))!.right;
    // Each line has a lane of its own on its way down, the topmost the outermost.
    const laneX = x + HUB + 10 + ((lanes - lane) * 24) / (lanes + 1);
    const left = x + HUB + 44;
    const leaves = segment.children.filter((child) => child.segments.length === 0);
    const hubs = segment.children.filter((child) => child.segments.length > 0);
    if (leaves.length > 0) {
      const bus = { from: anchor, laneX };
      const drawn = drawCards(wiring, leaves, left, at, shapes, anchors, words, bus);
      at += drawn.h + GAP;
      right = Math.max(right, left + drawn.w);
    }
    for (const hub of hubs) {
      const begin = at;
      const drawn = drawTree(wiring, hub, left + GAP, at, shapes, anchors, words);
      const to = anchors.get(linkKey(hub.parent!.own.id))?.left ?? [left + GAP, begin + 20];
      shapes.push({ kind: "line", d: `M${anchor[0]} ${anchor[1]}H${laneX}V${to[1]}H${to[0]}`, style: "wire" });
      at += drawn.h + GAP;
      right = Math.max(right, left + GAP + drawn.w);
    }
  });
  return { w: right - x, h: Math.max(card.h, at - y - (placed.segments.length > 0 ? GAP : 0)) };
}

/** Network namespaces in columns, joined to where they hang. */
function drawCards(wiring: Wiring, leaves: Placed[], x: number, y: number, shapes: Shape[], anchors: Anchors, words: Words, bus: { from: [number, number]; laneX: number } | undefined): Drawn {
  const heights = leaves.map((leaf) => cardHeight(wiring, leaf, MOST_LINKS, words));
  const usual = heights.reduce((sum, h) => sum + h, 0) / Math.max(1, heights.length) + GAP;
  const across = Math.max(1, Math.min(leaves.length, Math.round(Math.sqrt((leaves.length * usual * 1.7) / (CARD + GAP)))));
  const down = Math.ceil(leaves.length / across);
  let bottom = y;
  let columns = 0;
  const trunkY = y + 6;
  const top = bus && across > 1 ? y + 18 : y;
  for (let column = 0; column * down < leaves.length; column++) {
    const left = x + column * (CARD + GAP) + GAP;
    let at = top;
    let last = top;
    for (let n = column * down; n < Math.min(leaves.length, (column + 1) * down); n++) {
      const leaf = leaves[n]!;
      drawCard(wiring, leaf, left, at, CARD, MOST_LINKS, shapes, anchors, words);
      if (bus) {
        const to = anchors.get(linkKey(leaf.parent!.own.id))?.left ?? [left, at + 20];
        shapes.push({ kind: "line", d: `M${left - GAP / 2} ${to[1]}H${left}`, style: "wire" });
        last = to[1];
      }
      at += heights[n]! + 14;
    }
    if (bus) shapes.push({ kind: "line", d: across > 1 ? `M${left - GAP / 2} ${trunkY}V${last}` : `M${left - GAP / 2} ${anchors.get(linkKey(leaves[0]!.parent!.own.id))?.left[1] ?? top}V${last}`, style: "wire" });
    bottom = Math.max(bottom, at - 14);
    columns++;
  }
  if (bus) {
    const [fx, fy] = bus.from;
    const firstY = across > 1 ? trunkY : (anchors.get(linkKey(leaves[0]!.parent!.own.id))?.left[1] ?? top);
    const end = x + (columns - 1) * (CARD + GAP) + GAP / 2;
    shapes.push({ kind: "line", d: `M${fx} ${fy}H${bus.laneX}V${firstY}H${end}`, style: "wire" });
  }
  return { w: columns * (CARD + GAP), h: bottom - y };
}

interface CardLine {
  text: string;
  style: "small" | "link" | "port";
  link?: LinkAnswer;
  user?: boolean;
}

function cardLines(wiring: Wiring, placed: Placed, most: number, words: Words): { lines: CardLine[]; hidden: number } {
  const { net, parent } = placed;
  const lines: CardLine[] = [];
  const hooks = new Set(placed.segments.map((segment) => segment.link));
  // A veth that is a bridge's port is told by what hangs on the bridge.
  const told = (link: LinkAnswer): boolean => link !== parent?.own && !hooks.has(link) && ((link.master !== null && link.kind === "veth") || link.name === "lo");
  const order = (link: LinkAnswer): number => (link === parent?.own ? 0 : hooks.has(link) ? 1 : 2);
  const links = net.links.filter((link) => !told(link)).sort((a, b) => order(a) - order(b) || a.id[1] - b.id[1]);
  const up = links.filter((link) => link.up || hooks.has(link) || link === parent?.own);
  const shown = (up.length > 0 ? up : links).slice(0, most);
  for (const link of shown) {
    const far = wiring.beyond.get(linkKey(link.id));
    const other = link === parent?.own ? ` ⇄ ${parent.other.name}` : far ? ` ⇄ ${far.name} (${wiring.byId.get(far.id[0])?.title ?? far.id[0]})` : "";
    const kind = link.kind === "veth" || link.name === "lo" ? "" : ` · ${link.kind ?? words.physical}`;
    const master = link.master ? ` → ${net.links.find((one) => one.id[1] === link.master![1])?.name ?? ""}` : "";
    lines.push({ text: `${link.name}${kind}${other}${master}${link.up ? "" : " · down"}`, style: "link", link });
    for (const address of addressesOf(link).slice(0, 2)) lines.push({ text: `   ${address}`, style: "small" });
    for (const user of link.users.slice(0, 2)) lines.push({ text: `   ${user.name} ${user.pid}`, style: "small" });
  }
  return { lines, hidden: links.length - shown.length };
}

function portsText(net: Net): string {
  const seen = new Set(net.ports.map((port) => (port.protocol === "tcp" ? `:${port.port}` : `:${port.port}/${port.protocol}`)));
  return [...seen].join(" ");
}

function cardHeight(wiring: Wiring, placed: Placed, most: number, words: Words): number {
  const { lines, hidden } = cardLines(wiring, placed, most, words);
  return 44 + LINE * (lines.length + (hidden > 0 ? 1 : 0) + (placed.net.ports.length > 0 ? 1 : 0));
}

/** How wide a character is at most in the usual fonts, as a part of the font's size. */
const wideness = (c: string): number =>
  /[ijl.,:;|!'()[\] ft]/.test(c) ? 0.42 : /[mwMW@%]/.test(c) ? 1 : /[A-Z]/.test(c) ? 0.76 : c < "\u0590" ? 0.65 : 1.1;

/** Text cut to a width, in pixels, of a font of this size. */
function fit(text: string, width: number, size: number): string {
  let left = width / size;
  let n = 0;
  for (const c of text) {
    left -= wideness(c);
    if (left < 0) return `${text.slice(0, Math.max(0, n - 1))}…`;
    n += c.length;
  }
  return text;
}

/** Bold letters of 13 pixels take as much as others of this size. */
const BOLD = 14.6;
const PLAIN = 11.6;

function drawCard(wiring: Wiring, placed: Placed, x: number, y: number, w: number, most: number, shapes: Shape[], anchors: Anchors, words: Words): Drawn {
  const { net } = placed;
  const { lines, hidden } = cardLines(wiring, placed, most, words);
  const h = cardHeight(wiring, placed, most, words);
  const href = hrefOf({ kind: "ns", id: net.id });
  shapes.push({ kind: "box", x, y, w, h, style: net.initial ? "initial" : net.orphan ? "orphan" : "net", label: net.title });
  shapes.push({ kind: "text", x: x + 10, y: y + 18, text: fit(net.title, w - 20, BOLD), style: "title", href });
  shapes.push({ kind: "text", x: x + 10, y: y + 33, text: net.title === `net:[${net.id}]` ? words.noProcess : `net:[${net.id}]`, style: "small" });
  anchors.set(String(net.id), { left: [x, y + 14], right: [x + w, y + 14] });
  let at = y + 33;
  for (const line of lines) {
    at += LINE;
    shapes.push({
      kind: "text", x: x + 10, y: at, text: fit(line.text, w - 18, PLAIN), style: line.style,
      ...(line.link ? { href: hrefOf({ kind: "link", netns: line.link.id[0], index: line.link.id[1] }) } : {}),
    });
    if (line.link) anchors.set(linkKey(line.link.id), { left: [x, at - 4], right: [x + w, at - 4] });
  }
  if (hidden > 0) shapes.push({ kind: "text", x: x + 10, y: (at += LINE), text: words.more(hidden), style: "small" });
  if (net.ports.length > 0) shapes.push({ kind: "text", x: x + 10, y: at + LINE, text: fit(`${words.ports()} ${portsText(net)}`, w - 18, PLAIN), style: "port" });
  return { w, h };
}

const escapeXml = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export interface Palette {
  back: string;
  text: string;
  dim: string;
  link: string;
  line: string;
  extra: string;
  net: string;
  initial: string;
  orphan: string;
  border: string;
}

const fontOf = (style: string): string => (style === "title" ? "600 13px sans-serif" : "12px sans-serif");
const colourOf = (style: string, palette: Palette): string => (style === "small" ? palette.dim : style === "port" ? palette.extra : palette.text);

/** The picture as a file of its own. */
export function toSvg(picture: Picture, palette: Palette): string {
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${picture.width}" height="${picture.height}" viewBox="0 0 ${picture.width} ${picture.height}">`,
    `<rect width="100%" height="100%" fill="${palette.back}"/>`,
  ];
  for (const shape of picture.shapes) {
    if (shape.kind === "box") {
      parts.push(`<rect x="${shape.x}" y="${shape.y}" width="${shape.w}" height="${shape.h}" rx="6" fill="${palette[shape.style === "link" ? "net" : shape.style]}" stroke="${palette.border}"/>`);
    } else if (shape.kind === "line") {
      parts.push(`<path d="${shape.d}" fill="none" stroke="${shape.style === "extra" ? palette.extra : palette.line}" stroke-width="1.5"${shape.style === "extra" ? ' stroke-dasharray="5 4"' : ""}/>`);
    } else {
      parts.push(`<text x="${shape.x}" y="${shape.y}" font="${fontOf(shape.style)}" font-family="sans-serif" font-size="${shape.style === "title" ? 13 : 12}"${shape.style === "title" ? ' font-weight="600"' : ""} fill="${colourOf(shape.style, palette)}" xml:space="preserve">${escapeXml(shape.text)}</text>`);
    }
  }
  parts.push("</svg>\n");
  return parts.join("\n").replaceAll(/ font="[^"]*"/g, "");
}

/** Draws the picture; an image of the SVG would need a source that the page's policy does not permit. */
export function draw(picture: Picture, palette: Palette, context: CanvasRenderingContext2D): void {
  context.fillStyle = palette.back;
  context.fillRect(0, 0, picture.width, picture.height);
  for (const shape of picture.shapes) {
    if (shape.kind === "box") {
      context.fillStyle = palette[shape.style === "link" ? "net" : shape.style];
      context.strokeStyle = palette.border;
      context.lineWidth = 1;
      context.setLineDash([]);
      context.beginPath();
      context.roundRect(shape.x, shape.y, shape.w, shape.h, 6);
      context.fill();
      context.stroke();
    } else if (shape.kind === "line") {
      context.strokeStyle = shape.style === "extra" ? palette.extra : palette.line;
      context.lineWidth = 1.5;
      context.setLineDash(shape.style === "extra" ? [5, 4] : []);
      context.stroke(new Path2D(shape.d));
    } else {
      context.fillStyle = colourOf(shape.style, palette);
      context.font = fontOf(shape.style);
      context.fillText(shape.text, shape.x, shape.y);
    }
  }
}
