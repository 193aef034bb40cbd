/** @file Values that are said to keep rows apart do: ONNX Runtime computes permuted rows, and rows with one changed. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import '../../../../../test/support/seed.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { float } from '../../graph/attributes.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { inferNode } from '../../ops/infer.ts';
import { inferGraph } from '../inferGraph.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64, type Tensor } from '../../runtime/tensor.ts';
import { RowStates, type RowState } from './rowStates.ts';

const ROWS = 4;
const OPSET = 17;

interface Graph {
  readonly model: ModelProto;
  readonly output: string;
  readonly states: RowStates;
}

type Build = (g: GraphBuilder, x: Value, ids: Value) => Value;

/** A graph of x `[4, 6, 8]`, float32, and ids `[4, 6]`, int64 from 0 to 5. */
function graphOf(build: Build, opset = OPSET): Graph {
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'n/' });
  const x: Value = { name: 'x', type: 'float32', shape: [ROWS, 6, 8] };
  const ids: Value = { name: 'ids', type: 'int64', shape: [ROWS, 6] };
  const y = build(g, x, ids);
  const model = modelFrom(g, [x, ids], [y]);
  const initializers = model.graph!.initializer!;
  const types = inferGraph(model);
  const states = new RowStates({
    types,
    opset,
    initializers,
    rows: ROWS,
    rowInputs: new Map([
      ['x', 0],
      ['ids', 0],
    ]),
  });
  for (const node of model.graph!.node!) states.visit(node);
  return { model, output: y.name, states };
}

function weights(g: GraphBuilder, ...dims: number[]): Value {
  const random = new Random(dims.length);
  const size = dims.reduce((a, b) => a * b, 1);
  return g.constant(float32(Float32Array.from({ length: size }, () => random.uniform(-1, 1)), dims)); // prettier-ignore
}

/** Examples 0, 1, … as rows: the same number always gives the same row. */
function batchOf(examples: readonly number[]): Feeds {
  const randoms = examples.map((example) => new Random(100 + example));
  const rows = randoms.map((random) => Array.from({ length: 48 }, () => random.uniform(-2, 2)));
  const ids = randoms.map((random) => Array.from({ length: 6 }, () => random.index(6)));
  return { x: float32(rows.flat(), [examples.length, 6, 8]), ids: int64(ids.flat(), [examples.length, 6]) };
}

/** The parts of a tensor that belong to each row, where all rows come once on this axis. */
function parts({ dims, data }: Tensor, axis: number): string[] {
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const each = dims[axis]! / ROWS;
  const found: string[][] = Array.from({ length: ROWS }, () => []);
  for (let i = 0; i < data.length; i++) {
    const at = Math.floor(i / inner) % dims[axis]!;
    found[Math.floor(at / each)]!.push(String(data[i]));
  }
  return found.map((values) => values.join());
}

async function partsOf({ model, output }: Graph, examples: readonly number[], axis: number): Promise<string[]> {
  return parts((await runOnce(model, batchOf(examples)))[output]!, axis);
}

async function expectApart(graph: Graph, axis: number): Promise<void> {
  const [a, b, c, d] = (await partsOf(graph, [0, 1, 2, 3], axis)) as [string, string, string, string];
  expect(await partsOf(graph, [2, 0, 3, 1], axis)).toEqual([c, a, d, b]);
  const [other, ...others] = await partsOf(graph, [9, 1, 2, 3], axis);
  expect(others).toEqual([b, c, d]);
  expect(new Set([a, b, c, d, other]).size).toBeGreaterThan(1);
}

const arange = (g: GraphBuilder, size: number): Value =>
  g.emit('Range', [g.scalar(0, 'int64'), g.scalar(size, 'int64'), g.scalar(1, 'int64')]);
const cast = (g: GraphBuilder, value: Value): Value => g.emit('Cast', [value], { to: 1 });
const contrib = 'com.microsoft';

