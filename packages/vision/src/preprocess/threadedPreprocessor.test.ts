/** @file Tests of images that are preprocessed in other threads. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ThreadPool, type Tensor } from '@onnx-lora/sdk';
import sharp from 'sharp';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ImageRequest } from './imageThread.ts';
import { ImagePreprocessorFactory } from './preprocessorFactory.ts';
import { SharpDecoder } from '../image/sharpDecoder.ts';
import { inOtherThreads, ThreadedPreprocessor } from './threadedPreprocessor.ts';

let folder = '';
let pool: ThreadPool<ImageRequest, Tensor>;
beforeAll(async () => {
  // Among the build's output, where it finds its libraries and git finds nothing.
  const dist = path.join(import.meta.dirname, '../../dist');
  mkdirSync(dist, { recursive: true });
  folder = mkdtempSync(path.join(dist, 'thread-test-'));
  await build({
    configFile: false,
    logLevel: 'error',
    ssr: { resolve: { conditions: ['@onnx-lora/source', 'node', 'import', 'module', 'default'] } },
    build: { ssr: path.join(import.meta.dirname, 'imageThread.ts'), outDir: folder, target: 'node20' },
  });
  pool = new ThreadPool({ module: pathToFileURL(path.join(folder, 'imageThread.js')), name: 'preprocess', threads: 2 });
});
afterAll(async () => {
  await pool.release();
  rmSync(folder, { recursive: true, force: true });
});

const decoder = new SharpDecoder();
const preprocessor = new ImagePreprocessorFactory(decoder).create(
  { image_processor_type: 'ViTImageProcessor', size: { height: 28, width: 28 } },
  'preprocessor_config.json',
);

it('gives the tensors that this thread gives', async () => {
  const threaded = new ThreadedPreprocessor(preprocessor, decoder, pool);
  const files = await Promise.all(
    [40, 300, 1000].map(async (width) => {
      const file = path.join(folder, `${width}.png`);
      const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
      await sharp({ create: { width, height: 200, channels: 3, background: 'red', noise } })
        .png()
        .toFile(file);
      return file;
    }),
  );
  const here = await Promise.all(files.map((file) => preprocessor.preprocess(file)));
  expect(await Promise.all(files.map((file) => threaded.preprocess(file)))).toEqual(here);
});

it('names the file that cannot be read', async () => {
  const broken = path.join(folder, 'broken.png');
  writeFileSync(broken, 'no image');
  const threaded = new ThreadedPreprocessor(preprocessor, decoder, pool);
  const here = (await preprocessor.preprocess(broken).catch((error: unknown) => error)) as Error;
  await expect(threaded.preprocess(broken)).rejects.toMatchObject({ code: 'DATA_INVALID', message: here.message });
});

it('leaves alone what a thread does not know', () => {
  const other = { preprocess: () => Promise.reject(new Error('not used')) };
  expect(inOtherThreads(other)).toBe(other);
  const own = new ImagePreprocessorFactory({ decode: () => Promise.reject(new Error('not used')) }).create(
    { image_processor_type: 'ViTImageProcessor' },
    'preprocessor_config.json',
  );
  expect(inOtherThreads(own)).toBe(own);
});
