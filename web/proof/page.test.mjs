// The page that was built, in a browser: what it promises to people. `node --test proof/`.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { agentOf, LXKNS } from "./agent.mjs";
import { axe, count, file, launch, NOT_BY_ITSELF, open, pick, rows, visit } from "./browser.mjs";
import { serve } from "./server.mjs";
import { HOSTILE, LONG, syntheticHost } from "./synthetic.mjs";

const host = syntheticHost();
const shots = process.env["SHOTS"];
const [first] = Object.values(host.dump.containers);
const longest = Object.values(host.dump.containers).find((one) => one.name === LONG);
const netns = host.links.results[0].links.at(-3).nsid;

const VIEWS = [
  "", "user", "pid", "mnt", "net", "cgroup", "uts", "ipc", "time", "containers", "matrix", "mounts", "processes", "cpus", "wiring", "ports",
  "orphans", "audit", "gaps", "compare", "search?q=web", "settings", "help", "ns/4026531837", `ns/${netns}`, `process/${first.pid}`, `task/${first.pid}`,
  `container/${first.id}`, `container/${longest.id}`, `process/${longest.pid}`, "mounts/4026531832", "mounts/4026531832/35", "cpus/1", "link/4026531833/2", "process/999999", "nowhere",
];

let browser;
let plain;
before(async () => {
  browser = await launch();
  plain = await serve();
  if (shots) await mkdir(shots, { recursive: true });
});
after(async () => {
  await browser?.close();
  await plain?.close();
});

/** A page that shows the host from files. */
async function withDump(options = {}, dump = host.dump) {
  const opened = await open(browser, plain.url, options);
  await opened.page.getByText("No agent serves this page").waitFor();
  await pick(opened.page, file("host.json", dump));
  await opened.page.getByRole("treegrid").waitFor();
  await pick(opened.page, file("links.json", host.links), file("ports.json", host.ports));
  return opened;
}

/** A page that an agent serves. */
async function withAgent(options = {}, known = host) {
  const agent = await agentOf(known);
  const server = await serve(agent.answer);
  const opened = await open(browser, server.url, options);
  await opened.page.getByRole("treegrid").waitFor();
  const { finish } = opened;
  return { ...opened, agent, server, finish: async () => { await finish(); await server.close(); await agent.close(); } };
}

for (const [theme, width, height] of [["light", 360, 740], ["dark", 1280, 800], ["light", 2560, 1300]]) {
  it(`every view is whole and accessible, ${theme}, ${width} px`, async () => {
    const opened = await withDump({ theme, width, height });
    const { page } = opened;
    const found = [];
    for (const view of VIEWS) {
      await visit(page, `#/${view}`);
      await page.locator("main h1, main .problem").first().waitFor();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) found.push(`${view}: ${wide} px too wide`);
      if (await page.getByText("This view failed").count()) found.push(`${view}: failed`);
      if (width <= 1280) found.push(...(await axe(page)).map((one) => `${view}: ${one}`));
      if (shots) await page.screenshot({ path: `${shots}/made-${theme}-${width}-${view.replaceAll(/\W/g, "_") || "all"}.png` });
    }
    assert.deepEqual(found, []);
    await opened.finish();
  });
}

describe("what a host says", () => {
  it("is text, never markup", async () => {
    const opened = await withDump();
    const { page } = opened;
    for (const view of ["containers", "matrix", "wiring", "search?q=img", `process/${Number(first.pid) + 3}`]) {
      await visit(page, `#/${view}`);
      // The picture cuts long names.
      await page.locator("main").getByText("<img src=x on").first().waitFor();
      assert.equal(await page.locator("#page img").count(), 0);
    }
    assert.ok(HOSTILE.includes("\u202e"));
    assert.equal(await page.evaluate(() => document.body.innerText.includes("\u202e")), false);
    await opened.finish();
  });

  it("is shown with what could not be read", async () => {
    const opened = await withDump();
    const { page } = opened;
    await visit(page, "#/process/3");
    await count(page.locator("main .unread", { hasText: "not readable" }), 8);
    await page.getByText("access denied (EACCES)").waitFor();
    await visit(page, "#/gaps");
    await page.getByText("timed out").waitFor();
    const left = Object.values(host.dump.namespaces).find((ns) => ns.references);
    await visit(page, `#/ns/${left.nsid}`);
    await page.getByText("The kernel counts 3 references; 2 are explained. Something else that was not seen holds it").waitFor();
    await page.getByText("waits in a socket").waitFor();
    await visit(page, "#/orphans");
    await page.getByText("0 seen, 1 not readable").first().waitFor();
    await opened.finish();
  });

  it("without an agent: says what takes one", async () => {
    const opened = await open(browser, plain.url);
    const { page } = opened;
    await pick(page, file("host.json", host.dump));
    await page.getByRole("treegrid").waitFor();
    for (const [view, question] of [["wiring", "links"], ["ports", "ports"], ["audit", "audit"], ["orphans", "orphans"], [`ns/${netns}`, "why"]]) {
      await visit(page, `#/${view}`);
      await page.getByText(`a dump cannot answer “${question}”`).first().waitFor();
    }
    await opened.finish();
  });
});

