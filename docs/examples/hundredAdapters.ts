/**
 * @file One base model and a hundred adapters: what they take in memory, what changing them costs, a different one in each row of
 * a batch, those loaded that are asked for, and a server that answers many clients at once.
 */

import { once } from 'node:events';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import {
  type Adapter,
  type AdapterChoice,
  combineAdapters,
  loadAdapter,
  openModel,
  stack,
  train,
} from '@onnx-lora/sdk';
import { inNaming } from '@onnx-lora/sdk/plugin';
import {
  imageClassification,
  imageClassifier,
  ImagePreprocessor,
  readImagePlan,
  ImageFileDecoder,
  visionFamilies,
} from '@onnx-lora/vision';
import { adapterServer, HttpError } from './support/adapterServer.ts';
import { readDigits, writeDigits } from './support/digits.ts';
import { RequestBatcher } from './support/requestBatcher.ts';

const at = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url));
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;
await rm('runs/hundred', { recursive: true, force: true });
await mkdir('runs/hundred', { recursive: true });
const digits = await readDigits();
await writeDigits('runs/hundred/inverted/train', digits.slice(0, 1000), 'inverted');
await writeDigits('runs/hundred/inverted/test', digits.slice(8000, 8200), 'inverted');
await writeDigits('runs/hundred/turned/test', digits.slice(8000, 8200), 'turned');

// #region adapters
const model = await openModel(at('models/vit-mnist'), { families: visionFamilies });
const lora = { r: 4, targetModules: ['query', 'value'], useRslora: true };
const task = imageClassification('runs/hundred/inverted');
const { adapter: inverted } = await (await train(model, { task, lora, steps: 80, lr: 5e-3 })).done;
const turned = inNaming(await loadAdapter(at('peft/turned')), 4, model);
const adapters: Record<string, Adapter> = { turned, inverted };
for (let i = 2; i < 100; i++) {
  const parts = [
    { adapter: turned, weight: i / 100 },
    { adapter: inverted, weight: 1 - i / 100 },
  ];
  adapters[`customer-${i}`] = combineAdapters(parts, { method: 'linear' });
}
for (const [name, adapter] of Object.entries(adapters)) await adapter.save(path.join('runs/hundred/adapters', name));
const bytes = Object.values(adapters).reduce((sum, { byteLength }) => sum + byteLength, 0);
console.log(
  `${Object.keys(adapters).length} adapters, ${megabytes(bytes)}; the base has ${megabytes(model.weightBytes)}`,
);
// #endregion adapters

// #region memory
const empty = process.memoryUsage().rss;
const base = await model.session();
const loaded = process.memoryUsage().rss;
await base.release();
const session = await model.session({ adapters });
const full = process.memoryUsage().rss;
console.log(
  `memory: ${megabytes(loaded - empty)} more with the base, ${megabytes(full - loaded)} more with all adapters`,
);
// #endregion memory

// #region swap
const config = JSON.parse(await readFile(at('models/vit-mnist/preprocessor_config.json'), 'utf8')) as object;
const plan = readImagePlan({ ...config }, 'preprocessor_config.json');
// A stranger's image is decoded only if it is small.
const preprocessor = new ImagePreprocessor(plan, new ImageFileDecoder({ maxPixels: 1_000_000, maxBytes: 1_000_000 }));
const sevens = await readdir('runs/hundred/turned/test/7');
const seven = await preprocessor.preprocess(path.join('runs/hundred/turned/test/7', sevens[0]!));
const names = Object.keys(adapters);
const sorted = (times: number[]): number[] => times.sort((a, b) => a - b);
const time = async (rows: number, adapter: AdapterChoice): Promise<number> => {
  const start = performance.now();
  await session.run({ pixel_values: stack(Array.from({ length: rows }, () => seven)) }, { adapter });
  return performance.now() - start;
};
for (const rows of [1, 16]) {
  const [same, changing]: [number[], number[]] = [[], []];
  for (let i = 0; i < 80; i++) {
    same.push(await time(rows, 'turned'));
    changing.push(await time(rows, rows === 1 ? names[i]! : names.slice(i % 2, (i % 2) + rows)));
  }
  const [one, others] = [same, changing].map((times) => sorted(times)[40]!.toFixed(1));
  console.log(
    `images at once ${rows}: ${one} ms with one adapter, ${others} ms with another ${rows === 1 ? 'each time' : 'for each'}`,
  );
}
// #endregion swap

