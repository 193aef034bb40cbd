/** @file Parts of the base that a training graph keeps: fused operators below the lowest adapter, one branch, sums for lists. */

import { describe, expect, test } from 'vitest';
import { sited } from '../../../../../test/support/formAdapters.ts';
import { cpuSession, difference, modelOf } from '../../../../../test/support/graphs.ts';
import { randomFloats, WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { LowRank } from '../../lora/methods/lora.ts';
import { prepareForMatching } from '../../match/view.ts';
import { inferGraph } from '../../ops/inferGraph.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64 } from '../../runtime/tensor.ts';
import { ParameterSet } from '../parameters.ts';
import { crossEntropy } from '../losses/index.ts';
import { buildTrainingGraph, type TrainingGraph, type TrainingGraphRequest } from './trainingGraph.ts';

const random = new Random(11);
const CONTRIB = 'com.microsoft';
const x: Value = { name: 'x', type: 'float32', shape: [2, 3, 8] };
const feeds: Feeds = { x: float32(randomFloats([2, 3, 8], random), [2, 3, 8]) };
const weight = (g: WeightBuilder, ...dims: number[]): Value => g.floats(randomFloats(dims, random), dims);

/** `[batch, 3, 8]` to the same, by operators of ONNX Runtime's own. */
function block(g: WeightBuilder, input: Value, name: string): Value {
  const attention = g.emit('Attention', [input, weight(g, 8, 24), weight(g, 24)], { num_heads: 2 }, CONTRIB);
  const normal = g.emit('SkipLayerNormalization', [attention, input, weight(g, 8), weight(g, 8)], {}, CONTRIB);
  const product = g.MatMul(normal, weight(g, 8, 8));
  Object.assign(g.nodes.at(-1)!, { name: `/${name}/fc/MatMul` });
  return g.emit('QuickGelu', [product], {}, CONTRIB);
}

/** Two blocks; with `last`, a function of the second one's result. */
function model(last = (_: WeightBuilder, y: Value): Value => y): ModelProto {
  const g = new WeightBuilder(18, '/');
  const y = last(g, block(g, block(g, x, 'a'), 'b'));
  return prepareForMatching(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers }) as Parameters<typeof prepareForMatching>[0]); // prettier-ignore
}

function training(
  base: ModelProto,
  path: string,
  dora = false,
  memory?: number,
  learns: Partial<Pick<TrainingGraphRequest, 'targets' | 'loss'>> = {},
): TrainingGraph {
  const { sites } = sited(base);
  const plan = [new LowRank({ site: sites.find((site) => site.path === path)!, r: 2, dora })];
  return buildTrainingGraph({
    base,
    plan,
    inputs: feeds,
    targets: {},
    ...(memory === undefined ? {} : { memory }),
    loss: (g, outputs) => {
      const [y] = Object.values(outputs) as [Value];
      return g.ReduceMean(g.Mul(y, g.Sigmoid(y)), y.shape!.map((_, i) => i), false); // prettier-ignore
    },
    ...learns,
  });
}

const count = ({ model: { graph } }: TrainingGraph, op: string): number =>
  graph!.node!.filter(({ opType }) => opType === op).length;

/** The gradients against central differences, for the largest element of each. */
async function expectGradients(built: TrainingGraph, targets: Feeds = {}): Promise<void> {
  const session = await cpuSession(built.model);
  const parameters = ParameterSet.initial(built.inputs, new Random(1));
  for (const { value } of parameters.all) value.forEach((_, i) => (value[i] = 0.3 * Math.sin(i + 1)));
  const run = async (): Promise<Feeds> => {
    parameters.refresh();
    return session.run({
      ...feeds,
      ...targets,
      ...Object.fromEntries(parameters.all.map(({ input, fed }) => [input.name, fed])),
    });
  };
  const outputs = await run();
  expect(built.gradients.size).toBe(2);
  for (const { input, value } of parameters.all) {
    const gradient = outputs[built.gradients.get(input.name)!]!.data as Float32Array;
    const at = gradient.reduce((best, each, i) => (Math.abs(each) > Math.abs(gradient[best]!) ? i : best), 0);
    const before = value[at]!;
    const losses: number[] = [];
    for (const step of [0.02, -0.02]) {
      value[at] = before + step;
      losses.push((await run())[built.loss]!.data[0] as number);
    }
    value[at] = before;
    const expected = (losses[0]! - losses[1]!) / 0.04;
    expect(Math.abs(gradient[at]! - expected)).toBeLessThan(2e-3 * Math.abs(expected));
  }
  await session.release();
}