describe("a file", () => {
  it("dropped with the network off is shown", async () => {
    const opened = await open(browser, plain.url);
    const { page, context } = opened;
    await page.getByText("No agent serves this page").waitFor();
    await context.setOffline(true);
    const drop = (name, text) => page.evaluate(([name, text]) => {
      const data = new DataTransfer();
      data.items.add(new File([text], name));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }, [name, text]);
    await drop("theirs.json", JSON.stringify({ namespaces: { 4026531837: { nsid: 4026531837, type: "user", "user-id": 0, "user-name": "root", reference: ["/proc/1/ns/user"] } }, processes: {} }));
    await page.getByRole("treegrid").waitFor();
    await page.getByRole("row").filter({ hasText: "4026531837" }).waitFor();
    await visit(page, "#/ns/4026531837");
    await page.getByText("Not known: another program wrote this dump.").waitFor();
    await drop("host.json", JSON.stringify(host.dump));
    await visit(page, `#/container/${first.id}`);
    await page.getByText("nginx:1.27").waitFor();
    const limits = page.getByRole("region", { name: "Resource limits" });
    for (const text of ["64 MiB", "unlimited", "not known"]) await limits.getByText(text).waitFor();
    await drop("broken.json", "{");
    await page.getByRole("alert").getByText("broken.json is not an lxkns dump").waitFor();
    await opened.finish();
  });

  it("can be compared with, and what it lacks is told", async () => {
    const opened = await withDump();
    const { page } = opened;
    await visit(page, "#/compare");
    const older = structuredClone(host.dump);
    const pid = String(first.pid + 1);
    delete older.processes[pid];
    older.processes["1"].tasks[0].affinity = older.processes["1"].affinity = [[0, 0]];
    await page.locator("main input[type=file]").setInputFiles(file("older.json", older));
    await page.getByRole("row").filter({ hasText: `worker ${pid}` }).filter({ hasText: "new" }).waitFor();
    await page.getByRole("row").filter({ hasText: "systemd 1" }).filter({ hasText: "CPUs: 0 → 0-3" }).waitFor();
    await opened.finish();
  });
});

describe("by keyboard", () => {
  it("search is at /, and arrows choose", async () => {
    const opened = await withDump();
    const { page } = opened;
    await page.locator("main").focus();
    await page.keyboard.press("/");
    await page.keyboard.type(first.id.slice(0, 12));
    await page.getByRole("option").first().waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForFunction((id) => location.hash === `#/container/${id}`, first.id);
    await page.keyboard.press("/");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("5432");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash === "#/search?q=5432");
    await page.getByRole("row").filter({ hasText: "tcp 0.0.0.0:5432" }).first().waitFor();
    await visit(page, "#/search?q=10.88.0.2");
    await page.getByRole("row").filter({ hasText: "eth0" }).first().waitFor();
    await opened.finish();
  });

  it("trees open, close and lead on", async () => {
    const opened = await withDump();
    const { page } = opened;
    await visit(page, "#/pid");
    const grid = page.getByRole("treegrid");
    await grid.focus();
    const active = () => page.locator(".grid-row.active").textContent();
    await page.keyboard.press("Home");
    const open = Number(await grid.getAttribute("aria-rowcount"));
    await page.keyboard.press("ArrowLeft");
    await rows(page, { most: open - 1 });
    await page.keyboard.press("ArrowRight");
    await rows(page, { least: open, most: open });
    await page.keyboard.press("ArrowRight");
    assert.match(await active(), /systemd/);
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    assert.match(await active(), /4026531836/);
    await page.keyboard.press("End");
    const last = await active();
    assert.notEqual(last, null);
    const described = await grid.getAttribute("aria-activedescendant");
    assert.equal(await page.locator(`#${described}`).textContent(), last);
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash === "#/ns/4026531836");
    await opened.finish();
  });
});

