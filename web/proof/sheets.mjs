// Makes docs/pictures of the screenshots in a directory: a sheet for each theme and width, and what README shows.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launch } from "./browser.mjs";

const [shots] = process.argv.slice(2);
const target = new URL("../../docs/pictures/", import.meta.url);
/** How many screens are side by side, and how large each is. */
const LOOKS = { 360: [8, 0.75], 1280: [4, 0.5] };
const QUALITY = 0.4;

const browser = await launch();
const { page } = await browser.page();

/** Draws pictures in rows, and returns them as one in WebP. */
async function sheet(names, across, scale, quality) {
  const files = await Promise.all(names.map(async (name) => [name.replace(/^\w+-\d+-|\.png$/g, ""), (await readFile(join(shots, name))).toString("base64")]));
  const made = await page.evaluate(async ([files, across, scale, quality]) => {
    const images = await Promise.all(files.map(async ([, data]) => {
      const image = new Image();
      image.src = `data:image/png;base64,${data}`;
      await image.decode();
      return image;
    }));
    const [w, h] = [images[0].width * scale, images[0].height * scale];
    const [gap, title] = across > 1 ? [12, 20] : [0, 0];
    const canvas = new OffscreenCanvas(across * (w + gap) + gap, Math.ceil(images.length / across) * (h + gap + title) + gap);
    const context = canvas.getContext("2d");
    context.fillStyle = "#808890";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.font = "14px sans-serif";
    images.forEach((image, n) => {
      const [x, y] = [gap + (n % across) * (w + gap), gap + Math.floor(n / across) * (h + gap + title)];
      context.fillStyle = "#ffffff";
      if (title) context.fillText(files[n][0], x, y + 14);
      context.drawImage(image, x, y + title, w, h);
    });
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/webp", quality })).arrayBuffer());
    return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
  }, [files, across, scale, quality]);
  return Buffer.from(made, "base64");
}

await mkdir(target, { recursive: true });
const all = (await readdir(shots)).filter((name) => /^(light|dark)-\d+-.*\.png$/.test(name)).sort();
for (const look of new Set(all.map((name) => /^\w+-\d+/.exec(name)[0]))) {
  const [across, scale] = LOOKS[look.split("-")[1]];
  const bytes = await sheet(all.filter((name) => name.startsWith(`${look}-`)), across, scale, QUALITY);
  await writeFile(new URL(`${look}.webp`, target), bytes);
  console.log(`${look}.webp: ${bytes.length} bytes`);
}
await writeFile(new URL("page.webp", target), await sheet(["light-1280-ns-one.png"], 1, 1, 0.7));
await browser.close();
