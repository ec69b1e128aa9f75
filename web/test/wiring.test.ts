import { describe, expect, it } from "vitest";
import type { GraphAnswer } from "../src/data/answers";
import { pictureOf, toSvg, wiringOf, type Shape } from "../src/data/wiring";
// @ts-expect-error: plain JavaScript, shared with the proof.
import { HOSTILE, syntheticHost } from "../proof/synthetic.mjs";

const words = { ports: () => "listens", apart: "apart", physical: "physical", noProcess: "no process seen", more: (count: number) => `and ${count} more` };
const palette = { back: "#fff", text: "#000", dim: "#555", link: "#00f", line: "#777", extra: "#00f", net: "#fff", initial: "#eef", orphan: "#fee", border: "#888" };

function drawn(containers: number) {
  const host = syntheticHost({ containers });
  const graph = host.links.results[0] as GraphAnswer;
  const wiring = wiringOf(graph, { initial: (id) => id === 4026531833, title: () => undefined }, host.ports.results);
  return { graph, wiring, picture: pictureOf(wiring, words) };
}

const boxes = (shapes: Shape[]) => shapes.filter((shape) => shape.kind === "box");

describe.each([0, 1, 5, 40, 200])("a picture of %i containers", (containers) => {
  const { graph, picture, wiring } = drawn(containers);

  it("has each network namespace once, none over another, all within", () => {
    const all = boxes(picture.shapes);
    expect(all).toHaveLength(new Set(graph.links.map((link) => link.nsid)).size);
    expect(wiring.nets).toHaveLength(all.length);
    for (const [n, a] of all.entries()) {
      expect(a.x + a.w).toBeLessThanOrEqual(picture.width);
      expect(a.y + a.h).toBeLessThanOrEqual(picture.height);
      for (const b of all.slice(n + 1)) {
        expect(a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y).toBe(true);
      }
    }
  });

  it("is not much wider or higher than a screen's shape", () => {
    if (containers >= 40) {
      expect(picture.width / picture.height).toBeGreaterThan(0.4);
      expect(picture.width / picture.height).toBeLessThan(4);
    }
  });
});

it("names are text in the file that is saved", () => {
  const svg = toSvg(drawn(5).picture, palette);
  expect(HOSTILE).toContain("<img");
  expect(svg).not.toContain("<img");
  expect(svg).toContain("&#60;img");
});

it("one namespace is shown with its neighbours alone", () => {
  const { graph } = drawn(12);
  const leaf = graph.edges[0]!.from[0];
  const { nets } = wiringOf(graph, { initial: () => false, title: () => undefined }, [], leaf);
  expect(nets.map((net) => net.id).sort()).toEqual([4026531833, leaf].sort());
});

it("circles of links are drawn once", () => {
  const link = (ns: number, index: number) => ({ id: [ns, index] as [number, number], target: "", name: `v${index}`, kind: "veth", up: true, state: "UP", mtu: 1500, mac: null, addresses: null, master: null, nsid: ns, "netns-name": null, process: null, "other-end": null, users: [], "left-over": null });
  const links = [link(1, 1), link(1, 2), link(2, 1), link(2, 2), link(3, 1), link(3, 2)];
  const edge = (a: number, b: number) => ({ from: links[a]!.id, to: links[b]!.id, relation: "peer" });
  const wiring = wiringOf({ links, edges: [edge(0, 2), edge(3, 4), edge(5, 1)] }, { initial: () => false, title: () => undefined });
  const picture = pictureOf(wiring, words);
  expect(boxes(picture.shapes)).toHaveLength(3);
  expect(picture.shapes.filter((shape) => shape.kind === "line" && shape.style === "extra")).toHaveLength(1);
});
