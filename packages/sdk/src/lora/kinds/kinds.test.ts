/** @file Adapters beside layers of every form: the output is that of a layer whose weight has the delta added. */

import { describe, expect, test } from 'vitest';
import { formAdapter, formDelta, serve, type SitedModel, sited } from '../../../../../test/support/formAdapters.ts';
import { difference, runOnce } from '../../../../../test/support/graphs.ts';
import { integerTolerance } from '../../../../../test/support/integerProducts.ts';
import {
  changeModel,
  formFeeds,
  formModel,
  type LayerForm,
  layerForms,
} from '../../../../../test/support/layerForms.ts';
import { randomFloats } from '../../../../../test/support/storedWeights.ts';
import { Adapter } from '../../adapter/adapter.ts';
import { adapterFeeds } from '../../adapter/serving/feeds.ts';
import { floats } from '../../graph/tensorData.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Feeds, type Tensor, tensor } from '../../runtime/tensor.ts';
import { permute } from '../../match/weights/index.ts';
import { injectAdapters } from '../inject.ts';
import { kindOf } from './table.ts';

const random = new Random(10);

const single = async (model: Parameters<typeof runOnce>[0], feeds: Feeds): Promise<Tensor> => {
  const name = model.graph!.output![0]!.name!;
  return (await runOnce(model, feeds))[name]!;
};
const asFloats = (value: Tensor): Tensor => tensor('float32', floats(value), value.dims);
const plus = (a: Tensor, b: Tensor): Tensor =>
  tensor('float32', floats(a).map((value, i) => value + floats(b)[i]!), a.dims); // prettier-ignore

/** The model's output with an adapter beside its layer, as it is served. */
async function served(base: SitedModel, adapter: Adapter | undefined, feeds: Feeds, places?: Adapter): Promise<Tensor> {
  const session = await serve(base, { ...(adapter ? { adapter } : {}), ...(places ? { places } : {}) });
  try {
    return (await session.run(feeds, { adapter: adapter ? 'adapter' : null }))[session.outputNames[0]!]!;
  } finally {
    await session.release();
  }
}

/** The same of the graph that is trained. */
async function trained({ model, types, place }: SitedModel, adapter: Adapter, feeds: Feeds): Promise<Tensor> {
  const placed = place(adapter);
  const plan = placed.tunings.map(({ tuning }) => tuning);
  const injected = injectAdapters(model, plan, { types, mode: 'training' });
  const own = Object.fromEntries(adapterFeeds(place(withoutMagnitude(adapter)), injected.inputs));
  for (const { tuning, saved } of placed.tunings) {
    const { parameter } = tuning;
    if (!parameter) continue;
    const value = saved.get('parameter')!;
    // The graph keeps a weight as it is stored, torch has it as `[out, in]`.
    const isTurned = parameter.layout === 'in-out';
    const data = isTurned ? permute(floats(value), value.dims, [1, 0]) : floats(value);
    own[injected.inputs.find((input) => input.tuning.slot === tuning.slot)!.name] = float32(
      data,
      isTurned ? value.dims.toReversed() : parameter.stored.dims,
    );
  }
  // DoRA is fed its magnitude instead of the gain, and B without it.
  for (const {
    name,
    tensor: { role },
    tuning: { site },
  } of injected.inputs) {
    if (role !== 'lora_magnitude_vector') continue;
    const magnitude = adapter.tensors.get('base_model.model.fc.lora_magnitude_vector')!;
    own[name] = float32(floats(magnitude), kindOf(site!).perOutputShape(site!));
  }
  return single(injected.model, { ...feeds, ...own });
}

const modes = { inference: served, training: trained } as const;

function withoutMagnitude({ config, tensors }: Adapter): Adapter {
  return new Adapter(config, new Map([...tensors].filter(([name]) => !name.includes('magnitude'))));
}

async function changed(form: LayerForm, delta: Tensor, feeds: Feeds): Promise<Tensor> {
  return single(changeModel(form, delta), feeds);
}

