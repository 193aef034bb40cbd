/** @file Adapters in branches and bodies, of modules that are called twice, of rows of a table, and side by side. */

import { describe, expect, test } from 'vitest';
import { formAdapter, formDelta, serve, type SitedModel, sited } from '../../../../test/support/formAdapters.ts';
import { difference, modelOf, runOnce } from '../../../../test/support/graphs.ts';
import { randomFloats, WeightBuilder } from '../../../../test/support/storedWeights.ts';
import { type Body, ifModel, loopModel, scanModel } from '../../../../test/support/subgraphs.ts';
import { Adapter } from '../adapter/adapter.ts';
import { adapterFeeds } from '../adapter/serving/feeds.ts';
import { mergeAdapter } from '../adapter/merging/merge.ts';
import type { Value } from '../graph/builder.ts';
import type { ModelProto } from '../graph/proto.ts';
import { Random } from '../runtime/random.ts';
import { type Feeds, float32, type Tensor, tensor } from '../runtime/tensor.ts';
import { injectAdapters } from './inject.ts';
import type { TensorSpec, Tuner } from './tuner.ts';
import { ByTuner } from './methods/byTuner.ts';

const random = new Random(14);
const form = { kind: 'linear', weightShape: [4, 4] } as const;
const weight = randomFloats([4, 4], random);
const other = randomFloats([4, 4], random);

/** The weight `[in, out]` with a delta `[out, in]` added. */
const added = (values: Float32Array, delta: Float32Array): Float32Array =>
  values.map((value, i) => value + delta[(i % 4) * 4 + Math.floor(i / 4)]!);

const byWeight =
  (values: ArrayLike<number>): Body =>
  (g, x) =>
    g.MatMul(x, g.floats(values, [4, 4]));

async function output(model: ModelProto, feeds: Feeds): Promise<Tensor> {
  return (await runOnce(model, feeds))[model.graph!.output![0]!.name!]!;
}

/** The outputs of the served, the trained and the merged model. */
async function everywhere(base: SitedModel, adapter: Adapter, feeds: Feeds): Promise<Record<string, Tensor>> {
  const placed = base.place(adapter);
  const session = await serve(base, { adapter });
  const served = (await session.run(feeds, { adapter: 'adapter' }))[session.outputNames[0]!]!;
  await session.release();
  const plan = placed.tunings.map(({ tuning }) => tuning);
  const { model, inputs } = injectAdapters(base.model, plan, { types: base.types, mode: 'training' });
  const trained = await output(model, { ...feeds, ...Object.fromEntries(adapterFeeds(placed, inputs)) });
  const merged = await output(mergeAdapter(base.model, placed).model, feeds);
  return { served, trained, merged };
}

const x = float32(randomFloats([3, 4], random), [3, 4]);
const condition = (value: boolean): Tensor => tensor('bool', Uint8Array.of(Number(value)), []);

describe('branches of an If', () => {
  const models: Readonly<Record<string, (then: ArrayLike<number>, otherwise: ArrayLike<number>) => ModelProto>> = {
    'each with its own weight': (then, otherwise) => ifModel(byWeight(then), byWeight(otherwise)),
    'that capture one weight': (then) =>
      ifModel(
        (g, value) => g.MatMul(value, { name: 'shared.weight' }),
        (g, value) => g.Tanh(g.MatMul(value, { name: 'shared.weight' })),
        (g) => g.floats(then, [4, 4], 'shared.weight'),
      ),
    'that capture a transposed weight': (then) =>
      ifModel(
        (g, value) => g.MatMul(value, { name: 'main/Transpose_0' }),
        (g, value) => g.Tanh(g.MatMul(value, { name: 'main/Transpose_0' })),
        (g) =>
          g.Transpose(
            g.floats(
              Array.from(then, (_, i) => then[(i % 4) * 4 + Math.floor(i / 4)]!),
              [4, 4],
            ),
            [1, 0],
          ),
      ),
    'without a layer in one branch': (then) => ifModel(byWeight(then), (g, value) => g.Tanh(value)),
    'within a branch': (then, otherwise) => {
      const inner = ifModel(byWeight(then), byWeight(otherwise)).graph!.node!.at(-1)!;
      const nested: Body = (g) => {
        g.nodes.push({ ...inner, output: ['inner'] });
        return { name: 'inner', type: 'float32', shape: ['batch', 4] };
      };
      return ifModel(nested, (g, value) => g.Tanh(value));
    },
  };
  test.each(Object.entries(models))('%s', async (_, build) => {
    const base = sited(build(weight, other));
    expect(base.sites.map(({ path }) => path)).toHaveLength(1);
    const own = formAdapter(form);
    const adapter = new Adapter(own.config, new Map([...own.tensors].map(([name, value]) => [name.replace('.fc.', `.${base.sites[0]!.path}.`), value]))); // prettier-ignore
    const delta = formDelta(form, own).data as Float32Array;
    const expected = build(added(weight, delta), added(other, delta));
    for (const choice of [true, false]) {
      const feeds = { x, wanted: condition(choice) };
      const found = await everywhere(base, adapter, feeds);
      for (const [way, value] of Object.entries(found))
        expect(difference(value, await output(expected, feeds)), `${way} ${choice}`).toBeLessThan(1e-5);
    }
    expect(base.model.graph.node).toEqual(sited(build(weight, other)).model.graph.node);
  });

  test('DoRA, and a weight trained in full, in both branches', async () => {
    const base = sited(ifModel(byWeight(weight), byWeight(weight)));
    const feeds = { x, wanted: condition(true) };
    const dora = formAdapter(form, { dora: true });
    const session = await serve(base, { dora });
    const served = (await session.run(feeds, { adapter: 'dora' }))['y']!;
    await session.release();
    expect(difference(await output(mergeAdapter(base.model, base.place(dora)).model, feeds), served)).toBeLessThan(
      1e-5,
    );

    const full = new Adapter({ ...dora.config, modulesToSave: ['fc'] }, new Map([['base_model.model.fc.weight', float32(other, [4, 4])]])); // prettier-ignore
    const turned = other.map((_, i) => other[(i % 4) * 4 + Math.floor(i / 4)]!);
    const expected = ifModel(byWeight(turned), byWeight(turned));
    for (const choice of [true, false]) {
      const ownFeeds = { x, wanted: condition(choice) };
      const live = await serve(base, { full });
      const value = (await live.run(ownFeeds, { adapter: 'full' }))['y']!;
      await live.release();
      const merged = await output(mergeAdapter(base.model, base.place(full)).model, ownFeeds);
      for (const found of [value, merged])
        expect(difference(found, await output(expected, ownFeeds))).toBeLessThan(1e-5);
    }
  });
});