const apart: Record<string, [Build, axis: number]> = {
  'elementwise, with constants broadcast': [(g, x) => g.Mul(g.Add(x, weights(g, 6, 1)), weights(g, 1, 1, 8)), 0],
  'a part of each row beside the whole row': [(g, x) => g.Sub(x, g.ReduceMean(x, [1], true)), 0],
  'constants repeated for each row': [(g, x) => g.Add(x, g.Expand(weights(g, 1, 6, 8), [ROWS, 6, 8])), 0],
  'a tiled constant': [
    (g, x) => g.Concat([g.emit('Tile', [weights(g, 1, 2, 8), g.ints([ROWS, 1, 1])]), x], 1),
    0,
  ],
  'a constant of equal rows': [
    (g, x) => g.Add(x, g.constant(float32(new Float32Array(ROWS * 48).map((_, i) => i % 48), [ROWS, 6, 8]))),
    0,
  ], // prettier-ignore
  Softmax: [(g, x) => g.Softmax(x, 1), 0],
  LayerNormalization: [(g, x) => g.emit('LayerNormalization', [x, weights(g, 8)], { axis: -1 }), 0],
  'a reduction that drops an axis before': [(g, x) => g.ReduceSum(g.Transpose(x, [1, 2, 0]), [0], false), 1],
  'a matrix product with weights': [(g, x) => g.MatMul(x, weights(g, 8, 3)), 0],
  'a product of each row’s matrices': [(g, x) => g.MatMul(x, g.Transpose(x, [0, 2, 1])), 0],
  'weights from the left': [(g, x) => g.MatMul(weights(g, 5, 6), x), 0],
  'Gemm of joined rows': [(g, x) => g.Gemm(g.Reshape(x, [-1, 8]), weights(g, 8, 3), weights(g, 3)), 0],
  Einsum: [(g, x) => g.emit('Einsum', [x, weights(g, 3, 8)], { equation: 'bsd,kd->kbs' }), 1],
  Conv: [(g, x) => g.emit('Conv', [x, weights(g, 3, 6, 3)], { pads: [1, 1] }), 0],
  MaxPool: [(g, x) => g.emit('MaxPool', [x], { kernel_shape: [2] }), 0],
  'heads apart, turned and joined': [
    (g, x) => g.Reshape(g.Transpose(g.Reshape(x, [ROWS, 6, 2, 4]), [0, 2, 1, 3]), [ROWS * 2, 6, 4]),
    0,
  ],
  'positions first, joined with the rows, and apart again': [
    (g, x) => {
      const joined = g.MatMul(g.Reshape(g.Transpose(x, [1, 0, 2]), [6 * ROWS, 8]), weights(g, 8, 4));
      return g.Transpose(g.Reshape(joined, [6, ROWS, 4]), [1, 0, 2]);
    },
    0,
  ],
  'blocks of an image as rows, and back': [
    (g, x) => {
      const blocks = g.emit('SpaceToDepth', [g.Unsqueeze(x, [0])], { blocksize: 2 });
      const apart = g.Mul(g.Reshape(blocks, [4 * ROWS, 3, 4]), weights(g, 4));
      return g.emit('DepthToSpace', [g.Reshape(apart, [1, 4 * ROWS, 3, 4])], { blocksize: 2 });
    },
    1,
  ],
  'an image of channels that lie behind one another': [
    (g, x) => g.emit('DepthToSpace', [g.Reshape(x, [1, 4 * ROWS, 3, 4])], { blocksize: 2, mode: 'CRD' }),
    1,
  ],
  'windows of an image': [
    (g, x) => g.Reshape(g.Transpose(g.Reshape(x, [ROWS, 3, 2, 4, 2]), [0, 1, 3, 2, 4]), [ROWS * 12, 4]),
    0,
  ],
  'Concat, Slice, Pad, Split': [
    (g, x) => g.Split(g.Pad(g.Slice(g.Concat([x, x], 2), [3], [14], [2]), [0, 0, 1, 0, 0, 0]), [5, 7], 2)[1]!,
    0,
  ],
  'a table read by numbers': [(g, _, ids) => g.Gather(weights(g, 6, 3), ids, 0), 0],
  'a position of each row': [(g, x) => g.Gather(x, g.ints([2, 0]), 1), 0],
  GatherElements: [(g, x, ids) => g.GatherElements(x, g.Unsqueeze(ids, [2]), 1), 0],
  'GatherND within rows': [
    (g, x, ids) => g.emit('GatherND', [x, g.Unsqueeze(ids, [2])], { batch_dims: 1 }),
    0,
  ],
  'CumSum and TopK': [(g, x) => g.emitMany('TopK', [g.emit('CumSum', [x, g.scalar(1, 'int64')]), g.ints([2])], 2, { axis: 1 })[0]!, 0], // prettier-ignore
  ArgMax: [(g, x) => cast(g, g.emit('ArgMax', [x], { axis: 1, keepdims: 0 })), 0],
  LSTM: [
    (g, x) => g.emitMany('LSTM', [g.Transpose(x, [1, 0, 2]), weights(g, 1, 12, 8), weights(g, 1, 12, 3)], 1, { hidden_size: 3 })[0]!,
    2,
  ], // prettier-ignore
  'GRU that begins with a slice of zeros': [
    (g, x) => {
      const zeros = g.Slice(g.emit('ConstantOfShape', [g.ints([4, ROWS, 3])]), [1], [2], [0]);
      const read = [g.Transpose(x, [1, 0, 2]), weights(g, 1, 9, 8), weights(g, 1, 9, 3), undefined, undefined, zeros];
      return g.emitMany('GRU', read, 1, { hidden_size: 3 })[0]!;
    },
    2,
  ],
  'attention of ONNX Runtime': [
    (g, x) => g.emit('MultiHeadAttention', [x, x, x, weights(g, 24)], { num_heads: 2 }, contrib),
    0,
  ],
  'SkipLayerNormalization': [
    (g, x) => g.emit('SkipLayerNormalization', [x, weights(g, 6, 8), weights(g, 8), weights(g, 8)], { epsilon: float(1e-5) }, contrib),
    0,
  ], // prettier-ignore
  'quantised and back': [
    (g, x) => {
      const [scale, zero] = [g.scalar(0.02), g.constant({ type: 'uint8', dims: [], data: Uint8Array.of(128) })];
      return g.emit('DequantizeLinear', [g.emit('QuantizeLinear', [x, scale, zero]), scale, zero]);
    },
    0,
  ],
  'a mask picked with the numbers of rows, joined': [
    (g, _, ids) => {
      const starts = g.Mul(g.Reshape(arange(g, ROWS), [ROWS, 1, 1, 1]), g.scalar(6, 'int64'));
      const places = g.Add(g.Reshape(arange(g, 6), [1, 1, 1, 6]), starts);
      return cast(g, g.Gather(g.Reshape(ids, [-1]), places, 0));
    },
    0,
  ],
  'a mask picked with the numbers of rows, as tuples': [
    (g, _, ids) => {
      const column = (value: Value): Value => g.Unsqueeze(g.Expand(value, [ROWS, 1, 6]), [3]);
      const rows = column(g.Reshape(arange(g, ROWS), [ROWS, 1, 1]));
      return cast(g, g.emit('GatherND', [ids, g.Concat([rows, column(g.Reshape(arange(g, 6), [1, 1, 6]))], 3)]));
    },
    0,
  ],
  'the position of the largest number, counted through all rows': [
    (g, x, ids) => {
      const last = g.emit('ArgMax', [ids], { axis: 1, keepdims: 0 });
      return g.Gather(g.Reshape(x, [-1, 8]), g.Add(last, g.Mul(arange(g, ROWS), g.scalar(6, 'int64'))), 0);
    },
    0,
  ],
  'a slice that is written in place': [
    (g, x, ids) => {
      const column = (value: Value): Value => g.Unsqueeze(g.Expand(value, [ROWS, 6]), [2]);
      const rows = column(g.Reshape(arange(g, ROWS), [ROWS, 1]));
      const places = g.Concat([rows, column(g.Reshape(arange(g, 6), [1, 6]))], 2);
      return g.emit('ScatterND', [x, places, g.Expand(g.Unsqueeze(cast(g, ids), [2]), [ROWS, 6, 8])]);
    },
    0,
  ],
}; // prettier-ignore