describe.each(Object.entries(layerForms))('%s', (_, form) => {
  const { tolerance = 1e-5 } = form;
  const base = sited(formModel(form));
  const feeds = formFeeds(form);

  test('is found as one layer', () => {
    expect(base.sites).toHaveLength(1);
    const [site] = base.sites;
    expect(site).toMatchObject({ kind: form.kind, weightShape: form.weightShape, path: form.kind === 'parameter' ? 'fc.down' : 'fc' }); // prettier-ignore
    expect(site!.bias !== undefined).toBe(form.hasBias ?? false);
    expect(site!.weight.stored.storage).toBe(form.storage ?? 'float32');
  });

  test.each(['inference', 'training'] as const)('has the delta added, for %s', async (mode) => {
    const adapter = formAdapter(form);
    const expected = plus(await single(base.model, feeds), await changed(form, formDelta(form, adapter), feeds));
    const found = await modes[mode](base, adapter, feeds);
    expect(difference(asFloats(found), expected)).toBeLessThan(tolerance);
    expect(difference(asFloats(await single(base.model, feeds)), expected)).toBeGreaterThan(10 * tolerance);
  });

  test('computes what the base computes where no adapter is chosen', async () => {
    const found = await served(base, undefined, feeds, formAdapter(form));
    expect(difference(found, await single(base.model, feeds))).toBe(0);
  });
});

describe('rows of a batch with adapters of their own', () => {
  const rows: readonly (keyof typeof layerForms)[] = [
    'MatMul and Add', 'MatMul of four dimensions', 'Gemm', 'MatMul from the left', 'Einsum with the features in the middle',
    'MatMulNBits', 'MatMulInteger', 'MatMulInteger, its bias rounded', 'Cast and Mul before MatMul', 'float16',
  ]; // prettier-ignore
  test.each(rows)('%s', async (name) => {
    const form = layerForms[name]!;
    const base = sited(formModel(form));
    const feeds = formFeeds(form);
    const batch = form.input.shape[0]!;
    const names = Array.from({ length: batch }, (_, i) => (i === 1 ? null : `adapter${i}`));
    const adapters = names.flatMap((each, i): [string, Adapter][] =>
      each === null ? [] : [[each, formAdapter(form, { seed: 20 + i, r: 1 + i })]],
    );
    const session = await serve(base, Object.fromEntries(adapters));
    const output = session.outputNames[0]!;
    const mixed = floats((await session.run(feeds, { adapter: names }))[output]!);
    const size = mixed.length / batch;
    const own = (all: Float32Array, row: number): Tensor => float32(all.slice(row * size, (row + 1) * size), [size]);
    for (const [row, adapter] of names.entries()) {
      const alone = floats((await session.run(feeds, { adapter }))[output]!);
      expect(difference(own(mixed, row), own(alone, row))).toBeLessThan(form.tolerance ?? 1e-6);
    }
    await session.release();
  });
});

describe('a bias of B', () => {
  const forms = ['MatMul', 'Gemm', 'MatMul from the left', 'Conv with strides', 'Conv of one dimension', 'ConvTranspose of one dimension'] as const; // prettier-ignore
  test.each(forms)('%s', async (name) => {
    const form = layerForms[name]!;
    const base = sited(formModel(form));
    const feeds = formFeeds(form);
    const adapter = formAdapter(form, { bias: true });
    const without = formAdapter(form);
    const own = adapter.tensors.get('base_model.model.fc.lora_B.bias')!.data as Float32Array;
    const axis = form.kind === 'linear' ? (name === 'MatMul from the left' ? 1 : -1) : 1;
    for (const mode of ['inference', 'training'] as const) {
      const [plain, biased] = [await modes[mode](base, without, feeds), await modes[mode](base, adapter, feeds)];
      const outputs = axis === -1 ? plain.dims.length - 1 : axis;
      const inner = plain.dims.slice(outputs + 1).reduce((a, b) => a * b, 1);
      const expected = floats(plain).map((value, i) => value + 3 * own[Math.floor(i / inner) % own.length]!);
      expect(difference(biased, tensor('float32', expected, plain.dims))).toBeLessThan(1e-5);
    }
  });
});