describe("whoever looks", () => {
  it("sees where the focus is, wherever Tab leads", async () => {
    const opened = await withAgent();
    const { page } = opened;
    for (const view of ["", "containers", "wiring", "compare", "settings", `container/${first.id}`]) {
      await visit(page, `#/${view}`);
      await page.locator("main h1").first().waitFor();
      await page.evaluate(() => document.activeElement?.blur());
      const hidden = [];
      for (let n = 0; n < 45; n++) {
        await page.keyboard.press("Tab");
        const at = await page.evaluate(() => {
          const element = document.activeElement;
          if (!element || element === document.body) return undefined;
          const shown = (one) => getComputedStyle(one).outlineStyle !== "none";
          // A file is chosen by its label, which has the outline.
          return shown(element) || (element.parentElement?.matches(".button") && shown(element.parentElement)) ? "" : element.outerHTML.slice(0, 120);
        });
        if (at === undefined) break;
        if (at) hidden.push(at);
      }
      assert.deepEqual(hidden, [], view);
    }
    await opened.finish();
  });

  it("has nothing moved who does not like that", async () => {
    for (const [reducedMotion, moves] of [["reduce", false], ["no-preference", true]]) {
      const opened = await withAgent({ reducedMotion });
      const { page, agent } = opened;
      await visit(page, "#/processes");
      await page.getByRole("treegrid", { name: "Processes" }).waitFor();
      await page.evaluate(() => {
        window.moved = 0;
        addEventListener("animationstart", () => window.moved++);
      });
      const changed = structuredClone(host.dump);
      changed.processes["1"].name = "init";
      await agent.set(changed);
      agent.tell();
      const row = page.locator(".grid-row[class*=mark-]");
      await row.waitFor();
      if (moves) await page.waitForFunction(() => window.moved > 0);
      else assert.equal(await row.evaluate((element) => element.getAnimations({ subtree: true }).length + window.moved), 0);
      await opened.finish();
    }
  });
});

describe("pictures", () => {
  it("are saved as SVG and PNG", async () => {
    const opened = await withDump();
    const { page } = opened;
    await visit(page, "#/wiring");
    for (const [name, begins] of [["SVG", "<svg"], ["PNG", "\u0089PNG"]]) {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
      const bytes = await readFile(await download.path(), "latin1");
      assert.ok(bytes.startsWith(begins), `${name}: ${bytes.slice(0, 20)}`);
      assert.ok(bytes.length > 3000);
    }
    await opened.finish();
  });

  it("have a table that says the same", async () => {
    const opened = await withDump();
    const { page } = opened;
    await visit(page, "#/wiring");
    await page.locator(".picture").getByText("10.88.0.0/16").waitFor();
    await page.getByText("addresses of 1 network namespace not known").waitFor();
    const names = await page.locator(".picture .text-title").allTextContents();
    await page.getByRole("button", { name: "As a table" }).click();
    await page.getByRole("button", { name: "Collapse all" }).click();
    const grid = page.getByRole("treegrid");
    await rows(page, { least: names.length + 1, most: names.length + 1 });
    await grid.getByText("eth0").first().waitFor({ state: "detached" });
    await opened.finish();
  });
});

