// The page, and namespaces of this host that the test makes: as root, with the lxkns that was built.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readlinkSync, statSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { LXKNS, liveAgent } from "./agent.mjs";
import { launch, open, visit } from "./browser.mjs";
import { serve } from "./server.mjs";

const lacks = process.getuid() !== 0 ? "needs root" : LXKNS ? false : "no lxkns is built; $LXKNS can name one";
const [red, blue] = ["red", "blue"].map((name) => `lxp-${name}-${process.pid}`);
const PORT = 20_000 + (process.pid % 20_000);

const ip = (...args) => execFileSync("ip", args);

/** Starts a program that says when it is ready, and ends with its standard input. */
async function start(...command) {
  const child = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise((ready, failed) => {
    child.stdout.once("data", ready);
    child.once("exit", (code) => failed(new Error(`${command.join(" ")} ended with ${code}`)));
  });
  return child;
}

const LISTEN = `require("net").createServer().listen(${PORT}, () => console.log("ready")); process.stdin.resume().on("end", () => process.exit())`;
const WAIT = `console.log("ready"); process.stdin.resume().on("end", () => process.exit())`;

describe("namespaces of this host", { skip: lacks }, () => {
  let browser;
  let server;
  let agent;
  let listener;
  let apart;
  const inode = {};
  before(async () => {
    for (const name of [red, blue]) {
      ip("netns", "add", name);
      inode[name] = statSync(`/run/netns/${name}`).ino;
    }
    ip("link", "add", "lxp-r", "netns", red, "type", "veth", "peer", "name", "lxp-b", "netns", blue);
    ip("-n", red, "address", "add", "198.51.100.7/24", "dev", "lxp-r");
    ip("-n", red, "link", "set", "lxp-r", "up");
    listener = await start("ip", "netns", "exec", red, process.execPath, "-e", LISTEN);
    apart = await start("unshare", "--uts", "--ipc", process.execPath, "-e", WAIT);
    browser = await launch();
    agent = await liveAgent();
    server = await serve(agent.answer);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    agent?.close();
    for (const child of [listener, apart]) child?.stdin.end();
    for (const name of [red, blue]) {
      try {
        ip("netns", "delete", name);
      } catch {
        // The test itself deleted it.
      }
    }
  });

  it("are found, with what keeps them, how they are wired, and when they went", async () => {
    const opened = await open(browser, server.url);
    const { page } = opened;
    await page.getByRole("treegrid").waitFor();

    await page.keyboard.press("/");
    await page.keyboard.type(red);
    await page.getByRole("option").filter({ hasText: `net:[${inode[red]}]` }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForFunction((id) => location.hash === `#/ns/${id}`, inode[red]);
    await page.getByText("What is inside?").click();
    await page.getByText("198.51.100.7/24").waitFor();

    await visit(page, `#/process/${listener.pid}`);
    await page.locator(`main a[href="#/ns/${inode[red]}"]`).first().waitFor();
    const uts = Number(/\d+/.exec(readlinkSync(`/proc/${apart.pid}/ns/uts`))[0]);
    await visit(page, `#/ns/${uts}`);
    await page.locator(`main a[href="#/process/${apart.pid}"]`).first().waitFor();
    assert.equal(await page.locator("main .tag.initial").count(), 0);

    await visit(page, `#/ns/${inode[blue]}`);
    await page.getByRole("region", { name: "Why is it still there?" }).getByText(`ip netns delete ${blue}`).first().waitFor();
    await visit(page, "#/orphans");
    await page.getByRole("region", { name: `net:[${inode[blue]}]` }).waitFor();
    assert.equal(await page.getByRole("region", { name: `net:[${inode[red]}]` }).count(), 0);

    await visit(page, `#/wiring?ns=${inode[blue]}`);
    const picture = page.locator(".picture");
    await picture.getByText(/lxp-b|lxp-r/).first().waitFor();
    await picture.getByText("198.51.100.7/24").waitFor();
    await picture.getByText(`:${PORT}`).waitFor();
    assert.equal(await picture.locator("rect").count(), 2);
    assert.equal(await picture.locator("path").count() > 0, true);
    await visit(page, "#/ports");
    await page.getByRole("row").filter({ hasText: String(PORT) }).filter({ hasText: String(listener.pid) }).first().waitFor();

    ip("netns", "delete", blue);
    await page.getByTitle("Look again").click();
    await page.locator(".changes summary").click();
    await page.locator(".changes li").filter({ hasText: `net:[${inode[blue]}]` }).filter({ hasText: /gone|not seen any more/ }).waitFor();
    await visit(page, `#/ns/${inode[blue]}`);
    await page.getByText(`There is no namespace ${inode[blue]}`).waitFor();
    await opened.finish();
  });
});
