// Debian's Chromium, and pages in it that note everything that must not happen.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { chromium } from "playwright-core";
import { DIST, POLICY, TYPES } from "./server.mjs";

const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** How long anything may take, in milliseconds: a machine may be busy, and no test is about time. */
const PATIENCE = Number(process.env["PATIENCE"] ?? 300_000);

/** After so long without an answer, another browser is started beside the one that does not answer, in milliseconds. */
const UNANSWERED = 60_000;
const MOST_BROWSERS = 4;
const MOST_ROUNDS = 10;

/** Starts browsers: `page(options)` is a new page in a context of its own, `close` ends them. */
export async function launch() {
  const start = () => chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ARGS, timeout: PATIENCE });
  const started = [await start()];
  const begin = async (options) => {
    const context = await started.at(-1).newContext(options);
    context.setDefaultTimeout(PATIENCE);
    return { context, page: await context.newPage() };
  };
  return {
    // On a busy machine Chromium can fail to begin a page without an error: its process stands still. Playwright has no timeout
    // for that. Whichever page comes first is taken, and pages of the other browsers stay.
    async page(options) {
      const begun = [];
      const another = () => {
        begun.push(begin(options));
        begun.at(-1).catch(() => {});
      };
      another();
      for (let round = 1; round <= MOST_ROUNDS; round++) {
        let timer;
        const passed = new Promise((done) => { timer = setTimeout(done, UNANSWERED); });
        const first = await Promise.race([...begun, passed]);
        clearTimeout(timer);
        if (first) return first;
        console.error(`no page after ${(round * UNANSWERED) / 1000} s`);
        if (started.length >= MOST_BROWSERS) continue;
        started.push(await start());
        another();
      }
      throw new Error("no browser begins a page");
    },
    async close() {
      await Promise.race([Promise.all(started.map((one) => one.close())), new Promise((done) => setTimeout(done, UNANSWERED).unref())]);
    },
  };
}

/** What is marked stays so for as long as a test takes. */
const SETTINGS = { marks: 86_400 };
/** The page asks by itself only because of an event. */
export const NOT_BY_ITSELF = { interval: 0 };

/** A page; `finish` fails if it logged an error, broke its policy, or asked anybody but its server. */
export async function open(browser, origin, { width = 1280, height = 800, theme = "light", path = "", settings = {}, ...more } = {}) {
  const { context, page } = await browser.page({ viewport: { width, height }, colorScheme: theme, acceptDownloads: true, ...more });
  const wrong = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`exception: ${error.message}`));
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith("blob:")) wrong.push(`foreign request: ${url}`);
  });
  await page.addInitScript((json) => localStorage.setItem("lxkns.settings", json), JSON.stringify({ ...SETTINGS, ...settings }));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  if (process.env["PAGE"]) await fromTree(page, origin);
  await page.goto(origin + path);
  return {
    page,
    context,
    wrong,
    async finish() {
      await context.close();
      assert.deepEqual(wrong, []);
    },
  };
}

/** Takes the files of the page from the tree, not from a program that was built with older ones. */
async function fromTree(page, origin) {
  await page.route((url) => url.href.startsWith(origin) && /\/(?:assets\/[^/]*)?$/.test(url.pathname), async (route) => {
    const name = /(?:assets\/)?[^/]*$/.exec(new URL(route.request().url()).pathname)[0] || "index.html";
    await route.fulfill({ path: new URL(name, DIST).pathname, headers: { "content-security-policy": POLICY, "content-type": TYPES[extname(name)] } });
  });
}

export const file = (name, value) => ({ name, mimeType: "application/json", buffer: Buffer.from(JSON.stringify(value)) });

/** Opens files as somebody who picks them. */
export async function pick(page, ...files) {
  for (const one of files) await page.locator("input[type=file]").first().setInputFiles(one);
}

/** Goes to an address, and waits until its view is drawn and has asked for what it needs. */
export async function visit(page, hash) {
  await page.evaluate(async (to) => {
    const before = location.href;
    const heard = new Promise((done) => addEventListener("hashchange", done, { once: true }));
    location.hash = to;
    if (location.href === before) return;
    await heard;
    for (let frame = 0; frame < 2; frame++) await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  }, hash);
}

/** Waits until there are exactly so many. */
export async function count(locator, expected) {
  if (expected > 0) await locator.nth(expected - 1).waitFor({ state: "attached" });
  await locator.nth(expected).waitFor({ state: "detached" });
}

/** Waits until a grid has a number of rows that a condition holds for: `{ least, most }`, its heading included. */
export const rows = (page, { least = 0, most = Number.MAX_SAFE_INTEGER }) =>
  page.waitForFunction(([least, most]) => {
    const count = Number(document.querySelector("[role=treegrid]")?.getAttribute("aria-rowcount") ?? -1);
    return count >= least && count <= most;
  }, [least, most]);

const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/** What axe finds wrong on a page. */
export async function axe(page) {
  // Evaluated, not added as a script: the page's policy permits no other script.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  });
}
