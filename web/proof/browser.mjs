// Debian's Chromium, and pages in it that note everything that must not happen.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { chromium } from "playwright-core";
import { DIST, POLICY, TYPES } from "./server.mjs";

const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export const launch = () => chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ARGS });

/** A page; `finish` fails if it logged an error, broke its policy, or asked anybody but its server. */
export async function open(browser, origin, { width = 1280, height = 800, theme = "light", path = "", settings = undefined, ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, acceptDownloads: true, ...more });
  // Other things may be at work on this machine.
  context.setDefaultTimeout(Number(process.env["PATIENCE"] ?? 30_000));
  const page = await context.newPage();
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
  if (settings) await page.addInitScript((json) => localStorage.setItem("lxkns.settings", json), JSON.stringify(settings));
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

export async function visit(page, hash) {
  await page.evaluate((to) => {
    location.hash = to;
  }, hash);
  await page.waitForFunction((to) => location.hash === to, hash);
}

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
