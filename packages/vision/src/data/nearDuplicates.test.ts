import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Random } from '@onnx-lora/sdk/data';
import sharp from 'sharp';
import { afterAll, expect, test } from 'vitest';
import { nearDuplicateWarnings } from './nearDuplicates.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-near-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A picture of smooth waves. */
function waves(seed: number) {
  const random = new Random(seed);
  const [a, b, c] = [random.uniform(0.02, 0.2), random.uniform(0.02, 0.2), random.uniform(0, 6)];
  const data = Uint8Array.from({ length: 64 * 48 * 3 }, (_, i) => 128 + 100 * Math.sin(a * ((i / 3) % 64) + b * Math.floor(i / 192) + c)); // prettier-ignore
  return sharp(data, { raw: { width: 64, height: 48, channels: 3 } });
}
const record = (name: string) => ({ file: path.join(root, name), place: name });

test('a picture that was saved again, or made smaller, is told; others are not', async () => {
  for (const i of [0, 1, 2, 3])
    await waves(i)
      .png()
      .toFile(record(`${i}.png`).file);
  const train = [record('0.png'), record('1.png')];
  expect(await nearDuplicateWarnings(train, [record('2.png'), record('3.png')])).toEqual([]);
  await waves(1).resize(50, 40, { fit: 'fill' }).jpeg({ quality: 60 }).toFile(record('again.jpg').file);
  const [warning, ...rest] = await nearDuplicateWarnings(train, [record('2.png'), record('again.jpg')]);
  expect(rest).toEqual([]);
  expect(warning).toMatch(/again\.jpg" of the held-out images is nearly the same picture as ".*1\.png"/);
  // Unreadable files are told when they are loaded.
  expect(await nearDuplicateWarnings(train, [record('none.png')])).toEqual([]);
});
