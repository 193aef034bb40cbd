/** @file Photos decoded and preprocessed, here and by transformers with Pillow, one thread each, in CPU time. */

import { Random } from '@onnx-lora/sdk/data';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { imageCases, type ImageFigures, photoSizes, PIXELS_PER_TURN } from './imageTimes.ts';
import { lastJson, runChild } from './spawn.ts';

/** How often each side has its turn; the shortest time counts, for whatever else runs on the machine only adds to it. */
const TURNS = 3;

/**
 * Measures both sides in turn, each turn in a process of its own, and prints a line per photo and processor.
 *
 * @param script that does the same in Python
 */
export async function compareImages(
  program: string,
  python: string,
  script: string,
  print: (line: string) => void,
): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-images-'));
  try {
    for (const [width, height] of photoSizes)
      await makePhoto(path.join(folder, `${width}x${height}.jpg`), width, height);
    const ours: ImageFigures[] = [];
    const theirs: ImageFigures[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      ours.push((await runChild(program, { images: folder })) as ImageFigures);
      const args = [script, folder, String(PIXELS_PER_TURN), ...imageCases().map(({ name }) => name)];
      theirs.push((await lastJson(python, args)) as ImageFigures);
    }
    print(row(['photo', 'processor', 'ms', 'images/s', 'Pillow ms', 'images/s', '× Pillow']));
    for (const { name } of imageCases()) {
      const [a, b] = [ours, theirs].map((side) => Math.min(...side.map((each) => each.imageMs[name] ?? NaN))) as [
        number,
        number,
      ];
      const [photo = '', processor = ''] = name.replace('.jpg', '').split(' ');
      const perSecond = (ms: number): string => (1000 / ms).toFixed(0);
      print(row([photo, processor, a.toFixed(2), perSecond(a), b.toFixed(2), perSecond(b), (b / a).toFixed(2)]));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Soft colours and the noise of a sensor, which make a JPEG of the size that photos have. */
async function makePhoto(file: string, width: number, height: number): Promise<void> {
  const random = new Random(width);
  const [columns, rows] = [Math.ceil(width / 40), Math.ceil(height / 40)];
  const colours = Uint8Array.from({ length: columns * rows * 3 }, () => random.next() * 256);
  const soft = await sharp(colours, { raw: { width: columns, height: rows, channels: 3 } })
    .resize(width, height, { kernel: 'cubic', fit: 'fill' })
    .raw()
    .toBuffer();
  for (let i = 0; i < soft.length; i++) {
    const noise = (random.next() + random.next() + random.next() - 1.5) * 12;
    soft[i] = Math.min(255, Math.max(0, soft[i]! + noise));
  }
  await sharp(soft, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 87 })
    .toFile(file);
}

const widths = [10, 10, 9, 9, 10, 9, 9];

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' ');
}
