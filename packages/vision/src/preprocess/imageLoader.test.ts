/** @file Tests of images that are loaded in other threads, with their annotations. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ThreadPool } from '@onnx-lora/sdk/data';
import sharp from 'sharp';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sources } from '../../../../test/support/sources.ts';
import type { Augmentation } from '../augment/augment.ts';
import type { ImageRecord } from '../data/imageRecord.ts';
import type { Image, ImageDecoder } from '../image/image.ts';
import { ImageFileDecoder } from '../image/imageFileDecoder.ts';
import { imageLoader } from './imageLoader.ts';
import type { ImageRequest, LoadedPixels, ThreadRequest } from './imageThread.ts';
import { ImagePreprocessorFactory } from './config/preprocessorFile.ts';

let folder = '';
let pool: ThreadPool<ThreadRequest, LoadedPixels>;
beforeAll(async () => {
  // Among the build's output, where it finds its libraries and git finds nothing.
  const dist = path.join(import.meta.dirname, '../../dist');
  mkdirSync(dist, { recursive: true });
  folder = mkdtempSync(path.join(dist, 'thread-test-'));
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: sources },
    build: { ssr: path.join(import.meta.dirname, 'imageThread.ts'), outDir: folder, target: 'node20' },
  });
  pool = new ThreadPool({ module: pathToFileURL(path.join(folder, 'imageThread.js')), name: 'load', threads: 2 });
});
afterAll(async () => {
  await pool.release();
  rmSync(folder, { recursive: true, force: true });
});

/** A decoder that no thread knows, and that counts what it decodes. */
class CountingDecoder implements ImageDecoder {
  count = 0;
  readonly #inner = new ImageFileDecoder();
  decode(source: string | Uint8Array): Promise<Image> {
    this.count++;
    return this.#inner.decode(source);
  }
}

const preprocessorWith = (decoder: ImageDecoder, config: Record<string, unknown> = {}) =>
  new ImagePreprocessorFactory(decoder).create(
    { image_processor_type: 'ViTImageProcessor', size: { height: 28, width: 28 }, ...config },
    'preprocessor_config.json',
  );

async function noise(name: string, width: number, height: number): Promise<string> {
  const file = path.join(folder, name);
  const gaussian = { type: 'gaussian', mean: 128, sigma: 40 } as const;
  await sharp({ create: { width, height, channels: 3, background: 'red', noise: gaussian } })
    .png()
    .toFile(file);
  return file;
}

