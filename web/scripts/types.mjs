// Writes the types of dumps and of answers from their JSON Schemas. `--check` compares instead.
import { readFile, writeFile } from "node:fs/promises";
import { compile } from "json-schema-to-typescript";

/** The answers that the page shows. */
const QUESTIONS = ["audit", "caps", "containers", "diff", "links", "orphans", "ports", "show", "who-can", "why"];

const read = async (name) => JSON.parse(await readFile(new URL(`../../docs/${name}`, import.meta.url), "utf8"));

async function types(source, name, schema) {
  return compile(schema, name, { bannerComment: `/* Generated from docs/${source} by \`npm run types\`. */`, additionalProperties: false, unknownAny: true, unreachableDefinitions: false });
}

/** Answers without their descriptions, which would be most of the file, and with tuples as older schemas have them. */
async function answers() {
  const { $defs, properties } = await read("answers.json");
  const bare = (value) => {
    if (Array.isArray(value)) return value.map(bare);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).flatMap(([key, one]) => (key === "description" && typeof one === "string" ? [] : [[key === "prefixItems" ? "items" : key, bare(one)]])));
  };
  const asked = Object.fromEntries(QUESTIONS.map((question) => [question, { ...bare(properties[question]), title: `${question} envelope` }]));
  return types("answers.json", "Answers", { title: "Answers", type: "object", $defs: bare($defs), properties: asked, required: QUESTIONS });
}

const all = [
  ["dump-types.ts", await types("schema.json", "Dump", await read("schema.json"))],
  ["answer-types.ts", await answers()],
];
for (const [name, text] of all) {
  const target = new URL(`../src/data/${name}`, import.meta.url);
  if (!process.argv.includes("--check")) {
    await writeFile(target, text);
  } else if ((await readFile(target, "utf8").catch(() => "")) !== text) {
    console.error(`src/data/${name} is stale; run \`npm run types\``);
    process.exitCode = 1;
  }
}
