import { existsSync, readFileSync } from "node:fs";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Writes the licences of what is bundled beside it. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle(_options, bundle) {
      const packages = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const id of Object.keys(chunk.modules)) {
          const found = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id);
          if (found?.[1]) packages.add(found[1]);
        }
      }
      const texts = [...packages].sort().map((directory) => {
        const { name, version, license } = JSON.parse(readFileSync(`${directory}/package.json`, "utf8")) as Record<string, string>;
        if (!["MIT", "ISC", "BSD-3-Clause", "Apache-2.0", "0BSD"].includes(license ?? "")) this.error(`${name}: licence ${license} is not allowed`);
        const file = ["LICENSE", "LICENSE.md", "license", "LICENCE"].map((one) => `${directory}/${one}`).find(existsSync);
        if (!file) this.error(`${name}: no text of its licence`);
        return `${name} ${version} (${license})\n\n${readFileSync(file, "utf8").trim()}\n`;
      });
      this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join("\n----\n\n") });
    },
  };
}

// Relative addresses, so that the page works below any path; nothing inline, so that its policy needs no exception.
export default defineConfig({
  base: "./",
  plugins: [licences()],
  build: {
    target: "es2022",
    outDir: "../lxkns-serve/page",
    assetsInlineLimit: 0,
    modulePreload: false,
    cssCodeSplit: false,
    emptyOutDir: true,
    reportCompressedSize: false,
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: { include: ["test/**/*.test.ts"] },
});