describe('DoRA', () => {
  const forms = [
    'MatMul', 'MatMul and Add', 'Gemm', 'MatMul from the left', 'Einsum with the features in the middle', 'MatMul with a transposed weight',
    'Gemm that adds a computed value', 'Gemm that adds one number',
    'Conv with strides', 'Conv of one dimension', 'Conv of three dimensions', 'Conv and Add', 'Gather',
  ] as const; // prettier-ignore
  test.each(forms)('%s: the output of the layer with the weight magnitude · (W + Δ) ÷ ‖W + Δ‖', async (name) => {
    const form = layerForms[name]!;
    const drawn: Float32Array[] = [];
    const base = sited(
      formModel(form, (dims, i) => (drawn[i] = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, k) => Math.sin(k * (i + 2) + 1)))), // prettier-ignore
    );
    const feeds = formFeeds(form);
    const adapter = formAdapter(form, { dora: true });
    const delta = formDelta(form, adapter).data as Float32Array;
    const magnitude = adapter.tensors.get('base_model.model.fc.lora_magnitude_vector')!.data as Float32Array;
    // Where the graph's weight holds number `at` of torch's.
    const [rows, columns] = form.weightShape as [number, number];
    const isTransposed = [
      'MatMul',
      'MatMul and Add',
      'Gemm that adds a computed value',
      'Gemm that adds one number',
    ].includes(name);
    const graphAt = (at: number): number => (isTransposed ? (at % columns) * rows + Math.floor(at / columns) : at);
    const width = delta.length / rows;
    const outputOf = (at: number): number => (form.kind === 'embedding' ? at % columns : Math.floor(at / width));
    const norms = new Float64Array(magnitude.length);
    const weight = which(drawn, delta.length);
    delta.forEach((value, at) => (norms[outputOf(at)]! += (weight[graphAt(at)]! + value) ** 2));
    const wanted = weight.slice();
    delta.forEach((value, at) => {
      const gain = magnitude[outputOf(at)]! / Math.sqrt(norms[outputOf(at)]!);
      wanted[graphAt(at)] = gain * (weight[graphAt(at)]! + value);
    });
    const expected = await single(
      formModel(form, (_, i) => (drawn[i] === weight ? wanted : drawn[i]!)),
      feeds,
    );
    for (const mode of ['inference', 'training'] as const) {
      expect(difference(await modes[mode](base, adapter, feeds), expected), mode).toBeLessThan(2e-5);
    }
  });

  function which(drawn: readonly Float32Array[], size: number): Float32Array {
    return drawn.find(({ length }) => length === size)!;
  }
});

describe('weight and bias trained in full', () => {
  const forms = Object.entries(layerForms).filter(([, { groups = 1, kind }]) => groups === 1 && kind !== 'parameter');
  test.each(forms)('%s', async (_, form) => {
    const base = sited(formModel(form));
    const feeds = formFeeds(form);
    const [site] = base.sites;
    const { stored, layout } = site!.weight;
    const own = layout === 'in-out' ? permute(stored.read(), stored.dims, [1, 0]) : stored.read();
    const weight = randomFloats(form.weightShape, random);
    const bias = site!.bias && randomFloats([site!.bias.stored.read().length], random);
    const tensors = new Map([['base_model.model.fc.weight', float32(weight, form.weightShape)]]);
    if (bias) tensors.set('base_model.model.fc.bias', float32(bias, [bias.length]));
    const adapter = new Adapter({ ...formAdapter(form).config, modulesToSave: ['fc'] }, tensors);

    const delta = float32(weight.map((value, i) => value - own[i]!), form.weightShape); // prettier-ignore
    const withWeight = plus(await single(base.model, feeds), await changed(form, delta, feeds));
    const ofBias = site!.bias?.stored.read();
    const axis = outputAxis(form, withWeight);
    const inner = withWeight.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
    const expected = floats(withWeight).map((value, i) => {
      const o = Math.floor(i / inner) % withWeight.dims[axis]!;
      return value + (bias && ofBias ? bias[o]! - ofBias[o]! : 0);
    });
    for (const mode of ['inference', 'training'] as const) {
      const found = await modes[mode](base, adapter, feeds);
      expect(difference(asFloats(found), tensor('float32', expected, withWeight.dims)), mode).toBeLessThan(integerTolerance(form.tolerance ?? 1e-5)); // prettier-ignore
    }
  });
});

/** Which dimension of a form's output counts its outputs. */
function outputAxis({ kind, weightShape: [out] }: LayerForm, { dims }: Tensor): number {
  return kind.startsWith('conv') ? 1 : dims.lastIndexOf(out!) < 0 ? dims.length - 1 : dims.indexOf(out!);
}
