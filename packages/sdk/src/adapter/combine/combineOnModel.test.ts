/** @file Combined adapters on small models: as if each had been merged into the base in turn. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { convModel, tokenModel } from '../../../../../test/fixtures/smallNets.ts';
import { relativeError } from '../../../fixtures/deltaOf.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import { merge } from '../../model/merging/merge.ts';
import type { Model } from '../../model/loaded/model.ts';
import { openModel } from '../../model/openModel.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { adapterConfig, type AdapterConfig } from '../formats/peftConfig.ts';
import { tensorName } from '../formats/tensorNames.ts';
import { combineAdapters } from './combine.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-combine-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const random = new Random(4);

async function opened(name: string, proto: ModelProto): Promise<Model> {
  const file = path.join(folder, name);
  writeOnnx(file, proto);
  return openModel(file);
}

function noise(dims: readonly number[]): Tensor {
  return float32(
    new Float32Array(sizeOf(dims)).map(() => random.uniform(-0.4, 0.4)),
    dims,
  );
}

/** An adapter of these modules with random factors. */
function adapterOf(model: Model, ranks: Record<string, number>, config: Partial<AdapterConfig>, bias = false): Adapter {
  const tensors = new Map<string, Tensor>();
  for (const site of model.sites().filter(({ path: each }) => Object.hasOwn(ranks, each))) {
    const kind = kindOf(site);
    for (const factor of ['lora_A', 'lora_B'] as const)
      tensors.set(tensorName(site.path, kind.names[factor]), noise(kind.factorShape(site, factor, ranks[site.path]!)));
    if (bias) tensors.set(tensorName(site.path, 'lora_B.bias'), noise([kind.matrix(site).out]));
  }
  return new Adapter(adapterConfig({ r: 2, loraAlpha: 6, rankPattern: ranks, loraBias: bias, ...config }), tensors);
}

async function run(model: Model, feeds: Feeds, adapter?: Adapter): Promise<Float32Array> {
  const session = await model.session({ provider: 'cpu', ...(adapter ? { adapters: { it: adapter } } : {}) });
  const outputs = await session.run(feeds, { adapter: adapter ? 'it' : null });
  await session.release();
  return outputs[session.outputNames[0]!]!.data as Float32Array;
}

/** The base with an adapter merged that counts as much as its weight says. */
async function merged(model: Model, name: string, { config, tensors }: Adapter, weight: number): Promise<Model> {
  const file = path.join(folder, name);
  await merge(model, new Adapter({ ...config, loraAlpha: config.loraAlpha * weight }, tensors), file);
  return openModel(file);
}

describe('a sum computes what merging one after another does', () => {
  const models = [
    ['tokens', tokenModel(), { tokens: 3, mix: 2 }, { mix: 3 }, { ids: int64([1, 5, 3, 0, 10, 2], [2, 3]) }, false],
    ['convolutions', convModel(), { stem: 2, wide: 3 }, { stem: 4, head: 1 }, { x: noise([2, 4, 7, 7]) }, false],
    ['biases of lora_B', convModel(), { stem: 2 }, { stem: 4, head: 1 }, { x: noise([2, 4, 7, 7]) }, true],
  ] as const;

  it.each(models)('%s', async (name, proto, first, second, feeds, bias) => {
    const model = await opened(`${name}.onnx`, proto);
    const a = adapterOf(model, first, {}, bias);
    const b = adapterOf(model, second, { loraAlpha: 4, useRslora: true });
    const parts = [
      { adapter: a, weight: 0.7 },
      { adapter: b, weight: -0.6 },
    ];
    const once = await merged(model, `${name}-1.onnx`, a, 0.7);
    const expected = await run(await merged(once, `${name}-2.onnx`, b, -0.6), feeds);
    for (const options of [{ method: 'cat' }, { method: 'svd', rank: 'full' }] as const)
      expect(relativeError(await run(model, feeds, combineAdapters(parts, options)), expected)).toBeLessThan(1e-5);
    expect(relativeError(await run(model, feeds), expected)).toBeGreaterThan(1e-2);
  });

  it('grouped convolutions too, whose channels stay with their groups', async () => {
    const model = await opened('grouped.onnx', convModel());
    const feeds = { x: noise([1, 4, 7, 7]) };
    const adapter = adapterOf(model, { grouped: 4 }, { loraAlpha: 4 });
    const halves = [
      { adapter, weight: 0.5 },
      { adapter, weight: 0.5 },
    ];
    const expected = await run(model, feeds, adapter);
    for (const [method, r] of [
      ['cat', 8],
      ['svd', 4],
    ] as const) {
      const sum = combineAdapters(halves, { method });
      expect(sum.tensors.get(tensorName('grouped', 'lora_A'))!.dims).toEqual([r, 8, 3, 3]);
      expect(relativeError(await run(model, feeds, sum), expected)).toBeLessThan(1e-5);
    }
  });
});

it('a head that one adapter trained is kept', async () => {
  const model = await opened('heads.onnx', convModel());
  const feeds = { x: noise([1, 4, 7, 7]) };
  const { config, tensors } = adapterOf(model, { stem: 2 }, { modulesToSave: ['head'] });
  const headed = new Adapter(config, new Map([...tensors, ['base_model.model.head.weight', noise([3, 6])]]));
  const other = adapterOf(model, { stem: 1 }, {});
  const sum = combineAdapters([{ adapter: headed }, { adapter: other, weight: 0 }], { method: 'linear' });
  expect(sum.config.modulesToSave).toEqual(['head']);
  expect(relativeError(await run(model, feeds, sum), await run(model, feeds, headed))).toBeLessThan(1e-5);
});
