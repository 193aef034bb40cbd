/** @file Adapters of the small models make the round trip, and what breaks it is told. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { faultyRuntime } from '../../../../test/support/faultyRuntime.ts';
import {
  Adapter,
  type LoraOptions,
  type Model,
  openModel,
  OrtRuntime,
  type Runtime,
  type Feeds,
  float32,
  type Tensor,
} from '@onnx-lora/sdk';
import { convNet, linearNet } from '../models/smallNets.ts';
import type { SmallModel } from '../models/modelBuilder.ts';
import { publishModel } from '../models/publishModel.ts';
import { visionTransformer } from '../models/visionTransformer.ts';
import { randomAdapter, randomFeeds } from '../random.ts';
import { checkAdapterRoundTrip, checkAdapterRows } from './checkAdapterRoundTrip.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-trips-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function opened(model: SmallModel): Promise<Model> {
  return openModel(await publishModel(mkdtempSync(path.join(scratch, 'model-')), { model }));
}

it.each<[string, SmallModel, LoraOptions]>([
  ['linear layers', linearNet(), { r: 2, targetModules: 'all-linear' }],
  [
    'DoRA and a saved head',
    linearNet(),
    { r: 2, targetModules: ['encoder.0'], modulesToSave: ['head'], useDora: true },
  ],
  ['convolutions', convNet(), { r: 2, targetModules: ['stem', 'grouped', 'wide'] }],
  ['attention', visionTransformer(), { r: 2, targetModules: ['query', 'value'], useRslora: true }],
])('%s', async (_, small, lora) => {
  const model = await opened(small);
  const adapter = await randomAdapter(model, { lora });
  expect(await checkAdapterRoundTrip(model, adapter)).toEqual([]);
  const feeds = randomFeeds(model, { sizes: { batch: 3 } });
  expect(await checkAdapterRoundTrip(model, adapter, { feeds })).toEqual([]);
});

it('an adapter that does nothing proves nothing', async () => {
  const model = await opened(linearNet());
  const { config, tensors } = await randomAdapter(model, { lora: { r: 2, targetModules: ['head'] } });
  const still = new Adapter(config, new Map([...tensors].map(([name, { dims, data }]) => [name, float32(new Float32Array(data.length), dims)]))); // prettier-ignore
  expect(await checkAdapterRoundTrip(model, still)).toEqual(['the adapter changes no output: give it other values']);
});

it('a tensor under another name than PEFT has is told', async () => {
  const model = await opened(linearNet());
  const { config, tensors } = await randomAdapter(model, { lora: { r: 2, targetModules: ['head'] } });
  const bare = new Map([...tensors].map(([name, tensor]) => [name.replace('base_model.model.', ''), tensor]));
  expect(await checkAdapterRoundTrip(model, new Adapter(config, bare))).toEqual([
    "head.lora_A.weight is no name of PEFT's: it must begin with base_model.model.",
    "head.lora_B.weight is no name of PEFT's: it must begin with base_model.model.",
  ]);
});

it('a runtime that computes adapters wrongly is caught', async () => {
  const folder = await publishModel(path.join(scratch, 'faulty'), { model: linearNet() });
  const twice = ({ dims, data }: Tensor): Tensor => float32((data as Float32Array).map((each) => 2 * each), dims); // prettier-ignore
  const feed = (name: string, tensor: Tensor): Tensor => (name.includes('lora_B') ? twice(tensor) : tensor);
  const model = await openModel(folder, { runtime: faultyRuntime({ feed }) });
  const adapter = await randomAdapter(model, { lora: { r: 2, targetModules: ['encoder.0'] } });
  const problems = await checkAdapterRoundTrip(model, adapter);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(/^merged, logits at \d+ is /);
});

/** Changes the numbers of the tensors in whose names there is a word. */
function each(tensors: Feeds, word: string, change: (value: number) => number): Record<string, Tensor> {
  const changed = ({ data, dims }: Tensor): Tensor => float32((data as Float32Array).map(change), dims);
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, name.includes(word) ? changed(tensor) : tensor])); // prettier-ignore
}

/** As of a file whose outputs depend on the size of the batch: those of a batch of one are larger by half a hundredth. */
function sensitiveRuntime(feedsOfOne: (feeds: Feeds) => Feeds = (feeds) => feeds): Runtime {
  return {
    async createSession(source, options) {
      const session = await new OrtRuntime().createSession(source, options);
      return {
        inputNames: session.inputNames,
        outputNames: session.outputNames,
        provider: session.provider,
        run: async (feeds, fetches) => {
          if (feeds['x']!.dims[0] !== 1) return session.run(feeds, fetches);
          return each(await session.run(feedsOfOne(feeds), fetches), '', (value) => 1.005 * value);
        },
        release: () => session.release(),
      };
    },
  };
}

it.each<[string, (feeds: Feeds) => Feeds, RegExp[]]>([
  ['are told as they are where a file depends on the size of the batch', (feeds) => feeds, []],
  [
    'that are mixed up are found there too',
    // Each row has the other's adapter, which is the opposite.
    (feeds) => each(feeds, 'lora_B', (value) => -value),
    [/^row 0 of a mixed batch: /, /^row 1 of a mixed batch: /],
  ],
])('rows %s', async (_, feedsOfOne, problems) => {
  const folder = await publishModel(mkdtempSync(path.join(scratch, 'model-')), { model: convNet() });
  const model = await openModel(folder, { runtime: sensitiveRuntime(feedsOfOne) });
  const adapter = await randomAdapter(model, { lora: { r: 2, targetModules: ['stem', 'wide'] } });
  expect(await checkAdapterRows(model, adapter)).toEqual(problems.map((each) => expect.stringMatching(each)));
});
