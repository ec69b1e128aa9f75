// Answers as the agent does about a host that does not exist: by the lxkns that was built, and of links and ports by what was
// made with it.

import { execFile } from "node:child_process";
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
  let told = 0;
  const agent = {
    seen: { unchanged: 0, full: 0, events: 0 },
    /** From which events on it was asked to go on. */
    since: [],
    /** Whether it refuses to tell events, as one that is being started. */
    refuses: false,
    /** Ends the connections of those who listen. */
    drop() {
      for (const response of events) response.destroy();
    },
    /** Has the host be another one from now on. */
    async set(dump) {
      text = JSON.stringify(dump);
      etag = `"${createHash("sha256").update(text).digest("hex").slice(0, 16)}"`;
      await writeFile(file, text);
    },
    /** Sends an event to everybody who listens. */
    tell(kind = "state", data = { state: etag }) {
      told++;
      for (const response of events) response.write(`id: x-${told}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
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
        agent.since.push(request.headers["last-event-id"] ?? query.get("since"));
        if (agent.refuses) {
          response.writeHead(503).end();
          return true;
        }
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

const run = (args) =>
  new Promise((done) => {
    execFile(LXKNS, args, { maxBuffer: 1 << 26, timeout: 600_000 }, (error, stdout, stderr) => done({ code: error ? (error.code ?? 1) : 0, stdout, stderr }));
  });