/** A gray PNG of class numbers: 1 in the left half, 0 in the right one, 7 in the last column. */
async function classes(name: string, width: number, height: number): Promise<string> {
  const file = path.join(folder, name);
  const data = Uint8Array.from({ length: width * height }, (_, i) => {
    const x = i % width;
    return x === width - 1 ? 7 : x < width / 2 ? 1 : 0;
  });
  await sharp(data, { raw: { width, height, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toFile(file);
  return file;
}

const flip: Augmentation = { type: 'horizontal-flip', probability: 1 };

describe('imageLoader', () => {
  it('gives in threads what the preprocessor gives here', async () => {
    const preprocessor = preprocessorWith(new ImageFileDecoder());
    const loader = imageLoader(preprocessor, { pool });
    const files = await Promise.all([40, 300, 1000].map((width) => noise(`${width}.png`, width, 200)));
    const here = await Promise.all(files.map((file) => preprocessor.preprocess(file)));
    expect(await Promise.all(files.map((file) => loader.preprocess(file)))).toEqual(here);
    // From memory the second time.
    expect(await Promise.all(files.map((file) => loader.preprocess(file)))).toEqual(here);
  });

  it.each(['threads', 'here'])('moves masks, boxes and points along (%s)', async (where) => {
    const file = await noise(`moved-${where}.png`, 56, 14);
    const record: ImageRecord = { file, place: file, mask: await classes(`mask-${where}.png`, 56, 14) };
    const preprocessor = preprocessorWith(where === 'threads' ? new ImageFileDecoder() : new CountingDecoder());
    const loader = imageLoader(preprocessor, where === 'threads' ? { pool } : {});
    const request: ImageRequest = {
      image: file,
      masks: [{ kind: 'classes', record, numbers: { numbers: new Map(), background: 0 } }],
      boxes: [[0, 0, 14, 7]],
      points: [[0.5, 0.5]],
      augmentations: [flip],
    };
    const loaded = await loader.load(request);
    // Flipped, then half as wide and twice as high.
    expect(loaded.boxes).toEqual([[21, 0, 28, 14]]);
    expect(loaded.points).toEqual([[27.75, 1]]);
    const [mask] = loaded.masks!;
    expect([mask!.width, mask!.height]).toEqual([28, 28]);
    // Pillow's NEAREST takes the pixel under 2 x + 1: the odd ones, so the 7 in column 0 is not seen.
    const row = [...mask!.data.subarray(0, 28)];
    expect(row).toEqual(Array.from({ length: 28 }, (_, x) => (x < 14 ? 0 : 1)));

    const { boxes, masks } = await loader.load({ ...request, annotations: 'image' });
    expect(boxes).toEqual([[42, 0, 56, 7]]);
    expect([masks![0]!.width, masks![0]!.height, masks![0]!.data[0]]).toEqual([56, 14, 7]);
  });

  it('flips the pixels too', async () => {
    const loader = imageLoader(preprocessorWith(new ImageFileDecoder(), { do_resize: false, do_normalize: false }), {
      pool,
    });
    const image = { width: 2, height: 1, data: Uint8Array.from([255, 0, 0, 0, 0, 255]) };
    const { pixels } = await loader.load({ image, augmentations: [flip], seed: 3 });
    expect([...pixels.data]).toEqual([0, 1, 0, 0, 1, 0]);
  });

  it('reduces the class numbers of files where the model counts from 1', async () => {
    const file = await noise('ade.png', 28, 28);
    const record: ImageRecord = { file, place: file, mask: await classes('ade-mask.png', 28, 28) };
    const loader = imageLoader(preprocessorWith(new ImageFileDecoder(), { do_reduce_labels: true }), { pool });
    const numbers = { numbers: new Map(), background: 0 };
    const { masks } = await loader.load({ image: file, masks: [{ kind: 'classes', record, numbers }] });
    expect([masks![0]!.data[0], masks![0]!.data[26], masks![0]!.data[27]]).toEqual([0, 255, 6]);
  });

  it('decodes a file once, unless that does not fit into the memory it may keep', async () => {
    const file = await noise('once.png', 30, 30);
    const run = async (cacheBytes: number, request: Partial<ImageRequest> = {}): Promise<number> => {
      const decoder = new CountingDecoder();
      const loader = imageLoader(preprocessorWith(decoder), { cacheBytes });
      for (let i = 0; i < 3; i++) await loader.load({ image: file, ...request });
      return decoder.count;
    };
    expect(await run(28 * 28 * 3)).toBe(1);
    expect(await run(28 * 28 * 3 - 1)).toBe(3);
    expect(await run(1e6, { points: [[1, 1]] })).toBe(1);
    // Augmented ones are kept as they were decoded.
    expect(await run(30 * 30 * 3, { augmentations: [flip] })).toBe(1);
    expect(await run(30 * 30 * 3 - 1, { augmentations: [flip] })).toBe(3);
  });

  it('augments what it has kept again', async () => {
    const file = await noise('again.png', 30, 30);
    const loader = imageLoader(preprocessorWith(new CountingDecoder()));
    const draw = (seed: number): Promise<unknown> =>
      loader.load({
        image: file,
        augmentations: [{ type: 'random-resized-crop', scale: [0.1, 0.5], ratio: [1, 1] } as Augmentation],
        seed,
      });
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
  });

  it('names the file that cannot be read', async () => {
    const broken = path.join(folder, 'broken.png');
    writeFileSync(broken, 'no image');
    const preprocessor = preprocessorWith(new ImageFileDecoder());
    const here = (await preprocessor.preprocess(broken).catch((error: unknown) => error)) as Error;
    await expect(imageLoader(preprocessor, { pool }).preprocess(broken)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: here.message,
    });
  });

  it('asks a preprocessor of the user for tensors, and for nothing that it cannot do', async () => {
    const tensor = { type: 'float32', dims: [3, 2, 4], data: new Float32Array(24) } as const;
    const loader = imageLoader({ preprocess: () => Promise.resolve(tensor) });
    expect((await loader.load({ image: 'x.png' })).pixels).toBe(tensor);
    expect((await loader.load({ image: 'x.png' })).geometry.output).toEqual({ height: 2, width: 4 });
    await expect(loader.load({ image: 'x.png', augmentations: [flip] })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('"x.png"'),
    });
  });
});