describe('rows are apart', () => {
  it.each(Object.entries(apart))('%s', async (_, [build, axis]) => {
    const graph = graphOf(build);
    expect(graph.states.of(graph.output)).toBe(axis);
    expect(graph.states.isCutByRows(graph.output)).toBe(axis === 0);
    await expectApart(graph, axis);
  });
});

const mixed: Record<string, [Build, by: string]> = {
  'a softmax over the batch': [(g, x) => g.Softmax(x, 0), 'Softmax'],
  'a mean over the batch': [(g, x) => g.Sub(x, g.ReduceMean(x, [0], true)), 'ReduceMean'],
  'a reduction over everything': [(g, x) => g.Sub(x, g.emit('ReduceMax', [x], { keepdims: 0 })), 'ReduceMax'],
  'sums that run through the batch': [(g, x) => g.emit('CumSum', [x, g.scalar(0, 'int64')]), 'CumSum'],
  'products of all rows with each other': [(g, x) => g.Gemm(g.Gather(x, g.scalar(0, 'int64'), 1), g.Gather(x, g.scalar(0, 'int64'), 1), undefined, { transB: true }), 'Gemm'],
  'a product that broadcasts the batch against itself': [(g, x) => g.MatMul(g.Reshape(x, [1, ROWS, 48]), g.Reshape(g.Transpose(x, [1, 2, 0]), [48, ROWS])), 'MatMul'],
  'another row’s values': [(g, x) => g.Gather(x, g.ints([1, 0, 3, 2]), 0), 'Gather'],
  'a part of the batch': [(g, x) => g.Slice(x, [0], [2], [0]), 'Slice'],
  'the batch in reverse': [(g, x) => g.Slice(x, [3], [-5], [0], [-1]), 'Slice'],
  'the batch, shifted': [(g, x) => g.Pad(g.Slice(x, [1], [ROWS], [0]), [0, 0, 0, 1, 0, 0]), 'Slice'],
  'a batch appended to itself': [(g, x) => g.Concat([x, x], 0), 'Concat'],
  'constants that differ by row': [(g, x) => g.Add(x, weights(g, ROWS, 1, 1)), 'Add'],
  'numbers of rows': [(g, _, ids) => g.Add(cast(g, g.Add(ids, g.Reshape(arange(g, ROWS), [ROWS, 1]))), 0), 'Cast'],
  'a constant that counts for each row': [
    (g, _, ids) => cast(g, g.Add(ids, g.Reshape(g.emit('ArgMax', [weights(g, ROWS, 5)], { axis: 1 }), [ROWS, 1]))),
    'Add',
  ],
  'scales of the whole batch': [(g, x) => cast(g, g.emitMany('DynamicQuantizeLinear', [x], 3)[0]!), 'DynamicQuantizeLinear'],
  'states of their own that layers begin with': [
    (g, x) => {
      const read = [g.Transpose(x, [1, 0, 2]), weights(g, 1, 9, 8), weights(g, 1, 9, 3), undefined, undefined, weights(g, 1, ROWS, 3)];
      return g.emitMany('GRU', read, 1, { hidden_size: 3 })[0]!;
    },
    'GRU',
  ],
  'blocks in which each row has a corner': [
    (g, x) => g.emit('DepthToSpace', [g.Reshape(x, [1, 4 * ROWS, 3, 4])], { blocksize: 2 }),
    'DepthToSpace',
  ],
  'rows joined with what comes after': [(g, x) => g.Reshape(g.Transpose(x, [1, 0, 2]), [8, 24]), 'Reshape'],
  'random numbers': [(g, x) => g.Add(x, g.emit('RandomUniformLike', [x])), 'RandomUniformLike'],
  'positions counted through the batch': [(g, x) => cast(g, g.emitMany('MaxPool', [x], 2, { kernel_shape: [2] })[1]!), 'MaxPool'],
  'a place that may lie in the next row': [(g, x, ids) => g.Gather(g.Reshape(x, [-1, 8]), g.Add(g.Gather(ids, g.scalar(0, 'int64'), 1), g.Mul(arange(g, ROWS), g.scalar(6, 'int64'))), 0), 'Gather'],
  'places of one row too far': [(g, x) => g.Gather(g.Reshape(x, [-1, 8]), g.Mul(arange(g, ROWS), g.scalar(5, 'int64')), 0), 'Gather'],
  'a sum of rows across and down': [
    (g, _, ids) => {
      const first = g.Gather(ids, g.scalar(0, 'int64'), 1);
      return cast(g, g.Add(g.Reshape(first, [ROWS, 1]), g.Reshape(first, [1, ROWS])));
    },
    'Add',
  ],
}; // prettier-ignore

