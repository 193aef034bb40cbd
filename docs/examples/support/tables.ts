/** @file Pictures of a table with several small parts on it, and where they lie, as a COCO file. */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Random } from '@onnx-lora/sdk/data';
import sharp from 'sharp';
import { gray, partKinds } from './parts.ts';

const SIZE = 96;
/** Pictures of each part of the data. */
const counts = { train: 240, test: 80 } as const;

type Box = readonly [x: number, y: number, width: number, height: number];

/**
 * Writes `<folder>/<train or test>/images/<number>.jpg` and `annotations.json`.
 *
 * @returns a summary of the data, in words
 */
export async function makeTables(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  const random = new Random(2);
  const names = Object.keys(partKinds);
  const categories = names.map((name, i) => ({ id: i + 1, name }));
  let objects = 0;
  for (const [part, count] of Object.entries(counts)) {
    const images: object[] = [];
    const annotations: object[] = [];
    await mkdir(path.join(folder, part, 'images'), { recursive: true });
    for (let i = 0; i < count; i++) {
      const name = `${String(i).padStart(3, '0')}.jpg`;
      images.push({ id: i + 1, file_name: name, width: SIZE, height: SIZE });
      const { svg, boxes } = await picture(names, random);
      await sharp(Buffer.from(svg))
        .jpeg()
        .toFile(path.join(folder, part, 'images', name));
      for (const { kind, box } of boxes)
        annotations.push({ id: annotations.length + 1, image_id: i + 1, category_id: kind + 1, bbox: box, area: box[2] * box[3], iscrowd: 0 }); // prettier-ignore
    }
    objects += annotations.length;
    await writeFile(path.join(folder, part, 'annotations.json'), JSON.stringify({ images, annotations, categories }));
  }
  return `${counts.train} pictures to train on, ${counts.test} held out, ${objects} parts on them`;
}

/** One to four parts that hardly overlap, of other size, place, direction and light each time. */
async function picture(names: readonly string[], random: Random) {
  const between = (low: number, high: number): number => low + (high - low) * random.next();
  const table = between(30, 90);
  const wanted = 1 + random.index(4);
  const drawn: string[] = [];
  const boxes: { readonly kind: number; readonly box: Box }[] = [];
  for (let attempt = 0; attempt < 40 && boxes.length < wanted; attempt++) {
    const kind = random.index(names.length);
    const place = `translate(${between(16, 80)} ${between(16, 80)}) rotate(${between(0, 360)}) scale(${between(0.24, 0.42)}) translate(-50 -50)`;
    const shape = `<path d="${partKinds[names[kind]!]!.outline}" fill="${gray(between(150, 230))}" fill-rule="evenodd" transform="${place}"/>`;
    const box = await boxOf(shape);
    if (!box || boxes.some((other) => doTouch(other.box, box))) continue;
    drawn.push(shape);
    boxes.push({ kind, box });
  }
  const svg = svgOf(
    `<linearGradient id="light" x2="${random.next()}" y2="1"><stop stop-color="${gray(table - 30)}"/><stop offset="1" stop-color="${gray(table + 30)}"/></linearGradient>
    <rect width="${SIZE}" height="${SIZE}" fill="url(#light)"/>${drawn.join('')}`,
  );
  return { svg, boxes };
}

function svgOf(content: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE}" height="${SIZE}">${content}</svg>`;
}

/** The box around a shape's pixels; undefined where it leaves the picture. */
async function boxOf(shape: string): Promise<Box | undefined> {
  const data = await sharp(Buffer.from(svgOf(shape))).ensureAlpha().extractChannel('alpha').raw().toBuffer(); // prettier-ignore
  let [left, top, right, bottom] = [SIZE, SIZE, 0, 0];
  data.forEach((alpha, i) => {
    if (alpha < 128) return;
    const [x, y] = [i % SIZE, Math.floor(i / SIZE)];
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)]; // prettier-ignore
  });
  if (left <= 0 || top <= 0 || right >= SIZE || bottom >= SIZE) return undefined;
  return [left, top, right - left, bottom - top];
}

function doTouch([ax, ay, aw, ah]: Box, [bx, by, bw, bh]: Box): boolean {
  return ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah;
}
