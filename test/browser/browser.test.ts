/** @file The SDK on a page: it trains in Chromium as in Node, and its adapter is read there. */

import { createServer, type Server } from 'node:http';
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { gzipSync } from 'node:zlib';
import path from 'node:path';
import type { AddressInfo } from 'node:net';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build, type Plugin, type Rollup } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAdapter, openModel } from '@onnx-lora/sdk';
import { readDigits } from '../../docs/examples/support/digits.ts';
import { forPages } from '../../packages/sdk/forPages.mjs';
import { sources } from '../support/sources.ts';
import { type Digit, type Learned, learnDigits, type Lesson } from './learnDigits.ts';

const executablePath = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (file) => file !== undefined && existsSync(file),
);
if (executablePath === undefined) console.warn('The tests in a browser are skipped: there is no Chromium. Set CHROMIUM to its path.'); // prettier-ignore

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-browser-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const modelFolder = path.join(import.meta.dirname, '../../docs/examples/models/vit-mnist');
const ortFolder = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));

const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' }; // prettier-ignore

/** Serves the page, the model and the runtime, isolated, so that WebAssembly has threads. */
function serve(): Server {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    const [, first, ...rest] = pathname.split('/');
    const folder = { model: modelFolder, ort: ortFolder }[first!];
    const file = folder ? path.join(folder, ...rest) : path.join(scratch, 'page', pathname);
    if (!existsSync(file) || !statSync(file).isFile()) return void response.writeHead(404).end();
    response.writeHead(200, {
      'content-type': types[path.extname(file)] ?? 'application/octet-stream',
      'content-length': statSync(file).size,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    createReadStream(file).pipe(response);
  });
}

/** Ends a build that reaches a module of Node, for which Vite would put an empty one. */
const noNode: Plugin = {
  name: 'no-node',
  generateBundle(_, bundle) {
    const modules = Object.values(bundle).flatMap((each) => (each.type === 'chunk' ? each.moduleIds : []));
    const found = modules.filter((id) => /__vite-browser-external|^node:/.test(id));
    if (found.length > 0) throw new Error(`A page reaches modules of Node: ${found.join(', ')}`);
  },
};

async function buildPage(): Promise<void> {
  const out = path.join(scratch, 'page');
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: sources },
    plugins: [forPages, noNode],
    build: {
      outDir: out,
      target: 'es2022',
      minify: false,
      rollupOptions: { input: path.join(import.meta.dirname, 'worker.ts'), output: { entryFileNames: '[name].js' } },
    },
  });
  await mkdir(out, { recursive: true });
  await writeFile(
    path.join(out, 'index.html'),
    `<!doctype html><title>test</title><script>${learn.toString()}</script>`,
  );
}

/** Part of the page: has the worker learn, and resolves with its answer. */
function learn(order: unknown): Promise<unknown> {
  interface Answer {
    readonly step?: number;
    readonly error?: string;
  }
  interface WebWorker {
    onmessage(event: { readonly data: Answer }): void;
    onerror(event: { readonly message: string }): void;
    postMessage(order: unknown): void;
  }
  const scope = globalThis as unknown as { Worker: new (file: string, options: object) => WebWorker; step?: number };
  return new Promise((resolve, reject) => {
    const worker = new scope.Worker('/worker.js', { type: 'module' });
    worker.onmessage = ({ data }) => {
      if (data.step !== undefined) scope.step = data.step;
      else if (data.error === undefined) resolve(data);
      else reject(new Error(data.error));
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(order);
  });
}

async function turnedDigits(from: number, to: number): Promise<Digit[]> {
  const side = 28;
  return (await readDigits()).slice(from, to).map(({ label, pixels }) => ({
    label,
    pixels: Array.from(pixels, (_, i) => pixels[(i % side) * side + (side - 1 - Math.floor(i / side))]! / 127.5 - 1),
  }));
}

test('a page downloads at most 330 kB of the SDK, compressed', async () => {
  const entry = path.join(scratch, 'entry.ts');
  writeFileSync(
    entry,
    `import * as sdk from '@onnx-lora/sdk'; import * as page from '@onnx-lora/sdk/page'; globalThis.used = [sdk, page];`,
  );
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
  const first = new Set(
    chunks.filter(({ isEntry }) => isEntry).flatMap(({ fileName, imports }) => [fileName, ...imports]),
  );
  const bytes = chunks.filter(({ fileName }) => first.has(fileName)).map(({ code }) => gzipSync(code).length);
  expect(bytes.reduce((sum, each) => sum + each, 0)).toBeLessThan(330e3);
}, 120_000);

describe.skipIf(executablePath === undefined)('on a page', () => {
  let browser: Browser;
  let page: Page;
  let server: Server;
  let order: Lesson;
  let address: string;
  beforeAll(async () => {
    await buildPage();
    server = serve().listen(0);
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] }); // prettier-ignore
    address = `http://localhost:${(server.address() as AddressInfo).port}/index.html`;
    page = await browser.newPage();
    await page.goto(address);
    order = { digits: await turnedDigits(0, 320), heldOut: await turnedDigits(8000, 8100), steps: 20 };
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  type There = Learned & { readonly files: Readonly<Record<string, number[]>> };
  const onPage = (on: Page, asked: Partial<Lesson> & { readonly threads: number }): Promise<There> =>
    on.evaluate((each) => (globalThis as unknown as { learn(order: unknown): Promise<There> }).learn(each), {
      ...order,
      ...asked,
      model: '/model',
    });

  test.each([1, 2])(
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
    const tabs = await browser.newContext();
    const open = async (): Promise<Page> => {
      const tab = await tabs.newPage();
      await tab.goto(address);
      return tab;
    };
    const lost = await open();
    const ending = onPage(lost, { threads: 1, checkpoints: '/run', holdAfter: 14 }).catch(() => undefined);
    await lost.waitForFunction(() => (globalThis as unknown as { step: number }).step >= 12);
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
