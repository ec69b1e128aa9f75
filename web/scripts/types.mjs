// Writes src/data/dump-types.ts from the JSON Schema of dumps. `--check` compares instead.
import { readFile, writeFile } from "node:fs/promises";
import { compile } from "json-schema-to-typescript";

const schema = JSON.parse(await readFile(new URL("../../docs/schema.json", import.meta.url), "utf8"));
const banner = "/* Generated from docs/schema.json by `npm run types`. */";
const options = { bannerComment: banner, additionalProperties: false, unknownAny: true };
const text = await compile(schema, "Dump", options);
const target = new URL("../src/data/dump-types.ts", import.meta.url);
if (process.argv.includes("--check")) {
  if ((await readFile(target, "utf8")) !== text) {
    console.error("src/data/dump-types.ts is stale; run `npm run types`");
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
