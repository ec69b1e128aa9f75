// Serves what is built, with the policy that the agent sends, below any path. `agent` answers below /api/v1.

import { createServer, request as ask } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, normalize } from "node:path";

export const DIST = new URL("../../lxkns-serve/page/", import.meta.url);
export const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json", ".txt": "text/plain" };
export const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'";

/** Starts a server on a free port; `agent(path, query, request, response)` returns whether it answered. */
export async function serve(agent) {
  const requests = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://x");
    requests.push(url.pathname);
    response.setHeader("content-security-policy", POLICY);
    const at = url.pathname.indexOf("/api/v1/");
    void (async () => {
      if (at >= 0) {
        if (agent && (await agent(url.pathname.slice(at + "/api/v1/".length), url.searchParams, request, response))) return;
        // Without an agent: no content, so that a browser notes no error.
        response.writeHead(204).end();
        return;
      }
      const path = /(?:assets\/)?[^/]*$/.exec(normalize(url.pathname))[0] || "index.html";
      try {
        const body = await readFile(new URL(path, DIST));
        response.writeHead(200, {
          "content-type": TYPES[extname(path)] ?? "application/octet-stream",
          "cache-control": path.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache",
        }).end(body);
      } catch {
        response.writeHead(404).end();
      }
    })();
  });
  // Not the address of the agents: one that starts again finds its port free.
  await new Promise((done) => server.listen(0, "127.0.0.2", done));
  const { port } = server.address();
  return { url: `http://127.0.0.2:${port}/`, requests, close: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }) };
}

/** Starts a reverse proxy for a server, below a path: it cuts the path off, and says what it was as proxies do. */
export async function proxy(to, prefix) {
  const { hostname, port } = new URL(to);
  const server = createServer((request, response) => {
    if (!request.url.startsWith(`${prefix}/`)) return void response.writeHead(404).end();
    const headers = { ...request.headers, "x-forwarded-prefix": prefix, "x-forwarded-uri": request.url, "x-forwarded-host": request.headers.host };
    const passed = ask({ host: hostname, port, method: request.method, path: request.url.slice(prefix.length), headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    response.on("close", () => passed.destroy());
    request.pipe(passed);
  });
  await new Promise((done) => server.listen(0, "127.0.0.2", done));
  return { url: `http://127.0.0.2:${server.address().port}${prefix}/`, close: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }) };
}
