/** @file Pictures of small parts as a camera takes them: bolts, brackets and washers, turned and lit as they happen to lie. */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { Random } from '@onnx-lora/sdk/data';
import sharp from 'sharp';

const SIZE = 96;

/** How many pictures there are of each kind, and its outline in a square of 100 by 100; what lies inside is a hole. */
export const partKinds: Readonly<Record<string, { readonly count: number; readonly outline: string }>> = {
  bolt: { count: 160, outline: 'M30 10 H70 V28 H58 V90 H42 V28 H30 Z' },
  bracket: { count: 120, outline: 'M24 14 H46 V62 H82 V84 H24 Z' },
  washer: { count: 120, outline: `${circle(36)} ${circle(16)}` },
};

/**
 * Writes `<folder>/<kind>/<number>.jpg`.
 *
 * @returns a summary of the data, in words
 */
export async function makeParts(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  const random = new Random(1);
  for (const [kind, { count, outline }] of Object.entries(partKinds)) {
    await mkdir(path.join(folder, kind), { recursive: true });
    for (let i = 0; i < count; i++) {
      const file = path.join(folder, kind, `${String(i).padStart(3, '0')}.jpg`);
      await sharp(Buffer.from(picture(outline, random)))
        .jpeg()
        .toFile(file);
    }
  }
  return `${Object.entries(partKinds)
    .map(([kind, { count }]) => `${count} of a ${kind}`)
    .join(', ')}`;
}

/** An SVG of one part on a table, of other size, place, direction and light each time. */
function picture(outline: string, random: Random): string {
  const between = (low: number, high: number): number => low + (high - low) * random.next();
  const table = between(30, 90);
  const metal = between(150, 230);
  const place = `translate(${between(38, 62)} ${between(38, 62)}) rotate(${between(0, 360)}) scale(${between(0.6, 0.9)}) translate(-50 -50)`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE}" height="${SIZE}" viewBox="0 0 100 100">
    <linearGradient id="light" x2="${random.next()}" y2="1"><stop stop-color="${gray(table - 30)}"/><stop offset="1" stop-color="${gray(table + 30)}"/></linearGradient>
    <rect width="100" height="100" fill="url(#light)"/>
    <path d="${outline}" fill="${gray(metal)}" fill-rule="evenodd" transform="${place}"/>
  </svg>`;
}

function circle(radius: number): string {
  return `M${50 - radius} 50 a${radius} ${radius} 0 1 0 ${2 * radius} 0 a${radius} ${radius} 0 1 0 ${-2 * radius} 0 Z`;
}

/** A level from 0 to 255 as a colour. */
export function gray(level: number): string {
  const value = Math.round(level);
  return `rgb(${value},${value},${value})`;
}
