/** @file Merging adapters into layers of every form: the weight is what it should be, and so is the output. */

import { describe, expect, test } from 'vitest';
import { formAdapter, formDelta, serve, sited } from '../../../../../test/support/formAdapters.ts';
import { difference, modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { integerTolerance } from '../../../../../test/support/integerProducts.ts';
import {
  changeModel,
  formFeeds,
  formModel,
  type LayerForm,
  layerForms,
} from '../../../../../test/support/layerForms.ts';
import { randomFloats, WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import { relativeError } from '../../../fixtures/deltaOf.ts';
import type { Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import type { Site } from '../../match/sites.ts';
import { permute } from '../../match/weights/index.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, type Tensor, tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { floats } from '../../graph/tensorData.ts';
import { mergeAdapter } from './merge.ts';

const random = new Random(12);

const output = async (model: ModelProto, feeds: Feeds): Promise<Tensor> =>
  (await runOnce(model, feeds))[model.graph!.output![0]!.name!]!;
const asFloats = (value: Tensor): Tensor => tensor('float32', floats(value), value.dims);
const plus = (a: Tensor, b: Tensor): Tensor =>
  float32(floats(a).map((value, i) => value + floats(b)[i]!), a.dims); // prettier-ignore

/** A site's weight in torch's layout. */
function weightOf({ weight: { stored, layout } }: Site): Float32Array {
  return layout === 'in-out' ? permute(stored.read(), stored.dims, [1, 0]) : stored.read();
}

const fits = ({ groups = 1 }: LayerForm): boolean => groups === 1;
const whole = Object.entries(layerForms).filter(([, form]) => fits(form));

describe.each(whole)('%s', (_, form) => {
  const base = sited(formModel(form));
  const adapter = formAdapter(form);
  const delta = formDelta(form, adapter).data as Float32Array;
  const before = weightOf(base.sites[0]!);
  const wanted = before.map((value, i) => value + delta[i]!);

  test('the merged weight is W + s·B·A as its storage rounds it, and nothing else changes', async () => {
    const { model, rounding, untied, beside } = mergeAdapter(base.model, base.place(adapter));
    expect({ untied, beside }).toEqual({ untied: [], beside: [] });
    const merged = sited(model);
    const found = weightOf(merged.sites[0]!);
    const isExact = form.storage === undefined || form.storage === 'float64';
    if (form.storage === undefined) expect(rounding).toEqual([]);
    else expect(rounding).toMatchObject([{ storage: form.storage }]);
    const error = relativeError(found, wanted);
    expect(error).toBeLessThan(isExact ? 1e-6 : form.storage!.startsWith('uint4') ? 0.1 : form.storage === 'float16' ? 1e-3 : 0.01); // prettier-ignore
    if (!isExact) expect(rounding[0]!.relativeError).toBeCloseTo(error, 5);
    expect(merged.sites[0]!.bias?.stored.read()).toEqual(base.sites[0]!.bias?.stored.read());
    expect(model.graph!.node!.length).toBeLessThanOrEqual(base.model.graph.node!.length);

    const feeds = formFeeds(form);
    const change = tensor('float32', found.map((value, i) => value - before[i]!), form.weightShape); // prettier-ignore
    const expected = plus(await output(base.model, feeds), await output(changeModel(form, change), feeds));
    expect(difference(asFloats(await output(model, feeds)), expected)).toBeLessThan(
      integerTolerance(form.tolerance ?? 1e-5),
    );
    // As it is served, up to what rounding has done.
    const session = await serve(base, { adapter });
    const served = (await session.run(feeds, { adapter: 'adapter' }))[session.outputNames[0]!]!;
    await session.release();
    expect(relativeError(floats(await output(model, feeds)), floats(served))).toBeLessThan(isExact ? 1e-5 : 0.15);
  });

  test('several adapters at once are the sum of their deltas, in any order', () => {
    const other = formAdapter(form, { seed: 31, r: 1, alpha: 0.5 });
    const more = formDelta(form, other).data as Float32Array;
    const both = wanted.map((value, i) => value + more[i]!);
    for (const adapters of [
      [adapter, other],
      [other, adapter],
    ]) {
      // prettier-ignore
      const { model } = mergeAdapter(base.model, adapters.map(base.place)); // prettier-ignore
      const error = relativeError(weightOf(sited(model).sites[0]!), both);
      expect(error).toBeLessThan(form.storage === undefined ? 1e-6 : form.storage.startsWith('uint4') ? 0.15 : 0.015);
    }
  });

  test('taking it out again gives the base back, up to rounding', () => {
    const merged = sited(mergeAdapter(base.model, base.place(adapter)).model);
    const { model } = mergeAdapter(merged.model, merged.place(adapter), { unmerge: true });
    const error = relativeError(weightOf(sited(model).sites[0]!), before);
    const size = relativeError(wanted, before);
    // Codes are rounded relative to the larger weight that they held in between.
    const perWeight = form.storage === undefined || form.storage === 'float64' ? 1e-6 : form.storage.startsWith('uint4') ? 0.1 : 0.01; // prettier-ignore
    expect(error).toBeLessThan(perWeight * (1 + size));
  });
});

describe('a weight of few bits', () => {
  const forms = whole.filter(([, { storage }]) => storage !== undefined && !/^b?float(?:16|64)/.test(storage));
  test.each(forms)(
    '%s: keeps its numbers where they would lose the change, and computes it beside',
    async (_, form) => {
      const base = sited(formModel(form));
      const adapter = formAdapter(form);
      const { model, beside, rounding } = mergeAdapter(base.model, base.place(adapter), { mayLose: 1e-4 });
      expect({ beside, rounding }).toEqual({ beside: ['fc'], rounding: [] });
      expect(model.graph!.input!.map(({ name }) => name)).toEqual(['x']);
      const feeds = formFeeds(form);
      const session = await serve(base, { adapter });
      const served = (await session.run(feeds, { adapter: 'adapter' }))[session.outputNames[0]!]!;
      await session.release();
      // To the last digits, where quantised again it is off by more than a thousandth.
      const error = relativeError(floats(await output(model, feeds)), floats(served));
      expect(error).toBeLessThan(1e-5);
      const again = mergeAdapter(base.model, base.place(adapter), { mayLose: 1 });
      expect(again).toMatchObject({ beside: [], rounding: [{ module: 'fc' }] });
      expect(relativeError(floats(await output(again.model, feeds)), floats(served))).toBeGreaterThan(1e-3);
    },
  );
});

describe('a bias of B', () => {
  const forms = ['MatMul and Add', 'Gemm', 'MatMul from the left', 'Conv with strides', 'Conv and Add', 'ConvTranspose of one dimension', 'ConvTranspose and Add', 'MatMulNBits', 'float16', 'ConvInteger', 'ConvInteger, its bias rounded'] as const; // prettier-ignore
  test.each(forms)("%s: is added to the layer's own, and taken out again", async (name) => {
    const form = layerForms[name]!;
    const base = sited(formModel(form));
    const adapter = formAdapter(form, { bias: true });
    const own = adapter.tensors.get('base_model.model.fc.lora_B.bias')!.data as Float32Array;
    const { model, beside } = mergeAdapter(base.model, base.place(adapter));
    expect(beside).toEqual([]);
    const merged = sited(model);
    const [before, after] = [base, merged].map(({ sites }) => sites[0]!.bias!.stored.read());
    expect(relativeError(after!, before!.map((value, i) => value + 3 * own[i]!))).toBeLessThan(name === 'float16' ? 1e-3 : 1e-6); // prettier-ignore
    const back = mergeAdapter(merged.model, merged.place(adapter), { unmerge: true });
    expect(relativeError(sited(back.model).sites[0]!.bias!.stored.read(), before!)).toBeLessThan(name === 'float16' ? 4e-3 : 1e-5); // prettier-ignore
    const feeds = formFeeds(form);
    const session = await serve(base, { adapter });
    const served = (await session.run(feeds, { adapter: 'adapter' }))[session.outputNames[0]!]!;
    await session.release();
    expect(relativeError(floats(await output(model, feeds)), floats(served))).toBeLessThan(form.storage === undefined ? 1e-5 : 0.15); // prettier-ignore
  });

  test('a layer without one gets a branch beside it', async () => {
    const form = layerForms['MatMul']!;
    const base = sited(formModel(form));
    const adapter = formAdapter(form, { bias: true });
    const { model, beside } = mergeAdapter(base.model, base.place(adapter));
    expect(beside).toEqual(['fc']);
    const feeds = formFeeds(form);
    const session = await serve(base, { adapter });
    expect(difference(await output(model, feeds), (await session.run(feeds, { adapter: 'adapter' }))[session.outputNames[0]!])).toBeLessThan(1e-5); // prettier-ignore
    await session.release();
  });
});

describe('groups', () => {
  const forms = Object.entries(layerForms).filter(([, form]) => !fits(form));
  test.each(forms)('%s: the delta becomes a branch beside the layer', async (_, form) => {
    const base = sited(formModel(form));
    const adapter = formAdapter(form);
    const { model, beside, rounding } = mergeAdapter(base.model, base.place(adapter));
    expect({ beside, rounding }).toEqual({ beside: ['fc'], rounding: [] });
    expect(model.graph!.input!.map(({ name }) => name)).toEqual(['x']);
    const feeds = formFeeds(form);
    const expected = plus(await output(base.model, feeds), await output(changeModel(form, formDelta(form, adapter)), feeds)); // prettier-ignore
    expect(difference(await output(model, feeds), expected)).toBeLessThan(1e-5);
    expect(() => mergeAdapter(base.model, base.place(adapter), { unmerge: true })).toThrow(/"fc" cannot be taken out.*no part of its weight/); // prettier-ignore
  });

  test.each(forms)('%s: a delta that stays in its groups is merged into the weight', async (_, form) => {
    const base = sited(formModel(form));
    const adapter = formAdapter(form);
    // A's rows of each group are zero outside the group's own inputs.
    const A = adapter.tensors.get('base_model.model.fc.lora_A.weight')!;
    const [r, channels] = A.dims as [number, number];
    const kernel = A.data.length / r / channels;
    const groups = form.groups!;
    const own = (A.data as Float32Array).map((value, i) => {
      const [k, channel] = [Math.floor(i / kernel / channels), Math.floor(i / kernel) % channels];
      return Math.floor((k * groups) / r) === Math.floor((channel * groups) / channels) ? value : 0;
    });
    const inGroups = new Adapter(adapter.config, new Map([...adapter.tensors, ['base_model.model.fc.lora_A.weight', { ...A, data: own }]])); // prettier-ignore
    const { model, beside } = mergeAdapter(base.model, base.place(inGroups));
    expect(beside).toEqual([]);
    const feeds = formFeeds(form);
    const expected = plus(await output(base.model, feeds), await output(changeModel(form, formDelta(form, inGroups)), feeds)); // prettier-ignore
    expect(difference(await output(model, feeds), expected)).toBeLessThan(1e-5);
    const merged = sited(model);
    const back = mergeAdapter(merged.model, merged.place(inGroups), { unmerge: true });
    expect(relativeError(weightOf(sited(back.model).sites[0]!), weightOf(base.sites[0]!))).toBeLessThan(1e-5);
  });
});

describe('DoRA', () => {
  const forms = whole.filter(([, { kind }]) => kind !== 'parameter' && !kind.startsWith('convTranspose'));
  test.each(forms)('%s: each output of the merged weight has its magnitude as length', async (_, form) => {
    const base = sited(formModel(form));
    const adapter = formAdapter(form, { dora: true });
    const { model } = mergeAdapter(base.model, base.place(adapter));
    const weight = weightOf(sited(model).sites[0]!);
    const magnitude = adapter.tensors.get('base_model.model.fc.lora_magnitude_vector')!.data as Float32Array;
    const width = weight.length / form.weightShape[0]!;
    const norms = new Float32Array(magnitude.length);
    const outputOf = (at: number): number => (form.kind === 'embedding' ? at % form.weightShape[1]! : Math.floor(at / width)); // prettier-ignore
    weight.forEach((value, at) => (norms[outputOf(at)]! += value ** 2));
    expect(relativeError(norms.map(Math.sqrt), magnitude)).toBeLessThan(form.storage === undefined ? 1e-5 : 0.05);
    const feeds = formFeeds(form);
    const session = await serve(base, { adapter });
    const served = (await session.run(feeds, { adapter: 'adapter' }))[session.outputNames[0]!]!;
    await session.release();
    expect(relativeError(floats(await output(model, feeds)), floats(served))).toBeLessThan(form.storage === undefined ? 1e-5 : 0.15); // prettier-ignore
    expect(() => mergeAdapter(base.model, base.place(adapter), { unmerge: true })).toThrow(
      /"fc" cannot be taken out.*DoRA/,
    );
  });
});

describe('weight and bias trained in full', () => {
  const forms = Object.entries(layerForms).filter(([, { kind }]) => kind !== 'parameter');
  test.each(forms)('%s', (_, form) => {
    const base = sited(formModel(form));
    const weight = randomFloats(form.weightShape, random);
    const tensors = new Map([['base_model.model.fc.weight', float32(weight, form.weightShape)]]);
    const ownBias = base.sites[0]!.bias;
    const bias = ownBias && randomFloats([ownBias.stored.read().length], random);
    if (bias) tensors.set('base_model.model.fc.bias', float32(bias, [bias.length]));
    const adapter = new Adapter({ ...formAdapter(form).config, modulesToSave: ['fc'] }, tensors);
    const { model } = mergeAdapter(base.model, base.place(adapter));
    const [site] = sited(model).sites;
    const isExact = form.storage === undefined || form.storage === 'float64';
    expect(relativeError(weightOf(site!), weight)).toBeLessThan(isExact ? 1e-6 : form.storage!.startsWith('uint4') ? 0.1 : 0.01); // prettier-ignore
    if (bias)
      expect(relativeError(site!.bias!.stored.read(), bias)).toBeLessThan(form.storage === 'float16' ? 1e-3 : 1e-6);
    expect(() => mergeAdapter(base.model, base.place(adapter), { unmerge: true })).toThrow(/"fc" cannot be taken out.*trained in full/); // prettier-ignore
  });
});

describe('a weight that several layers read', () => {
  const x: Value = { name: 'x', type: 'float32', shape: [2, 4] };
  const ids: Value = { name: 'ids', type: 'int64', shape: [2, 3] };

  test('is untied when only one use is adapted, and that is said', async () => {
    const g = new WeightBuilder(18, '/tokens/');
    const table = g.floats(randomFloats([7, 4], random), [7, 4]);
    const rows = g.ReduceMean(g.Gather(table, ids, 0), [1], false);
    const y = g.MatMul(rows, g.Transpose(table, [1, 0]));
    // The second layer is told from the first by its scope.
    Object.assign(g.nodes.at(-1)!, { name: '/head/MatMul' });
    const base = sited(modelOf({ opset: 18, inputs: [ids], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
    expect(base.sites.map(({ path, kind }) => [path, kind])).toEqual([['tokens', 'embedding'], ['head', 'linear']]); // prettier-ignore
    const before = weightOf(base.sites[0]!);
    const feeds: Feeds = { ids: tensor('int64', BigInt64Array.from([0n, 6n, 2n, 2n, 5n, 1n]), [2, 3]) };
    for (const [path, form] of [
      ['tokens', { kind: 'embedding', weightShape: [7, 4] }],
      ['head', { kind: 'linear', weightShape: [7, 4] }],
    ] as const) {
      // prettier-ignore
      const own = formAdapter(form);
      const renamed = new Adapter(own.config, new Map([...own.tensors].map(([name, value]) => [name.replace('.fc.', `.${path}.`), value]))); // prettier-ignore
      const { model, untied } = mergeAdapter(base.model, base.place(renamed));
      expect(untied).toEqual([path]);
      const after = sited(model);
      const delta = formDelta(form, own).data as Float32Array;
      for (const site of after.sites) {
        const wanted = site.path === path ? before.map((value, i) => value + delta[i]!) : before;
        expect(relativeError(weightOf(site), wanted)).toBeLessThan(1e-6);
      }
      const session = await serve(base, { renamed });
      const served = (await session.run(feeds, { adapter: 'renamed' }))[y.name]!;
      await session.release();
      expect(difference(await output(model, feeds), served)).toBeLessThan(1e-5);
    }
  });

  test.each([
    ['float32', (g: WeightBuilder) => g.floats(randomFloats([4, 4], random), [4, 4])],
    ['int8', (g: WeightBuilder) => g.emit('DequantizeLinear', [g.codes('int8', Array.from({ length: 16 }, (_, i) => 9 * i - 60), [4, 4]), g.floats([0.01], [])])], // prettier-ignore
    ['transposed', (g: WeightBuilder) => g.Transpose(g.floats(randomFloats([4, 4], random), [4, 4]), [1, 0])],
  ] as const)('is one module where it is called twice: %s', async (_, weight) => {
    const g = new WeightBuilder(18, '/fc/');
    const w = weight(g);
    const y = g.MatMul(g.Relu(g.MatMul(x, w)), w);
    const base = sited(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
    expect(base.sites).toHaveLength(1);
    expect(base.sites[0]!.alsoAt).toHaveLength(1);
    const form = { kind: 'linear', weightShape: [4, 4] } as const;
    const adapter = formAdapter(form);
    const before = weightOf(base.sites[0]!);
    const { model, untied, rounding } = mergeAdapter(base.model, base.place(adapter));
    expect(untied).toEqual([]);
    expect(rounding.length).toBeLessThan(2);
    const delta = formDelta(form, adapter).data as Float32Array;
    expect(relativeError(weightOf(sited(model).sites[0]!), before.map((value, i) => value + delta[i]!))).toBeLessThan(0.01); // prettier-ignore
    const feeds: Feeds = { x: float32(randomFloats([2, 4], new Random(3)), [2, 4]) };
    const session = await serve(base, { adapter });
    const served = (await session.run(feeds, { adapter: 'adapter' }))[y.name]!;
    await session.release();
    expect(relativeError(floats(await output(model, feeds)), floats(served))).toBeLessThan(0.04);
  });

  test('queries, keys and values that are packed each get their own delta', async () => {
    for (const isCoded of [false, true]) {
      const g = new WeightBuilder(18, '/');
      const codes = Array.from({ length: 48 }, (_, i) => ((i * 37) % 255) - 127);
      const packed = isCoded
        ? g.emit('DequantizeLinear', [g.codes('int8', codes, [4, 12]), g.floats(Array.from({ length: 12 }, (_, i) => 0.004 + 0.001 * i), [12])], { axis: 1 }) // prettier-ignore
        : g.floats(randomFloats([4, 12], random), [4, 12]);
      const parts = g.Split(packed, [4, 4, 4], 1);
      const products = parts.map((part, i) => {
        const product = g.MatMul(x, part);
        Object.assign(g.nodes.at(-1)!, { name: `/${'qkv'[i]}/MatMul` });
        return product;
      });
      const y = g.Concat(products, 1);
      const base = sited(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
      const form = { kind: 'linear', weightShape: [4, 4] } as const;
      const own = formAdapter(form);
      const adapter = new Adapter(own.config, new Map(['q', 'v'].flatMap((path) => [...own.tensors].map(([name, value]) => [name.replace('.fc.', `.${path}.`), value] as const)))); // prettier-ignore
      const { model, untied } = mergeAdapter(base.model, base.place(adapter));
      expect(untied).toEqual([]);
      const delta = formDelta(form, own).data as Float32Array;
      const after = sited(model);
      for (const [i, site] of after.sites.entries()) {
        const before = weightOf(base.sites[i]!);
        const wanted = site.path === 'k' ? before : before.map((value, at) => value + delta[at]!);
        expect(relativeError(weightOf(site), wanted), site.path).toBeLessThan(isCoded ? 0.01 : 1e-6);
      }
    }
  });

  test('a part that two layers read is untied from one', () => {
    const g = new WeightBuilder(18, '/');
    const [first, second] = g.Split(g.floats(randomFloats([4, 8], random), [4, 8]), [4, 4], 1);
    const products = [first!, first!, second!].map((part, i) => {
      const product = g.MatMul(x, part);
      Object.assign(g.nodes.at(-1)!, { name: `/${'qkv'[i]}/MatMul` });
      return product;
    });
    const y = g.Concat(products, 1);
    const base = sited(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
    const form = { kind: 'linear', weightShape: [4, 4] } as const;
    const own = formAdapter(form);
    const adapter = new Adapter(own.config, new Map([...own.tensors].map(([name, value]) => [name.replace('.fc.', '.q.'), value]))); // prettier-ignore
    const { model, untied } = mergeAdapter(base.model, base.place(adapter));
    expect(untied).toEqual(['q']);
    const after = sited(model);
    const delta = formDelta(form, own).data as Float32Array;
    for (const [i, site] of after.sites.entries()) {
      const before = weightOf(base.sites[i]!);
      expect(relativeError(weightOf(site), site.path === 'q' ? before.map((value, at) => value + delta[at]!) : before)).toBeLessThan(1e-6); // prettier-ignore
    }
  });

  test('a part that another layer reads too keeps its numbers there', async () => {
    const g = new WeightBuilder(18, '/');
    const packed = g.floats(randomFloats([4, 8], random), [4, 8]);
    const first = g.MatMul(x, g.Slice(packed, [0], [4], [1]));
    Object.assign(g.nodes.at(-1)!, { name: '/q/MatMul' });
    // Overlaps with half of the other.
    const second = g.MatMul(x, g.Slice(packed, [2], [6], [1]));
    Object.assign(g.nodes.at(-1)!, { name: '/other/MatMul' });
    const y = g.Concat([first, second], 1);
    const base = sited(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
    const form = { kind: 'linear', weightShape: [4, 4] } as const;
    const own = formAdapter(form);
    const adapter = new Adapter(own.config, new Map([...own.tensors].map(([name, value]) => [name.replace('.fc.', '.q.'), value]))); // prettier-ignore
    const { model, untied } = mergeAdapter(base.model, base.place(adapter));
    expect(untied).toEqual(['q']);
    const after = sited(model);
    expect(weightOf(after.sites[1]!)).toEqual(weightOf(base.sites[1]!));
    const delta = formDelta(form, own).data as Float32Array;
    expect(relativeError(weightOf(after.sites[0]!), weightOf(base.sites[0]!).map((value, i) => value + delta[i]!))).toBeLessThan(1e-6); // prettier-ignore
  });
});
