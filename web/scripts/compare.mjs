// Builds the page anew and compares: what is committed in lxkns-serve/page must be what its sources give, and small and safe.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { build } from "vite";

const MOST_BYTES = 200 * 1024;

const root = fileURLToPath(new URL("..", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "lxkns-dist-"));
const problems = [];
try {
  await build({ root, logLevel: "warn", build: { outDir: fresh } });
  const filesOf = (directory) => new Map(readdirSync(directory, { recursive: true, withFileTypes: true }).filter((one) => one.isFile()).map((one) => {
    const path = join(one.parentPath ?? one.path, one.name);
    return [path.slice(directory.length + 1), readFileSync(path)];
  }));
  const [kept, made] = [filesOf(join(root, "../lxkns-serve/page")), filesOf(fresh)];
  for (const name of new Set([...kept.keys(), ...made.keys()])) {
    if (!kept.has(name)) problems.push(`page/${name} is missing`);
    else if (!made.has(name)) problems.push(`page/${name} is not built any more`);
    else if (!kept.get(name).equals(made.get(name))) problems.push(`page/${name} is stale`);
  }
  const bytes = [...made.values()].reduce((sum, body) => sum + brotliCompressSync(body).length, 0);
  if (bytes > MOST_BYTES) problems.push(`${bytes} bytes compressed, ${MOST_BYTES} at most`);
  const html = made.get("index.html").toString();
  if (/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/.test(html)) problems.push("index.html has an inline script or style");
  if (/(?:src|href)="(?!\.\/)/.test(html)) problems.push("index.html has an address that is not relative");
  for (const name of made.keys()) {
    if (name.startsWith("assets/") && !/-[\w-]{8}\.\w+$/.test(name)) problems.push(`${name} has no hash in its name`);
  }
  console.log(`${made.size} files, ${bytes} bytes compressed`);
} finally {
  rmSync(fresh, { recursive: true });
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) {
  console.error("run `npm run build` in web/");
  process.exit(1);
}