describe('fused operators', () => {
  test('stay whole below the lowest adapter', async () => {
    const built = training(model(), 'b.fc');
    // QuickGelu has a rule of its own, and stays in both blocks.
    expect([count(built, 'Attention'), count(built, 'SkipLayerNormalization'), count(built, 'QuickGelu')]).toEqual([2, 2, 2]); // prettier-ignore
    await expectGradients(built);
  });

  test('are taken apart above it', async () => {
    const built = training(model(), 'a.fc');
    expect([count(built, 'Attention'), count(built, 'SkipLayerNormalization'), count(built, 'QuickGelu')]).toEqual([1, 1, 2]); // prettier-ignore
    await expectGradients(built);
  });
});

test('a list of parts becomes slices', async () => {
  const built = training(
    model((g, y) => {
      const list = g.emit('SplitToSequence', [y, g.ints([3, 5])], { axis: 2 });
      return g.Add(g.emit('SequenceAt', [list, g.scalar(0, 'int64')]), g.ReduceMean(y, [2], true));
    }),
    'a.fc',
  );
  expect([count(built, 'SplitToSequence'), count(built, 'SequenceAt')]).toEqual([0, 0]);
  await expectGradients(built);
});

test.each<[string, (g: WeightBuilder, y: Value) => Value, string]>([
  [
    'an operator without a rule',
    (g, y) => g.emit('CumProd', [y, g.scalar(1, 'int64')]),
    'No gradient rule for CumProd (node "/head/pool/CumProd", module "head.pool", opset 18)',
  ],
  [
    'a form without a rule',
    (g, y) => g.emit('Dropout', [y, undefined, g.constant({ type: 'bool', dims: [], data: Uint8Array.of(1) })]),
    'export the model in evaluation mode (model.eval()). The node is in module "head.pool".',
  ],
])('%s is named with its module', (_, emit, message) => {
  const base = model((g, y) => {
    const z = emit(g, y);
    const node = g.nodes.at(-1)!;
    node.name = `/head/pool/${node.opType}`;
    return z;
  });
  expect(() => training(base, 'b.fc')).toThrow(
    expect.objectContaining({ code: 'NO_GRADIENT', message: expect.stringContaining(message) }),
  );
});

test('the norms of DoRA are of the numbers, where a layer reads codes', async () => {
  const codes = Uint8Array.from({ length: 6 * 16 }, (_, i) => (37 * i) % 256);
  const scales = float32(randomFloats([6], random), [6]);
  const product = (packed: boolean, floats: Float32Array) => (g: WeightBuilder, input: Value): Value => {
    const y = packed
      ? g.emit('MatMulNBits', [input, g.constant({ type: 'uint8', dims: [6, 1, 16], data: codes }), g.constant(scales)], { K: 8, N: 6, bits: 8, block_size: 16 }, CONTRIB)
      : g.MatMul(input, g.floats(floats, [8, 6]));
    Object.assign(g.nodes.at(-1)!, { name: '/fc/MatMul' });
    return y;
  }; // prettier-ignore
  const weight = Float32Array.from({ length: 48 }, (_, i) => {
    const [row, column] = [i % 6, Math.floor(i / 6)];
    return (codes[row * 16 + column]! - 128) * (scales.data[row] as number);
  });
  const results = [];
  for (const packed of [true, false]) {
    const g = new WeightBuilder(18, '/');
    const y = product(packed, weight)(g, x);
    const base = modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
    const built = training(base, 'fc', true);
    const session = await cpuSession(built.model);
    const parameters = ParameterSet.initial(built.inputs, new Random(1));
    for (const { value } of parameters.all) value.forEach((each, i) => (value[i] = each + 0.3 * Math.sin(i + 1)));
    parameters.refresh();
    const feed = Object.fromEntries(parameters.all.map(({ input, fed }) => [input.name, fed]));
    const outputs = await session.run({ ...feeds, ...feed });
    results.push([
      outputs[built.loss]!,
      ...parameters.all.map(({ input }) => outputs[built.gradients.get(input.name)!]!),
    ]);
    await session.release();
  }
  const [actual, expected] = results as [Feeds[string][], Feeds[string][]];
  expect(actual.length).toBe(4);
  actual.forEach((tensor, i) => expect(difference(tensor, expected[i])).toBeLessThan(1e-5));
});

