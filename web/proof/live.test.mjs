// The page of the agent itself, on a host of the proof's own: see run.sh.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createHash } from "node:crypto";
import { readlinkSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { axe, count, launch, NOT_BY_ITSELF, open, pick, file, visit } from "./browser.mjs";
import { proxy, serve } from "./server.mjs";
import { agent as startAgent, HOSTILE, ip, LACKS, LACKS_DOCKER, LONG, make, netns } from "./world.mjs";

if ((LACKS || LACKS_DOCKER) && process.env["CI"] === "true") throw new Error(LACKS || LACKS_DOCKER);

const shots = process.env["SHOTS"];

describe("a host", { skip: LACKS }, () => {
  let browser;
  let agent;
  let made;
  before(async () => {
    made = await make();
    [browser, agent] = await Promise.all([launch(), startAgent()]);
    if (shots) await mkdir(shots, { recursive: true });
  });
  after(async () => {
    await browser?.close();
    await agent?.stop();
    await Promise.all([made?.listener.end(), made?.apart.end()]);
  });

  const opened = async (options) => {
    const one = await open(browser, agent.url, options);
    await one.page.getByRole("treegrid").waitFor();
    return one;
  };
  /** Of many rows only those are drawn that are visible: others may make namespaces on this machine meanwhile. */
  const only = (page, text) => page.getByLabel("Filter").fill(String(text));
  const nsOf = (pid, type) => Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/${type}`))[0]);

  // The other two are shown of made-up hosts.
  const looks = [["light", 1280, 800], ["dark", 360, 740]];
  for (const [theme, width, height] of shots ? [...looks, ["light", 360, 740], ["dark", 1280, 800]] : looks) {
    it(`is whole and accessible in every view, ${theme}, ${width} px`, async () => {
      const { page, finish } = await opened({ theme, width, height });
      const views = [
        "", "user", "pid", "mnt", "net", "cgroup", "uts", "ipc", "time", "containers", "matrix", "mounts", "processes", "cpus", "wiring", "ports", "orphans", "audit", "gaps", "compare", "search?q=web",
        "settings", "help", `ns/${netns("red")}`, `process/${made.listener.pid}`, `task/${made.listener.pid}`, `container/${made.web}`, `mounts/${nsOf(process.pid, "mnt")}`, `cpus/0`, `link/${netns("red")}/2`, `ns/1`,
      ];
      const found = [];
      for (const view of views) {
        await visit(page, `#/${view}`);
        await page.locator("main h1").first().waitFor();
        // Answers are there, and none is a failure.
        await page.locator("main [role=status]", { hasText: "Asking the agent" }).first().waitFor({ state: "detached" });
        for (const text of await page.locator("main .problem").allTextContents()) found.push(`${view}: ${text}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) found.push(`${view}: ${wide} px too wide`);
        found.push(...(await axe(page)).map((one) => `${view}: ${one}`));
        if (shots) await page.screenshot({ path: `${shots}/${theme}-${width}-${view === "ns/1" ? "gone" : (view.replace(/[/?].*/, "") || "all") + (view.includes("/") ? "-one" : "")}.png` });
      }
      assert.deepEqual(found, []);
      await finish();
    });
  }

  it("is found, with what keeps things and how they are wired", async () => {
    const { page, finish } = await opened();
    await page.keyboard.press("/");
    await page.keyboard.type("red");
    await page.getByRole("option").filter({ hasText: `net:[${netns("red")}]` }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForFunction((id) => location.hash === `#/ns/${id}`, netns("red"));
    await page.getByText("What is inside?").click();
    await page.getByText("198.51.100.7/24").waitFor();

    await visit(page, `#/process/${made.listener.pid}`);
    await page.locator(`main a[href="#/ns/${netns("red")}"]`).first().waitFor();
    await visit(page, `#/ns/${nsOf(made.apart.pid, "uts")}`);
    await page.locator(`main a[href="#/process/${made.apart.pid}"]`).first().waitFor();
    await count(page.locator("main .tag.initial"), 0);

    await visit(page, `#/ns/${netns("blue")}`);
    await page.getByRole("region", { name: "Why is it still there?" }).getByText(/umount .*\/run\/netns\/blue/).first().waitFor();
    await visit(page, "#/orphans");
    await page.getByRole("region", { name: `net:[${netns("blue")}]` }).waitFor();
    await count(page.getByRole("region", { name: `net:[${netns("red")}]` }), 0);

    await visit(page, `#/wiring?ns=${netns("blue")}`);
    const picture = page.locator(".picture");
    await picture.getByText(/lxp-b|lxp-r/).first().waitFor();
    await picture.getByText("198.51.100.7/24").waitFor();
    await picture.getByText(`:${made.port}`).waitFor();
    await count(picture.locator("rect"), 2);
    assert.ok((await picture.locator("path").count()) > 0);
    await visit(page, "#/wiring");
    for (const text of [/^br0 · bridge/, /vxlan/, /tap0/, /mac0.*macvlan/, "192.0.2.7/24"]) await picture.getByText(text).first().waitFor();
    await visit(page, "#/ports");
    await only(page, made.port);
    await page.getByRole("row").filter({ hasText: String(made.port) }).filter({ hasText: String(made.listener.pid) }).first().waitFor();
    const mounts = nsOf(process.pid, "mnt");
    await visit(page, `#/mounts/${mounts}`);
    await page.getByRole("row").filter({ hasText: "over" }).filter({ hasText: "2 mounts here" }).waitFor();
    await finish();
  });

  it("has containers, with their namespaces and how far apart they are", async () => {
    const { page, finish } = await opened();
    await visit(page, "#/containers");
    for (const name of [...(LACKS_DOCKER ? [] : ["dock"]), "web", "side", "bare", "mapped", HOSTILE]) await page.getByRole("row").filter({ hasText: name }).first().waitFor();
    await visit(page, `#/container/${made.web}`);
    for (const text of ["io.container.manager", "running", "crun", "overlay-containers"]) await page.getByText(text).first().waitFor();
    await visit(page, "#/matrix");
    const row = (name) => page.getByRole("row").filter({ has: page.getByText(name, { exact: true }) }).first();
    await row("side").getByText("web").first().waitFor();
    // Its network namespace is that of the proof, which is not the initial one.
    await row("bare").locator(".whose-process").waitFor();
    await page.getByLabel("Which containers").selectOption({ label: "Root on the host" });
    await row("mapped").waitFor({ state: "detached" });
    await row("bare").waitFor();
    await visit(page, "#/audit");
    await page.getByRole("region", { name: "podman:bare" }).waitFor();
    await finish();
  });

  it("has Docker's containers as Docker says", { skip: LACKS_DOCKER }, async () => {
    const { Id, Name, Config, State, NetworkSettings } = made.dock;
    const { page, finish } = await opened();
    await visit(page, `#/container/${Id}`);
    await page.getByRole("heading", { name: Name.slice(1) }).waitFor();
    const facts = page.getByRole("region", { name: "Facts" });
    for (const text of [Id, Config.Image]) await facts.getByText(text, { exact: true }).waitFor();
    // With its version, which its API tells.
    await facts.getByText(/^docker\.com [1-9]/).waitFor();
    await facts.locator(`a[href="#/process/${State.Pid}"]`).waitFor();
    await page.locator("main").getByText(State.Status, { exact: true }).first().waitFor();
    for (const text of Object.entries(Config.Labels).flat()) await page.getByRole("region", { name: "Labels and annotations" }).getByText(text, { exact: true }).waitFor();
    await page.getByRole("region", { name: "Resource limits" }).waitFor();
    const [network] = Object.values(NetworkSettings.Networks);
    await visit(page, `#/wiring?ns=${nsOf(State.Pid, "net")}`);
    const picture = page.locator(".picture");
    for (const text of ["dock", /^docker0 · bridge/, `${network.IPAddress}/${network.IPPrefixLen}`]) await picture.getByText(text).first().waitFor();
    await visit(page, `#/search?q=${network.IPAddress}`);
    await page.getByRole("row").filter({ hasText: "eth0" }).filter({ hasText: String(nsOf(State.Pid, "net")) }).first().waitFor();
    await finish();
  });

  it("may have names that are markup, or long", async () => {
    const { page, finish } = await opened({ width: 360, height: 740 });
    for (const view of ["containers", "net", "wiring", `ns/${netns(HOSTILE)}`, `ns/${netns(LONG)}`, `search?q=${LONG.slice(0, 20)}`]) {
      await visit(page, `#/${view}`);
      await page.locator("main").getByText(/<img src=x onerror|long-nnnnn/).first().waitFor();
      assert.equal(await page.locator("#page img").count(), 0);
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, view);
    }
    await finish();
  });

  it("is shown from its dump with the network off, and from one of the Go program", async () => {
    const dump = await (await fetch(`${agent.url}api/v1/snapshot`)).json();
    const server = await serve();
    const one = await open(browser, server.url);
    const { page } = one;
    await page.getByText("No agent serves this page").waitFor();
    await one.context.setOffline(true);
    const uts = nsOf(made.apart.pid, "uts");
    await pick(page, file("ours.json", dump));
    await page.getByRole("treegrid").waitFor();
    await visit(page, `#/ns/${netns("blue")}`);
    await page.getByRole("region", { name: "Kept alive by" }).getByText("/run/netns/blue").first().waitFor();
    await visit(page, "#/gaps");
    await page.getByRole("grid", { name: "Not readable" }).waitFor();
    const { gaps = [] } = dump["discovery-options"].snapshot;
    assert.equal(Number(await page.getByRole("grid").getAttribute("aria-rowcount")), gaps.length + 1);
    // The procfs of this host is that of a PID namespace that is not the initial one.
    await page.getByText("Processes outside this PID namespace are not listed").waitFor();
    await visit(page, "#/uts");
    await only(page, uts);
    await page.getByRole("row").filter({ hasText: String(uts) }).getByText("1+").waitFor();
    await visit(page, "#/pid");
    await only(page, nsOf("self", "pid"));
    await page.getByRole("row").filter({ hasText: String(nsOf("self", "pid")) }).locator(".number", { hasText: /^\d+$/ }).waitFor();
    await everything(page, dump);

    await pick(page, file("theirs.json", asTheGoProgram(dump)));
    await visit(page, `#/ns/${netns("blue")}`);
    await page.getByText("Not known: another program wrote this dump.").waitFor();
    await visit(page, "#/gaps");
    await page.getByText("This dump does not say what could not be read.").first().waitFor();
    await visit(page, `#/ns/${uts}`);
    await page.locator(`main a[href="#/process/${made.apart.pid}"]`).first().waitFor();
    await everything(page, dump);
    for (const [view, question] of [["wiring", "links"], ["ports", "ports"], ["audit", "audit"], ["orphans", "orphans"], [`ns/${uts}`, "why"]]) {
      await visit(page, `#/${view}`);
      await page.getByText(`a dump cannot answer “${question}”`).first().waitFor();
    }
    await one.finish();
    await server.close();
  });

  it("is not filled with what the agent has left of itself", async () => {
    const times = 12;
    const ask = async (question) => (await fetch(`${agent.url}api/v1/${question}`, { headers: { "cache-control": "no-cache" } })).json();
    for (let n = 0; n < times; n++) await ask(`show?target=${netns("red")}`);
    // Processes of the browser end as well, and the last of the agent's may not have been reaped yet: that is waited for.
    let ended;
    do {
      const { processes } = await ask("snapshot");
      ended = Object.values(processes).filter((one) => one.state === "Z" && processes[one.ppid]?.name.startsWith("lxknsd"));
      if (ended.length >= times) assert.fail(JSON.stringify(ended));
    } while (ended.length >= times / 2);
  });

  it("may be served below a path", async () => {
    const other = await startAgent("--base-path", "/some/path");
    const origin = `${new URL(other.url).origin}/some/path/`;
    // `finish` fails if anything else is asked for than what is below that.
    const { page, finish } = await open(browser, origin, { path: `#/ns/${netns("red")}` });
    await page.locator("main .type-net").first().waitFor();
    await page.reload();
    await page.getByRole("region", { name: "Why is it still there?" }).getByText("/run/netns/red").first().waitFor();
    await finish();
    await other.stop();
  });

  it("may be behind a proxy, below a path that the agent does not know", async () => {
    const one = await proxy(agent.url, "/hosts/a");
    // `finish` fails if anything else is asked for than what is below that.
    const { page, finish } = await open(browser, one.url, { path: `#/ns/${netns("red")}`, settings: NOT_BY_ITSELF });
    const why = page.getByRole("region", { name: "Why is it still there?" }).getByText("/run/netns/red").first();
    await why.waitFor();
    await page.reload();
    await why.waitFor();
    await page.getByText("live", { exact: true }).waitFor();
    await visit(page, "#/net");
    await only(page, "violet");
    ip("netns", "add", "violet");
    await page.locator(".grid-row[class*=mark-]").filter({ hasText: "violet" }).waitFor();
    ip("netns", "delete", "violet");
    await page.locator(".grid-row").filter({ hasText: "violet" }).waitFor({ state: "detached" });
    await finish();
    await one.close();
  });

  it("says to a browser that it takes no token from it", async () => {
    const token = "7".repeat(64);
    writeFileSync("/run/tokens", `${createHash("sha256").update(token).digest("hex")} proof\n`, { mode: 0o600 });
    const other = await startAgent("--bearer-token-file", "/run/tokens");
    assert.equal((await fetch(other.url, { headers: { authorization: `Bearer ${token}` } })).status, 200);
    const { page, context } = await browser.page();
    assert.equal((await page.goto(other.url)).status(), 401);
    await page.getByText("A browser cannot send a bearer token").waitFor();
    await page.getByText(/basic_auth_users.*client_ca_file/).waitFor();
    await context.close();
    await other.stop();
  });

  it("may be for those alone who know a password", async () => {
    // The hash of a published test of bcrypt: U*U.
    writeFileSync("/run/web.yml", "basic_auth_users:\n  somebody: $2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n");
    const other = await startAgent("--web.config.file", "/run/web.yml");
    assert.equal((await fetch(other.url)).status, 401);
    assert.equal((await fetch(`${other.url}api/v1/snapshot`)).status, 401);
    const { page, finish } = await open(browser, other.url, { httpCredentials: { username: "somebody", password: "U*U" } });
    await page.getByRole("treegrid").waitFor();
    await page.getByText("live", { exact: true }).waitFor();
    await finish();
    await other.stop();
  });

  it("changes as it is looked at, and only what changed is sent", async () => {
    // It never looks by itself: what comes is told by events.
    const { page, finish } = await opened({ settings: NOT_BY_ITSELF });
    await page.getByText("live", { exact: true }).waitFor();
    // Of what was before somebody follows, the agent may have kept nothing.
    const looked = page.waitForResponse((response) => response.url().includes("/api/v1/snapshot"));
    await page.getByTitle("Refresh").click();
    await looked;
    await page.waitForFunction(() => !document.querySelector("header button[disabled]"));
    const kinds = [];
    let state;
    page.on("response", (response) => {
      if (!response.url().includes("/api/v1/snapshot")) return;
      state = response.headers()["lxkns-state"];
      kinds.push([response.status(), response.headers()["content-type"]]);
    });
    await visit(page, "#/net");
    await only(page, "green");
    ip("netns", "add", "green");
    const green = netns("green");
    await page.locator(".grid-row[class*=mark-]").filter({ hasText: String(green) }).filter({ hasText: "green" }).waitFor();
    const has = state;
    ip("netns", "delete", "green");
    // With many others the list is closed.
    await page.locator(".over li").filter({ hasText: `net:[${green}]` }).waitFor({ state: "attached" });
    await page.locator(".grid-row").filter({ hasText: String(green) }).waitFor({ state: "detached" });
    assert.ok(kinds.length >= 2, JSON.stringify(kinds));
    for (const [status, type] of kinds) assert.deepEqual([status, type], [200, "application/merge-patch+json"]);
    await visit(page, `#/ns/${green}`);
    await page.getByText(`There is no namespace ${green}`).waitFor();
    await page.locator("main .over").getByText("green").waitFor();
    // From here on it looks no more, so that none of what it has seen makes room for newer.
    await visit(page, "#/settings");
    await page.getByLabel("Follow the agent's events").setChecked(false);
    await page.getByText("live", { exact: true }).waitFor({ state: "detached" });

    // What this page has seen is compared in full, what the agent alone knows by its own comparison.
    const compared = async (on, group) => {
      await visit(on, "#/compare");
      const choice = on.getByLabel("Compare with the state of");
      await choice.locator(`optgroup[label^="${group}"] option[value="${has}"]`).waitFor({ state: "attached" });
      await choice.selectOption(has);
      await only(on, green);
      await on.getByRole("row").filter({ hasText: `net:[${green}]` }).filter({ hasText: /gone|not seen any more/ }).first().waitFor();
    };
    await compared(page, "Kept by this page");
    const other = await opened();
    await compared(other.page, "Kept by the agent");
    await other.finish();
    await finish();
  });

  it("has an agent that may end and come back", async () => {
    const one = await opened();
    const { page } = one;
    await agent.stop();
    await page.getByTitle("Refresh").click();
    await page.getByText("agent does not answer").waitFor();
    await page.getByRole("treegrid").waitFor();
    await agent.again();
    await page.getByText("agent does not answer").waitFor({ state: "detached" });
    // It is another one, which knows nothing of what the other told.
    await page.locator(".notice", { hasText: "Changes since the last state may be missing" }).waitFor();
    await one.context.close();
    // The browser notes the refused connections itself, and nothing else went wrong.
    assert.deepEqual(one.wrong.filter((text) => !text.includes("ERR_")), []);
  });
});

