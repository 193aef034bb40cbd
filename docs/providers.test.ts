/**
 * @file The page of the providers is what ONNX Runtime has and does. `npx vitest run docs/providers.test.ts -u` writes it; its
 * last table is measured where WebGPU has a driver, and otherwise taken as it is.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { expect, test } from 'vitest';
import { builtProviders } from '../packages/sdk/src/platform/engine.ts';
import { builds, providerPage } from './providerPage.ts';
import { placements } from './providerPlacements.ts';

const file = fileURLToPath(new URL('reference/providers.md', import.meta.url));
const ort = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));

test('the page is up to date', { timeout: 180_000 }, async () => {
  const { version } = JSON.parse(readFileSync(path.join(ort, 'package.json'), 'utf8')) as { version: string };
  const placed = (await measured()) ?? told();
  await expect(await providerPage(file, version, placed)).toMatchFileSnapshot(file);
});

test('the platforms are those that onnxruntime-node is built for', () => {
  const bin = path.join(ort, 'bin/napi-v6');
  const folders = readdirSync(bin).flatMap((system) =>
    readdirSync(path.join(bin, system)).map((architecture) => `${system} ${architecture}`),
  );
  expect(folders.sort()).toEqual(Object.keys(builds).sort());
});

test('this platform has the providers that the page says', () => {
  // TensorRT comes with CUDA's library, and the SDK does not offer it.
  const built = builtProviders().filter((name) => name !== 'tensorrt');
  expect(built.sort()).toEqual(builds[`${process.platform} ${process.arch}`]);
});

async function measured(): Promise<string[] | undefined> {
  try {
    return await placements();
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'PROVIDER_UNAVAILABLE') return undefined;
    throw error;
  }
}

/** The rows of the last table as the page has them. */
function told(): string[] {
  const page = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return page.split('\n').filter((line) => /^\| (inference|a training step)/.test(line));
}
