// Answers as the agent does: from a dump, by the lxkns that was built, and of links and ports by what was made with it.

import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BUILT = new URL("../../target/debug/lxkns", import.meta.url).pathname;

/** The program that answers: $LXKNS, or what was built here; none where there is none. */
export const LXKNS = process.env["LXKNS"] ?? (existsSync(BUILT) ? BUILT : undefined);

const QUESTIONS = new Set(["why", "show", "caps", "who-can", "audit", "orphans", "containers"]);

export async function agentOf(host) {
  const directory = await mkdtemp(join(tmpdir(), "lxkns-page-"));
  const file = join(directory, "dump.json");
  let text;
  let etag;
  const events = new Set();
  const agent = {
    seen: { unchanged: 0, full: 0, events: 0 },
    /** Has the host be another one from now on. */
    async set(dump) {
      text = JSON.stringify(dump);
      etag = `"${createHash("sha256").update(text).digest("hex").slice(0, 16)}"`;
      await writeFile(file, text);
    },
    /** Sends an event to everybody who listens. */
    tell(kind = "changed") {
      for (const response of events) response.write(`id: 1\nevent: ${kind}\ndata: {}\n\n`);
    },
    async answer(path, query, request, response) {
      const json = (body, status = 200) => response.writeHead(status, { "content-type": status === 200 ? "application/json" : "application/problem+json", etag }).end(body);
      if (path === "snapshot") {
        if (request.headers["if-none-match"] === etag) {
          agent.seen.unchanged++;
          response.writeHead(304, { etag }).end();
        } else {
          agent.seen.full++;
          json(text);
        }
        return true;
      }
      if (path === "events") {
        agent.seen.events++;
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(": hello\n\n");
        events.add(response);
        request.on("close", () => events.delete(response));
        return true;
      }
      if (path === "links" || path === "ports") {
        json(JSON.stringify(host[path]));
        return true;
      }
      if (!QUESTIONS.has(path) || !LXKNS) return false;
      const targets = [...query.getAll("capability"), ...query.getAll("target")];
      const { code, stdout, stderr } = await run([path, "--json", "--from", file, ...targets]);
      if (code === 0) json(stdout);
      else json(JSON.stringify({ title: "Not answered", detail: stderr.split("\n")[0], status: 404 }), 404);
      return true;
    },
    close: () => rm(directory, { recursive: true }),
  };
  await agent.set(host.dump);
  return agent;
}

/** The agent's own program, where $LXKNSD names it. */
const LXKNSD = process.env["LXKNSD"];

/** Answers about this very host: by the agent itself, or by the lxkns that was built. */
export async function liveAgent() {
  if (LXKNSD) return forwarding();
  const close = () => {};
  const answer = async (path, query, request, response) => {
    const command = path === "snapshot" ? ["dump"] : [path, "--json", ...query.getAll("capability"), ...query.getAll("target")];
    if (path !== "snapshot" && path !== "links" && path !== "ports" && !QUESTIONS.has(path)) return false;
    const { code, stdout, stderr } = await run(command);
    const etag = `"${createHash("sha256").update(stdout).digest("hex").slice(0, 16)}"`;
    if (code !== 0) response.writeHead(404, { "content-type": "application/problem+json" }).end(JSON.stringify({ title: "Not answered", detail: stderr.split("\n")[0], status: 404 }));
    else if (request.headers["if-none-match"] === etag) response.writeHead(304, { etag }).end();
    else response.writeHead(200, { "content-type": "application/json", etag }).end(stdout);
    return true;
  };
  return { answer, close };
}

/** Starts the agent, and passes requests on to it. */
async function forwarding() {
  const port = 20_000 + ((process.pid + 7) % 20_000);
  const child = spawn(LXKNSD, ["--listen", `127.0.0.1:${port}`, "--expose-command-lines"], { stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  while (child.exitCode === null && !(await fetch(`${url}/healthz`).then((response) => response.ok, () => false))) await new Promise((done) => setTimeout(done, 50));
  const answer = async (path, query, request, response) => {
    // It has no events yet: the browser would note that.
    if (path === "events") return false;
    const headers = Object.fromEntries(["if-none-match", "cache-control", "accept"].flatMap((name) => (request.headers[name] ? [[name, request.headers[name]]] : [])));
    const got = await fetch(`${url}/api/v1/${path}?${query}`, { headers });
    const kept = Object.fromEntries(["content-type", "etag", "age"].flatMap((name) => (got.headers.has(name) ? [[name, got.headers.get(name)]] : [])));
    response.writeHead(got.status, kept).end(Buffer.from(await got.arrayBuffer()));
    return true;
  };
  return { answer, close: () => child.kill() };
}

const run = (args) =>
  new Promise((done) => {
    execFile(LXKNS, args, { maxBuffer: 1 << 26, timeout: 60_000 }, (error, stdout, stderr) => done({ code: error ? (error.code ?? 1) : 0, stdout, stderr }));
  });