// #region rows
const some = ['turned', 'inverted', 'customer-50', null];
const images = { pixel_values: stack(some.map(() => seven)) };
const together = (await session.run(images, { adapter: some }))['logits']!.data as Float32Array;
let off = 0;
for (const [i, adapter] of some.entries()) {
  const { logits } = await session.run({ pixel_values: stack([seven]) }, { adapter });
  (logits!.data as Float32Array).forEach((value, k) => (off = Math.max(off, Math.abs(value - together[10 * i + k]!))));
}
console.log(`a batch of four adapters is off by at most ${off.toExponential(0)} from four runs`);
await session.release();
// #endregion rows
if (!(off < 1e-4)) throw new Error('A row depends on the other rows.');

// #region source
const known = new Set(await readdir('runs/hundred/adapters'));
let loads = 0;
const lazy = await model.session({
  targetModules: lora.targetModules,
  adapterSource: {
    load: (name) => {
      // The name comes from a stranger: it is looked up, and never made into a path otherwise.
      if (!known.has(name)) throw new HttpError(404, `There is no adapter "${name}".`);
      loads++;
      return loadAdapter(path.join('runs/hundred/adapters', name));
    },
    maxBytes: 2 * 2 ** 20,
  },
});
// #endregion source

// #region server
const classifier = await imageClassifier(model);
const batcher = new RequestBatcher(async (rows) => {
  const feeds = { pixel_values: stack(rows.map(({ image }) => image)) };
  return classifier.decode(await lazy.run(feeds, { adapter: rows.map(({ adapter }) => adapter) }));
}, 16);
const preprocess = (image: Uint8Array): ReturnType<typeof preprocessor.preprocess> => preprocessor.preprocess(image);
const server = adapterServer({ batcher, preprocess, maxBytes: 100_000, maxOpen: 64, patience: 10_000 });
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
// #endregion server

// #region clients
const photos = await Promise.all(
  ['turned', 'inverted'].flatMap((shift) =>
    Array.from({ length: 10 }, async (_, digit) => {
      const folder = `runs/hundred/${shift}/test/${digit}`;
      const files = (await readdir(folder)).slice(0, 12);
      return Promise.all(files.map(async (file) => ({ shift, digit, image: await readFile(path.join(folder, file)) })));
    }),
  ),
).then((all) => all.flat());
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
const began = performance.now();
let right = 0;
const queue = photos.values();
const client = async (): Promise<void> => {
  for (const { shift, digit, image } of queue) {
    const response = await fetch(`${address}/${shift}`, { method: 'POST', body: image });
    if (((await response.json()) as { label: string }).label === String(digit)) right++;
  }
};
await Promise.all(Array.from({ length: 32 }, client));
const seconds = (performance.now() - began) / 1000;
delay.disable();
console.log(
  `\n32 clients, ${photos.length} requests: ${(photos.length / seconds).toFixed(0)} a second, ${right} digits right`,
);
console.log(`the event loop waited ${(delay.percentile(99) / 1e6).toFixed(0)} ms at most in 99 of 100 cases`);
for (let turn = 0; turn < 2; turn++)
  for (const name of known) await fetch(`${address}/${name}`, { method: 'POST', body: photos[0]!.image });
console.log(
  `all ${known.size} adapters asked for twice, one after the other: ${loads} loads, ${lazy.adapterNames.length} held`,
);
// #endregion clients

// #region mistakes
const ask = async (name: string, sent: Uint8Array<ArrayBuffer>): Promise<string> => {
  const response = await fetch(`${address}/${name}`, { method: 'POST', body: sent });
  return `${response.status} ${await response.text()}`;
};
console.log(`\n${await ask('nobody', photos[0]!.image)}`);
console.log(await ask('..%2f..%2fetc', photos[0]!.image));
console.log(await ask('turned', new TextEncoder().encode('no image')));
console.log(await ask('turned', new Uint8Array(200_000)));
const flood = await Promise.all(Array.from({ length: 400 }, () => ask('turned', photos[0]!.image)));
const refused = flood.filter((each) => each.startsWith('503')).length;
console.log(`400 requests at once: ${flood.length - refused} answered, ${refused} refused with 503`);
// #endregion mistakes

// #region stop
server.close();
server.closeAllConnections();
await lazy.release();
// #endregion stop
