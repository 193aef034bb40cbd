/** @file Tests that no function passes over an option that it does not know. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, describe, expect, it } from 'vitest';
import * as sdk from './index.ts';
import { type OptionNames, knownOptions } from './knownOptions.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-options-'));
afterAll(() => rmSync(folder, { recursive: true }));

const model = await sdk.openModel(await publishModel(path.join(folder, 'net'), { model: linearNet() }));
const adapter = await randomAdapter(model, { lora: { targetModules: 'all-linear' } });
const session = await model.session({ adapters: { adapter } });
afterAll(() => session.release());
const task = { name: 'none', prepare: () => Promise.reject(new Error('No option was refused.')) };
const out = path.join(folder, 'out');

/** As a program without types may have it. */
const given = (options: object): never => options as never;
const strange = given({ strangest: 1 });

describe('every function refuses an option that it does not know', () => {
  it.each<[taker: string, call: () => unknown]>([
    ['openModel', () => sdk.openModel(path.join(folder, 'net'), strange)],
    ['loadAdapter', () => sdk.loadAdapter(out, strange)],
    ['loadPlugins', () => sdk.loadPlugins([], strange)],
    ['train', () => sdk.train(model, given({ task, strangest: 1 }))],
    ['lora', () => sdk.train(model, given({ task, lora: strange }))],
    ['lora', () => sdk.previewLora(model, strange)],
    ['checkpoints', () => sdk.train(model, given({ task, checkpoints: { folder, strangest: 1 } }))],
    ['earlyStopping', () => sdk.train(model, given({ task, earlyStopping: { patience: 1, strangest: 1 } }))],
    ['metric', () => sdk.train(model, given({ task, metric: { name: 'loss', strangest: 1 } }))],
    ['clip', () => sdk.train(model, given({ task, clip: strange }))],
    ['ema', () => sdk.train(model, given({ task, ema: strange }))],
    ['cachePrefix', () => sdk.train(model, given({ task, cachePrefix: strange }))],
    ['The schedule cosine', () => sdk.train(model, given({ task, schedule: { name: 'cosine', strangest: 1 } }))],
    ['The optimizer sgd', () => sdk.train(model, given({ task, optimizer: { name: 'sgd', strangest: 1 } }))],
    ['evaluate', () => sdk.evaluate(model, given({ task, strangest: 1 }))],
    ['openPredictor', () => sdk.openPredictor(model, strange)],
    ['attachHead', () => sdk.attachHead(model, { output: 'logits', labels: ['a', 'b'] }, strange)],
    ['merge', () => sdk.merge(model, adapter, out, strange)],
    ['unmerge', () => sdk.unmerge(model, adapter, out, strange)],
    ['quantize', () => sdk.quantize(model, out, given({ bits: 8, strangest: 1 }))],
    ['loftq', () => sdk.quantize(model, out, given({ bits: 4, loftq: { r: 2, strangest: 1 } }))],
    ['exportForTriton', () => sdk.exportForTriton(model, { adapter }, `${out}-triton`, strange)],
    ['exportWithInputs', () => sdk.exportWithInputs(model, { adapter }, `${out}.onnx`, strange)],
    ['convertToLora', () => sdk.convertToLora(adapter, model, strange)],
    ['combineAdapters', () => sdk.combineAdapters([{ adapter }], given({ method: 'svd', strangest: 1 }))],
    ['saveOnnxAdapter', () => sdk.saveOnnxAdapter(adapter, `${out}.onnx_adapter`, strange)],
    ['adapter.save', () => adapter.save(out, strange)],
    ['model.session', () => model.session(strange)],
    ['model.place', () => model.place(adapter, strange)],
    ['session.run', () => session.run({ x: sdk.float32(new Float32Array(8), [1, 8]) }, strange)],
    ['session.run', () => session.providerReport({ x: sdk.float32(new Float32Array(8), [1, 8]) }, strange)],
    ['session.add', () => session.add('another', adapter, strange)],
    ['session.add', () => session.replace('adapter', adapter, strange)],
    ['corda', () => sdk.corda(strange)],
    ['eva', () => sdk.eva(strange)],
    ['loraGa', () => sdk.loraGa(strange)],
  ])('%s', async (taker, call) => {
    await expect((async () => call())()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(`${taker} has no option "strangest".`) as string,
    });
  });
});

it('what has its place elsewhere is told where, what is misspelt what is nearest, and all there is where nothing is near', async () => {
  const refusal = async (call: () => unknown): Promise<unknown> =>
    (async () => call())().catch((error: unknown) => (error as Error).message);
  expect(await refusal(() => sdk.train(model, given({ task, precision: 'int8' })))).toBe(
    'train has no option "precision". It is an option of openModel: give it there.',
  );
  expect(await refusal(() => sdk.train(model, given({ task, batchsize: 8 })))).toBe(
    'train has no option "batchsize". Did you mean "batchSize"?',
  );
  expect(await refusal(() => sdk.train(model, given({ task, r: 8 })))).toMatch(
    /^train has no option "r"\. It is an option of lora, /,
  );
  expect(await refusal(() => model.session(given({ adapter })))).toMatch(
    /^model\.session has no option "adapter"\. Did you mean "adapters"\? It is an option of .+ and others: give it there\.$/,
  );
  expect(await refusal(() => sdk.loadPlugins([], strange))).toBe(
    'loadPlugins has no option "strangest". Its options are bindings.',
  );
});

it('what is undefined is not given', async () => {
  const loaded = await model.session(given({ precision: undefined }));
  expect(loaded.outputNames).toEqual(['logits']);
  await loaded.release();
});

it('a list of options that is not that of the type does not compile', () => {
  interface Options {
    readonly own?: number;
    readonly other?: number;
  }
  // @ts-expect-error -- `other` is missing
  knownOptions<Options>('a', { own: true });
  // @ts-expect-error -- `third` is none
  knownOptions<Options>('b', { own: true, other: true, third: true });
  const all: OptionNames<{ readonly norm: number } | { readonly value: number }> = { norm: true, value: true };
  expect(Object.keys(all)).toEqual(['norm', 'value']);
});