test('attention in parts, whose sizes are constants of the graph', async () => {
  const g = new WeightBuilder(18, '/');
  const queries = g.MatMul(x, weight(g, 8, 8));
  Object.assign(g.nodes.at(-1)!, { name: '/fc/MatMul' });
  const y = g.MatMul(g.Softmax(g.MatMul(queries, weight(g, 8, 32)), -1), weight(g, 32, 4));
  const base = modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  const built = training(base, 'fc', false, 3000);
  expect(built.model.graph!.node!.some(({ name = '' }) => name.includes('/part'))).toBe(true);
  await expectGradients(built);
});

test('attention that is computed again needs no sum over its keys either', async () => {
  const g = new WeightBuilder(18, '/');
  const queries = g.MatMul(x, weight(g, 8, 8));
  Object.assign(g.nodes.at(-1)!, { name: '/fc/MatMul' });
  const y = g.MatMul(g.Softmax(g.MatMul(queries, weight(g, 8, 32)), -1), weight(g, 32, 4));
  const base = modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  const built = training(base, 'fc', false, 600);
  const again = built.model.graph!.node!.filter(({ name = '' }) => name.startsWith('again/'));
  expect(again.map(({ opType }) => opType)).toContain('Softmax');
  // The sum over the 32 keys is that over the 4 columns of what comes of them.
  const types = inferGraph(built.model);
  const sums = built.model.graph!.node!.filter(({ opType }) => opType === 'ReduceSum');
  expect(sums.length).toBeGreaterThan(0);
  for (const { input } of sums) expect(types.get(input![0]!)!.shape!.at(-1)).not.toBe(32);
  await expectGradients(built);
});

test('scores of labels that do not count are not computed', async () => {
  const g = new WeightBuilder(18, '/');
  const hidden = g.Tanh(g.MatMul(x, weight(g, 8, 8)));
  Object.assign(
    g.nodes.find(({ opType }) => opType === 'MatMul')!,
    { name: '/fc/MatMul' },
  );
  const y = g.Add(g.MatMul(hidden, weight(g, 8, 20)), weight(g, 20));
  const base = modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  const labels = int64([3, -100, -100, 19, 0, -100], [2, 3]);
  const built = training(base, 'fc', false, undefined, {
    targets: { labels },
    loss: (f, outputs, targets) => crossEntropy(f, outputs[y.name]!, targets['labels']!, { countedOnly: true }),
  });
  const types = inferGraph(built.model);
  const wide = [...types.values()].filter(({ shape }) => shape?.at(-1) === 20 && shape.length > 1);
  expect(wide.length).toBeGreaterThan(0);
  // But for the head's own weights, all have as many rows as only running tells.
  expect(wide.filter(({ shape }) => typeof shape![0] === 'number').map(({ shape }) => shape)).toEqual([[8, 20]]);
  await expectGradients(built, { 'target/labels': labels });
});

test('a loss behind an operator that passes no gradient is refused', () => {
  const base = model((g, y) => g.emit('Round', [y]));
  expect(() => training(base, 'b.fc')).toThrow(/The loss depends on nothing that is trained/);
});