describe("an agent", () => {
  it("serves it below any path, and an address survives reload", async () => {
    const opened = await withAgent({ path: "some/prefix/" });
    const { page, server } = opened;
    await visit(page, `#/container/${first.id}`);
    await page.getByText("nginx:1.27").waitFor();
    await page.reload();
    await page.getByText("nginx:1.27").waitFor();
    assert.ok(server.requests.every((path) => path.startsWith("/some/prefix/")), server.requests.join(" "));
    await opened.finish();
  });

  it("is asked again, and changes are marked", async () => {
    // Only an event brings it here, or who asks for it.
    const opened = await withAgent({ settings: NOT_BY_ITSELF });
    const { page, agent } = opened;
    await page.getByText("live", { exact: true }).waitFor();
    const answered = page.waitForResponse((response) => response.url().includes("/api/v1/snapshot"));
    await page.getByTitle("Refresh").click();
    assert.equal((await answered).status(), 304);
    assert.deepEqual(agent.seen, { unchanged: 1, full: 1, events: 1 });
    const changed = structuredClone(host.dump);
    const nsid = 4026539999;
    changed.namespaces[nsid] = { nsid, type: "uts", owner: 4026531837, reference: [], holders: [], "unique-id": 99999 };
    changed.processes["1"].name = "init";
    await agent.set(changed);
    agent.tell();
    await page.getByText("2 changes").click();
    await page.locator(".changes li").filter({ hasText: "uts:[4026539999]" }).filter({ hasText: /new|seen now/ }).waitFor();
    await page.locator(".changes li").filter({ hasText: "init 1" }).waitFor();
    await visit(page, "#/uts");
    await page.locator(".grid-row[class*=mark-]").filter({ hasText: String(nsid) }).waitFor();
    await opened.finish();
  });

  it("is there again after a dump was looked at", async () => {
    const opened = await withAgent();
    const { page, agent } = opened;
    const other = structuredClone(host.dump);
    other["discovery-options"].snapshot.hostname = "elsewhere";
    await pick(page, file("other.json", other));
    await page.locator(".source-text").getByText("elsewhere").waitFor();
    assert.equal(await page.getByTitle("Refresh").count(), 0);
    await page.getByRole("button", { name: "Back to the agent" }).click();
    await page.locator(".source-text").getByText("example").waitFor();
    await page.getByText("live", { exact: true }).waitFor();
    await count(page.getByText("Back to the agent"), 0);
    assert.equal(agent.seen.events, 2);
    await opened.finish();
  });

  it("tells what no snapshot has, and what it has lost", async () => {
    const opened = await withAgent();
    const { page, agent } = opened;
    await page.getByText("live", { exact: true }).waitFor();
    const namespace = { nsid: 4026531111, type: "uts", "netns-name": null };
    agent.tell("appeared", { change: "appeared", time: "a", namespace, process: { pid: 77, command: HOSTILE } });
    agent.tell("went", { change: "went", time: "b", namespace, process: { pid: 77, command: HOSTILE } });
    await page.getByText("1 change").click();
    await page.locator(".changes li").filter({ hasText: "came and went" }).filter({ hasText: "uts:[4026531111]" }).filter({ hasText: "<img src=x onerror" }).waitFor();
    await visit(page, "#/uts");
    await page.locator(".over").getByText("uts:[4026531111]").waitFor();
    await visit(page, "#/net");
    await page.getByRole("treegrid", { name: "Network" }).waitFor();
    await count(page.locator(".over"), 0);
    agent.tell("lost", { change: "lost", text: "at least 7 events lost" });
    agent.tell("resync", { why: "history", text: "the history does not go back that far" });
    agent.tell("failed", { text: "out of descriptors" });
    for (const text of ["at least 7 events lost", "the history does not go back that far", "out of descriptors"]) await page.locator(".notice", { hasText: text }).waitFor();
    assert.deepEqual(await axe(page), []);
    agent.tell("state");
    await page.locator(".notice", { hasText: "out of descriptors" }).waitFor({ state: "detached" });
    await page.locator(".notice", { hasText: "at least 7" }).getByRole("button", { name: "Dismiss" }).click();
    await page.locator(".notice", { hasText: "at least 7" }).waitFor({ state: "detached" });
    await opened.finish();
  });

  it("that refuses events for a while goes on where it was", async () => {
    const opened = await withAgent();
    const { page, agent } = opened;
    const live = page.getByText("live", { exact: true });
    await live.waitFor();
    agent.tell("lost", { change: "lost", text: "at least 7 events lost" });
    await page.locator(".notice", { hasText: "at least 7" }).waitFor();
    agent.refuses = true;
    agent.drop();
    // The browser asks by itself, and then no more.
    const refused = await page.waitForResponse((response) => response.status() === 503);
    assert.ok(refused.url().endsWith("/api/v1/events"));
    await live.waitFor({ state: "detached" });
    agent.refuses = false;
    const accepted = page.waitForResponse((response) => response.url().includes("/api/v1/events?"));
    let isAccepted = false;
    void accepted.then(() => { isAccepted = true; });
    while (!isAccepted) {
      await page.getByTitle("Refresh").click();
      await page.waitForFunction(() => !document.querySelector("header button[disabled]"));
    }
    await live.waitFor();
    assert.deepEqual(agent.since, [null, "x-1", "x-1"]);
    await opened.context.close();
    // The browser notes what was refused itself, and nothing else went wrong.
    assert.deepEqual(opened.wrong.filter((one) => !/503|ERR_/.test(one)), []);
    await opened.server.close();
    await agent.close();
  });

  it("that is lost is said, and what is shown stays", async () => {
    const opened = await withAgent();
    const { page, server, agent } = opened;
    await server.close();
    await page.getByTitle("Refresh").click();
    await page.getByText("agent does not answer").waitFor();
    await page.getByRole("treegrid").waitFor();
    await opened.context.close();
    await agent.close();
    // The browser notes the refused connections itself, and nothing else went wrong.
    assert.deepEqual(opened.wrong.filter((one) => !one.includes("ERR_")), []);
  });

  it("gives reasons beside things", { skip: LXKNS ? false : "no lxkns is built; $LXKNS can name one" }, async () => {
    const opened = await withAgent();
    const { page } = opened;
    const blue = Object.values(host.dump.namespaces).find((ns) => ns.reference[0] === "/run/netns/blue").nsid;
    await visit(page, `#/ns/${blue}`);
    await page.getByRole("region", { name: "Why is it still there?" }).getByText("umount").first().waitFor();
    await page.getByText("Who has a capability here?").click();
    await page.getByRole("region", { name: "Who has a capability here?" }).getByText(/process/).first().waitFor();
    await visit(page, `#/process/${first.pid}`);
    await page.getByText("What may it do?").click();
    await page.getByRole("region", { name: "What may it do?" }).getByText(/CAP_NET_RAW/).first().waitFor();
    await visit(page, "#/orphans");
    await page.getByRole("region", { name: `net:[${blue}]` }).waitFor();
    await visit(page, "#/audit");
    await page.getByText("/proc/sys is writable").first().waitFor();
    await visit(page, "#/matrix");
    await page.getByText("defaults").first().waitFor();
    assert.deepEqual(await axe(page), []);
    await opened.finish();
  });
});