describe('rows are mixed by', () => {
  it.each(Object.entries(mixed))('%s', (_, [build, by]) => {
    const graph = graphOf(build);
    const state: RowState = graph.states.of(graph.output);
    expect(state).toEqual({ mixedBy: expect.stringMatching(`^${by} "`) as string });
  });

  it('a softmax of old over all axes from the first', () => {
    const graph = graphOf((g, x) => g.Softmax(g.Transpose(x, [1, 0, 2]), 1), 11);
    expect(graph.states.of(graph.output)).toEqual({ mixedBy: 'Softmax "n/Softmax_1"' });
  });

  it('an input without rows', () => {
    const states = new RowStates({
      types: new Map(),
      opset: OPSET,
      initializers: [],
      rows: ROWS,
      rowInputs: new Map([['x', 0]]),
    });
    expect(states.of('sizes')).toEqual({ mixedBy: 'the input "sizes", without a row for each example' });
  });
});

describe('reshaping and turning', () => {
  /** Turns and reshapes, each by a random choice among what fits. */
  const moves = fc.array(fc.tuple(fc.boolean(), fc.nat(1000)), { minLength: 1, maxLength: 5 });

  it('whatever is said to be cut by rows is', async () => {
    let cuts = 0;
    await fc.assert(
      fc.asyncProperty(moves, async (chosen) => {
        const graph = graphOf((g, x) => chosen.reduce((value, [turns, pick]) => moved(g, value, turns, pick), x));
        if (!graph.states.isCutByRows(graph.output)) return;
        cuts++;
        // Each number is that of its row.
        const x = float32(Float32Array.from({ length: ROWS * 48 }, (_, i) => Math.floor(i / 48)), [ROWS, 6, 8]); // prettier-ignore
        const { [graph.output]: y } = await runOnce(graph.model, { x, ids: batchOf([0, 1, 2, 3])['ids']! });
        expect(y!.data).toEqual(x.data);
      }),
      { numRuns: 60 },
    );
    expect(cuts).toBeGreaterThan(15);
  });

  function moved(g: GraphBuilder, value: Value, turns: boolean, pick: number): Value {
    const shape = value.shape as number[];
    if (turns && shape.length > 1) {
      const axes = shape.map((_, i) => i);
      const from = pick % shape.length;
      const perm = [...axes.slice(from), ...axes.slice(0, from)];
      return g.Transpose(value, perm);
    }
    // Join two neighbours, or cut an axis in two.
    const axis = pick % shape.length;
    const size = shape[axis]!;
    const factor = [2, 3, 4].find((each) => size % each === 0 && size > each);
    if (pick % 2 === 0 && axis + 1 < shape.length)
      return g.Reshape(value, [...shape.slice(0, axis), size * shape[axis + 1]!, ...shape.slice(axis + 2)]);
    if (factor === undefined) return value;
    return g.Reshape(value, [...shape.slice(0, axis), factor, size / factor, ...shape.slice(axis + 1)]);
  }
});