/** Checks that a page shows all namespaces and processes of a dump. */
async function everything(page, dump) {
  const rows = async (view) => {
    await visit(page, `#/${view}`);
    await page.getByRole("button", { name: "Expand all" }).first().click();
    return Number(await page.getByRole("treegrid").getAttribute("aria-rowcount"));
  };
  assert.ok((await rows("processes")) >= Object.keys(dump.processes).length);
  const menu = await page.locator("nav a", { hasText: "All namespaces" }).locator(".menu-count").textContent();
  assert.equal(Number(menu), Object.keys(dump.namespaces).length);
  for (const type of ["net", "uts", "user"]) {
    const count = await page.locator(`nav a[href="#/${type}"] .menu-count`).textContent();
    assert.equal(Number(count), Object.values(dump.namespaces).filter((ns) => ns.type === type).length, type);
  }
}

/** The same host as the Go program writes it: without what only ours has. */
function asTheGoProgram(ours) {
  const dump = structuredClone(ours);
  const only = (object, ...keys) => Object.fromEntries(Object.entries(object).filter(([key]) => keys.includes(key)));
  delete dump["discovery-options"].snapshot;
  const common = ["name", "starttime", "cpucgroup", "fridgecgroup", "fridgefrozen", "namespaces", "affinity", "policy", "priority", "nice"];
  const each = (objects, change) => Object.fromEntries(Object.entries(objects).map(([key, value]) => [key, change(value)]));
  dump.namespaces = each(dump.namespaces, (ns) => only(ns, "nsid", "type", "owner", "parent", "children", "possessions", "user-id", "user-name", "leaders", "ealdorman", "loose-threads", "reference"));
  dump.processes = each(dump.processes, (one) => ({ ...only(one, "pid", "ppid", "cmdline", ...common), tasks: one.tasks.map((task) => only(task, "tid", ...common)) }));
  dump.containers = each(dump.containers, (one) => only(one, "id", "name", "type", "flavor", "pid", "paused", "labels", "groups", "engine"));
  return dump;
}
