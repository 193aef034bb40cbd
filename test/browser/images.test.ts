/** @file Images on a page: the browser decodes them as sharp does, and they are learned as in Node. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAdapter } from '@onnx-lora/sdk';
import { readDigits, writeDigits } from '../../docs/examples/support/digits.ts';
import { bytesOf, fixture } from '../../packages/vision/fixtures/goldens.ts';
import { type ImagesLearned, learnImages } from './learnImages.ts';
import { executablePath, PageServer, worked } from './pageServer.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-images-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const modelFolder = path.join(import.meta.dirname, '../../docs/examples/models/vit-mnist');

interface Golden {
  readonly name: string;
  readonly size: readonly [number, number];
  readonly bytes: string;
  readonly pixels: string;
}

describe.skipIf(executablePath === undefined)('images on a page', () => {
  let server: PageServer;
  beforeAll(async () => {
    server = await PageServer.open({ model: modelFolder });
  }, 300_000);
  afterAll(() => server?.close());

  test('are decoded as by Pillow', async () => {
    const { files } = fixture<{ files: Golden[] }>('decode.json');
    const paths = files.map(({ name, bytes }) => {
      const file = path.join(scratch, name);
      writeFileSync(file, bytesOf(bytes));
      return file;
    });
    const page = await server.tab(paths);
    const answers = await worked<Record<string, { width: number; height: number; data: number[] } | string>>(page, { kind: 'decode', threads: 1 }); // prettier-ignore
    for (const { name, size, pixels } of files) {
      const there = answers[name]!;
      if (name.endsWith('.tif')) expect(there).toMatch(/Browsers read no TIFF/);
      else expect(there, name).toEqual({ width: size[0], height: size[1], data: [...bytesOf(pixels)] });
    }
    await page.close();
  }, 120_000);

  test('of a picked folder are learned as in Node', async () => {
    const digits = await readDigits();
    const images = path.join(scratch, 'turned');
    await writeDigits(path.join(images, 'train'), digits.slice(0, 640), 'turned');
    await writeDigits(path.join(images, 'test'), digits.slice(8000, 8200), 'turned');
    const asked = `test/${digits[8000]!.label}/00000.png`;
    const page = await server.tab(images);
    const order = { steps: 15, asked };
    const there = await worked<ImagesLearned & { files: Record<string, number[]> }>(page, { kind: 'images', threads: 1, ...order }); // prettier-ignore
    const here = await learnImages(modelFolder, images, path.join(scratch, 'node'), order);
    expect(there.losses).toHaveLength(15);
    there.losses.forEach((loss, i) => expect(loss).toBeCloseTo(here.losses[i]!, 3));
    expect(Math.abs(there.accuracy - here.accuracy)).toBeLessThanOrEqual(0.003);
    expect(there.label).toBe(here.label);
    const folder = path.join(scratch, 'home');
    await mkdir(folder);
    for (const [name, bytes] of Object.entries(there.files)) writeFileSync(path.join(folder, name), Uint8Array.from(bytes)); // prettier-ignore
    expect((await loadAdapter(folder)).parameterCount).toBe((await loadAdapter(path.join(scratch, 'node'))).parameterCount); // prettier-ignore
    console.log(`${there.seconds.toFixed(2)} s there, ${here.seconds.toFixed(2)} s here; accuracy ${there.accuracy}`);
    await page.close();
  }, 240_000);
});