test.each([
  ['Loop', loopModel],
  ['Scan', scanModel],
] as const)('the body of a %s', async (_, build) => {
  const base = sited(build(byWeight(weight)));
  expect(base.sites.map(({ path }) => path)).toEqual(['fc']);
  const adapter = formAdapter(form);
  const expected = await output(build(byWeight(added(weight, formDelta(form, adapter).data as Float32Array))), { x });
  for (const [way, value] of Object.entries(await everywhere(base, adapter, { x })))
    expect(difference(value, expected), way).toBeLessThan(1e-5);
});

test('a module that reads one value for all rows, such as positions', async () => {
  const positions = randomFloats([1, 5, 4], random);
  const build = (values: ArrayLike<number>): ModelProto => {
    const g = new WeightBuilder(18, '/fc/');
    const input: Value = { name: 'x', type: 'float32', shape: ['batch', 5, 4] };
    const y = g.Add(input, g.MatMul(g.Tanh(g.floats(positions, [1, 5, 4])), g.floats(values, [4, 4])));
    return modelOf({ opset: 18, inputs: [input], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  };
  const base = sited(build(weight));
  expect(base.sites.map(({ path }) => path)).toEqual(['fc']);
  const adapter = formAdapter(form);
  const feeds = { x: float32(randomFloats([2, 5, 4], random), [2, 5, 4]) };
  const expected = await output(build(added(weight, formDelta(form, adapter).data as Float32Array)), feeds);
  for (const [way, value] of Object.entries(await everywhere(base, adapter, feeds)))
    expect(difference(value, expected), way).toBeLessThan(1e-5);
});

test('a module that is called twice', async () => {
  const build = (values: ArrayLike<number>): ModelProto => {
    const g = new WeightBuilder(18, '/fc/');
    const w = g.floats(values, [4, 4]);
    const bias = g.floats([1, 2, 3, 4], [4]);
    const value: Value = { name: 'x', type: 'float32', shape: ['batch', 4] };
    const y = g.Add(g.MatMul(g.Tanh(g.Add(g.MatMul(value, w), bias)), w), bias);
    return modelOf({ opset: 18, inputs: [value], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  };
  const base = sited(build(weight));
  expect(base.sites).toHaveLength(1);
  const adapter = formAdapter(form);
  const expected = await output(build(added(weight, formDelta(form, adapter).data as Float32Array)), { x });
  for (const [way, value] of Object.entries(await everywhere(base, adapter, { x })))
    expect(difference(value, expected), way).toBeLessThan(1e-5);
  // Its bias is one tensor: that is changed once, and stays one.
  const withBias = formAdapter(form, { bias: true });
  const { model, untied } = mergeAdapter(base.model, base.place(withBias));
  expect(untied).toEqual([]);
  const session = await serve(base, { withBias });
  expect(difference(await output(model, { x }), (await session.run({ x }, { adapter: 'withBias' }))[session.outputNames[0]!])).toBeLessThan(1e-5); // prettier-ignore
  await session.release();
});

test('queries, keys and values that read one value', async () => {
  const build = (values: readonly ArrayLike<number>[]): ModelProto => {
    const g = new WeightBuilder(18, '/');
    const value: Value = { name: 'x', type: 'float32', shape: [3, 4] };
    const y = g.Concat(
      values.map((each, i) => {
        const product = g.MatMul(value, g.floats(each, [4, 4]));
        Object.assign(g.nodes.at(-1)!, { name: `/${'qkv'[i]}/MatMul` });
        return product;
      }),
      1,
    );
    return modelOf({ opset: 18, inputs: [value], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  };
  const weights = [weight, other, weight.toReversed()];
  const base = sited(build(weights));
  // Ranks differ.
  const each = [2, 0, 3].map((r, i) => (r === 0 ? undefined : formAdapter(form, { r, alpha: 6, seed: 40 + i })));
  const tensors = each.flatMap((one, i) => [...(one?.tensors ?? [])].map(([name, value]) => [name.replace('.fc.', `.${'qkv'[i]}.`), value] as const)); // prettier-ignore
  const adapter = new Adapter({ ...each[0]!.config, rankPattern: { v: 3 } }, new Map(tensors));
  const expected = await output(build(weights.map((one, i) => (each[i] ? added(one, formDelta(form, each[i]).data as Float32Array) : one))), { x }); // prettier-ignore
  for (const [way, value] of Object.entries(await everywhere(base, adapter, { x })))
    expect(difference(value, expected), way).toBeLessThan(1e-5);
  const plan = base.place(adapter).tunings.map(({ tuning }) => tuning);
  const { model } = injectAdapters(base.model, plan, { types: base.types, mode: 'training' });
  expect(model.graph!.node!.filter(({ opType }) => opType === 'Concat')).toHaveLength(2);
  const reduces = model.graph!.node!.filter(({ opType, input }) => opType === 'MatMul' && input![0] === 'x');
  expect(reduces).toHaveLength(4);
  // So do those of any tuner whose change is a product.
  const tensor = (dims: readonly number[]): TensorSpec => ({ dims, init: () => new Float32Array(), identity: () => new Float32Array() }); // prettier-ignore
  const tune: Tuner['tune'] = () => ({ tensors: { a: tensor([2, 4]), b: tensor([4, 2]) }, factors: (_, { a, b }) => ({ A: a!, B: b! }) }); // prettier-ignore
  const tuner: Tuner = { name: 'own', peftType: 'OWN', description: 'own: two factors', defaults: {}, tune };
  const tuned = ByTuner.all(base.sites.map((site) => ({ site, module: site.path })), { tuner, settings: {} }); // prettier-ignore
  const { model: own } = injectAdapters(base.model, tuned, { types: base.types, mode: 'training' });
  expect(own.graph!.node!.filter(({ opType, input }) => opType === 'MatMul' && input![0] === 'x')).toHaveLength(4);
});

describe('rows of a table that are trained', () => {
  const table = randomFloats([7, 4], random);
  const rows = randomFloats([2, 4], random);
  const tokens = [5, 1];
  const build = (values: ArrayLike<number>, type: 'int32' | 'int64'): ModelProto => {
    const g = new WeightBuilder(18, '/tokens/');
    const ids: Value = { name: 'ids', type, shape: [2, 3] };
    const y = g.Gather(g.floats(values, [7, 4]), ids, 0);
    return modelOf({ opset: 18, inputs: [ids], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  };
  test.each(['int32', 'int64'] as const)('are what the adapter stores, ids as %s', async (type) => {
    const base = sited(build(table, type));
    const data = [1, 5, 0, 5, 6, 2];
    const ids = tensor(type, type === 'int32' ? Int32Array.from(data) : BigInt64Array.from(data, BigInt), [2, 3]);
    const adapter = new Adapter(
      { ...formAdapter(form).config, trainableTokenIndices: { tokens } },
      new Map([['base_model.model.tokens.token_adapter.trainable_tokens_delta', float32(rows, [2, 4])]]),
    );
    const wanted = table.slice();
    tokens.forEach((id, i) => wanted.set(rows.subarray(4 * i, 4 * i + 4), 4 * id));
    const expected = await output(build(wanted, type), { ids });
    for (const [way, value] of Object.entries(await everywhere(base, adapter, { ids })))
      expect(difference(value, expected), way).toBeLessThan(1e-6);
    expect(() => mergeAdapter(base.model, base.place(adapter), { unmerge: true })).toThrow(/"tokens" cannot be taken out.*replaces rows of the table/); // prettier-ignore
  });
});

test.each([
  ['low-rank', {}, '"fc"'],
  ['trained', { modulesToSave: ['fc'] }, '"fc.weight"'],
])('a plan of layers that the graph does not have: %s', (_, config, named) => {
  const [one, same] = [byWeight(weight), byWeight(weight)].map((body) => sited(scanModel(body)));
  const adapter = formAdapter(form, { config });
  const placed = one!.place(
    Object.keys(config).length === 0
      ? adapter
      : new Adapter(
          { ...adapter.config, targetModules: [] },
          new Map([['base_model.model.fc.weight', float32(weight, [4, 4])]]),
        ),
  );
  const plan = placed.tunings.map(({ tuning }) => tuning);
  const inject = (into: SitedModel) => () => injectAdapters(into.model, plan, { types: into.types, mode: 'inference' });
  expect(inject(one!)).not.toThrow();
  expect(inject(same!)).toThrow(`The graph has no nodes of ${named}`);
});