describe("a large host", () => {
  it("is drawn as far as it is visible, and asked for once", async (test) => {
    const large = syntheticHost({ containers: 200, processes: 10_000, namespaces: 3000, cpus: 64 });
    assert.ok(Object.keys(large.dump.processes).length >= 10_000 && Object.keys(large.dump.namespaces).length >= 3000);
    const opened = await withAgent({ settings: NOT_BY_ITSELF }, large);
    const { page, agent, server } = opened;
    // How long it takes depends on the machine, and is only told: processor time of the page's thread.
    const session = await opened.context.newCDPSession(page);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const spent = async () => {
      const { metrics } = await session.send("Performance.getMetrics");
      return metrics.find((one) => one.name === "TaskDuration").value * 1000;
    };
    const times = {};
    const drawn = {};
    const step = async (name, act, wait) => {
      const began = await spent();
      await act();
      await wait();
      times[name] = Math.round((await spent()) - began);
      drawn[name] = await page.evaluate(() => [document.querySelectorAll(".grid-body .grid-row").length, document.querySelectorAll("*").length]);
    };
    const grid = (name) => page.getByRole("treegrid", { name }).waitFor();
    await step("first", () => page.reload(), () => page.getByRole("treegrid").waitFor());
    await page.getByText("live", { exact: true }).waitFor();
    await step("processes", () => visit(page, "#/processes"), () => grid("Processes"));
    await step("expand", () => page.getByRole("button", { name: "Expand all" }).click(), () => rows(page, { least: 10_001 }));
    await step("filter", () => page.getByLabel("Filter").fill("nginx"), () => rows(page, { most: 10_000 }));
    await step("end", async () => { await page.getByRole("treegrid").focus(); await page.keyboard.press("End"); }, () => page.locator(".grid-row.active").waitFor());
    await step("search", async () => { await page.keyboard.press("/"); await page.keyboard.type("1500"); }, () => page.getByRole("option").first().waitFor());
    await page.keyboard.press("Escape");
    await step("namespaces", () => visit(page, "#/uts"), () => grid("UTS"));
    await visit(page, "#/");
    await grid("All namespaces");
    await step("filter all", () => page.getByLabel("Filter").fill("nginx"), () => page.locator(".grid-row").filter({ hasText: "nginx" }).first().waitFor());
    await count(page.getByText("were looked at"), 0);
    // Nothing of that takes the agent.
    const asked = () => server.requests.filter((path) => path.includes("/api/v1/")).map((path) => path.replace("/api/v1/", ""));
    assert.deepEqual(asked().sort(), ["events", "events", "snapshot", "snapshot"]);
    const changed = structuredClone(large.dump);
    changed.processes["1"].name = "changed";
    await agent.set(changed);
    await step("update", () => agent.tell(), () => page.getByText("1 change").waitFor());
    assert.deepEqual(asked().sort(), ["events", "events", "snapshot", "snapshot", "snapshot"]);
    await step("wiring", () => visit(page, "#/wiring"), () => page.locator(".picture svg").waitFor());
    assert.deepEqual(asked().sort(), ["events", "events", "links", "ports", "snapshot", "snapshot", "snapshot"]);
    for (const [name, [rows, elements]] of Object.entries(drawn)) assert.ok(rows <= 60 && elements < 12_000, `${name}: ${rows} rows, ${elements} elements`);
    test.diagnostic(`milliseconds of processor time: ${JSON.stringify(times)}; rows and elements: ${JSON.stringify(drawn)}`);
    await opened.finish();
  });
});
