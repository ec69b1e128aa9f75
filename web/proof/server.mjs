// Serves what is built, with the policy that the agent sends, below any path. `agent` answers below /api/v1.

import { createServer } from "node:http";
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
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  return { url: `http://127.0.0.1:${port}/`, requests, close: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }) };
}
