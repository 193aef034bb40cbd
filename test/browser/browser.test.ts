/** @file The SDK on a page: it trains in Chromium as in Node, and its adapter is read there. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { build, type Rollup } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAdapter, openModel } from '@onnx-lora/sdk';
import { readDigits } from '../../docs/examples/support/digits.ts';
import { forPages } from '../../packages/sdk/forPages.mjs';
import { isNightly } from '../support/nightly.ts';
import { sources } from '../support/sources.ts';
import { type Digit, type Learned, learnDigits, type Lesson } from './learnDigits.ts';
import { executablePath, noNode, PageServer, worked } from './pageServer.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-browser-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const modelFolder = path.join(import.meta.dirname, '../../docs/examples/models/vit-mnist');

async function turnedDigits(from: number, to: number): Promise<Digit[]> {
  const side = 28;
  return (await readDigits()).slice(from, to).map(({ label, pixels }) => ({
    label,
    pixels: Array.from(pixels, (_, i) => pixels[(i % side) * side + (side - 1 - Math.floor(i / side))]! / 127.5 - 1),
  }));
}

test.each([
  [
    'the SDK',
    280e3,
    `import * as sdk from '@onnx-lora/sdk'; import * as page from '@onnx-lora/sdk/page'; globalThis.used = [sdk, page];`,
  ],
  [
    'what learns images',
    350e3,
    `import { evaluate, loadAdapter, openModel, train } from '@onnx-lora/sdk';
     import { keepFolder, putFolder, zipFolder } from '@onnx-lora/sdk/page';
     import { imageClassification, imageClassifier, visionFamilies } from '@onnx-lora/vision';
     globalThis.used = [evaluate, loadAdapter, openModel, train, keepFolder, putFolder, zipFolder, imageClassification, imageClassifier, visionFamilies];`,
  ],
])(
  'a page downloads little of %s: at most %i bytes, compressed',
  async (name, most, program) => {
    const entry = path.join(scratch, 'entry.ts');
    writeFileSync(entry, program);
    const built = await build({
      configFile: false,
      logLevel: 'error',
      resolve: { alias: sources },
      plugins: [forPages, noNode],
      build: {
        write: false,
        target: 'es2022',
        rollupOptions: { input: entry, external: ['onnxruntime-web'] },
      },
    });
    const { output } = built as Rollup.RollupOutput;
    const chunks = output.filter((each) => each.type === 'chunk');
    // Parts that are loaded on demand, such as the hub's client, do not count.
    const first = new Set(chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => fileName));
    for (const fileName of first)
      for (const each of chunks.find((chunk) => chunk.fileName === fileName)?.imports ?? []) first.add(each);
    const loaded = chunks.filter(({ fileName }) => first.has(fileName));
    const bytes = loaded.map(({ code }) => brotliCompressSync(code).length);
    const sum = bytes.reduce((all, each) => all + each, 0);
    console.log(`${name}: ${sum} bytes`);
    expect(sum).toBeLessThan(most);
  },
  120_000,
);

describe.skipIf(executablePath === undefined)('on a page', () => {
  let server: PageServer;
  let page: Page;
  let order: Lesson;
  beforeAll(async () => {
    server = await PageServer.open({ model: modelFolder });
    page = await server.tab();
    order = { digits: await turnedDigits(0, 320), heldOut: await turnedDigits(8000, 8100), steps: 20 };
  }, 300_000);
  afterAll(() => server?.close());

  type There = Learned & { readonly files: Readonly<Record<string, number[]>> };
  const onPage = (on: Page, asked: Partial<Lesson> & { readonly threads: number }): Promise<There> =>
    worked(on, { kind: 'digits', ...order, ...asked });

  test.each(isNightly ? [1, 2] : [2])(
    'digits are learned as in Node, with %i threads, and the adapter goes home',
    async (threads) => {
      const there = await onPage(page, { threads });
      const here = await learnDigits(modelFolder, path.join(scratch, `node${threads}`), order);
      expect(there.losses).toHaveLength(20);
      there.losses.forEach((loss, i) => expect(loss).toBeCloseTo(here.losses[i]!, 3));
      expect(there.losses.at(-1)).toBeLessThan(there.losses[0]! / 2);
      expect(Math.abs(there.accuracy - here.accuracy)).toBeLessThanOrEqual(0.01);
      expect(there.merged).toBeLessThan(1e-4);
      const folder = path.join(scratch, `adapter${threads}`);
      await mkdir(folder);
      for (const [name, bytes] of Object.entries(there.files))
        writeFileSync(path.join(folder, name), Uint8Array.from(bytes));
      const adapter = await loadAdapter(folder);
      const session = await (await openModel(modelFolder)).session({ adapters: { there: adapter } });
      await session.release();
      console.log(`${threads} threads: ${there.seconds.toFixed(2)} s there, ${here.seconds.toFixed(2)} s here`);
    },
    120_000,
  );

  test('a tab that is closed goes on from its last checkpoint, and keeps its files for itself', async () => {
    const whole = await onPage(page, { threads: 1 });
    const tabs = await server.browser.newContext();
    const open = async (): Promise<Page> => {
      const tab = await tabs.newPage();
      await tab.goto(server.address);
      return tab;
    };
    const lost = await open();
    const ending = onPage(lost, { threads: 1, checkpoints: '/run', holdAfter: 14 }).catch(() => undefined);
    await lost.waitForFunction(() => (globalThis as unknown as { step: number }).step >= 12, undefined, {
      timeout: 200_000,
    });
    const other = await open();
    await expect(onPage(other, { threads: 1, checkpoints: '/run' })).rejects.toThrow(
      /another tab of this page uses it/,
    );
    await lost.close();
    await ending;
    const resumed = await onPage(other, { threads: 1, checkpoints: '/run' });
    expect(resumed.losses).toEqual(whole.losses.slice(10));
    expect(resumed.files).toEqual(whole.files);
    await tabs.close();
  }, 300_000);
});
