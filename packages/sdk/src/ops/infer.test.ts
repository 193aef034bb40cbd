/** @file Inferred types, shapes and integer contents against what ONNX Runtime really computes. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { vitModel } from '../../../../test/fixtures/vit.ts';
import { caseFolders } from '../../../../test/support/caseFolders.ts';
import { modelFrom, runOnce } from '../../../../test/support/graphs.ts';
import { readSafetensors } from '../adapter/formats/safetensors.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import type { Attributes } from '../graph/attributes.ts';
import { openOnnx } from '../graph/file/onnxFile.ts';
import type { ModelProto } from '../graph/proto.ts';
import type { Dim, ValueType } from '../graph/value.ts';
import { type Feeds, float32, int64, type Tensor } from '../runtime/tensor.ts';
import { add, broadcast, divideExactly, multiply, product, subtract, symbol } from './dim.ts';
import { inferNode } from './infer.ts';
import { declaredType, inferGraph } from './inferGraph.ts';

/** Every value of the main graph, computed. Exposing all of them also keeps the runtime from fusing nodes. */
async function allValues(model: ModelProto, feeds: Feeds): Promise<Record<string, Tensor>> {
  const names = [...new Set(model.graph!.node!.flatMap(({ output }) => output!.filter(Boolean)))];
  return runOnce({ ...model, graph: { ...model.graph, output: names.map((name) => ({ name })) } }, feeds);
}

/** Wrong inferences; empty if all claims are true. `known` counts the claims. */
function compare(
  types: ReadonlyMap<string, ValueType>,
  real: Readonly<Record<string, Tensor>>,
  symbols: ReadonlyMap<string, number>,
): { wrong: string[]; unknown: string[]; known: number } {
  const wrong: string[] = [];
  const unknown: string[] = [];
  let known = 0;
  const size = (dim: Dim): number | undefined => (typeof dim === 'number' ? dim : symbols.get(dim));
  for (const [name, { type, dims, data }] of Object.entries(real)) {
    const inferred = types.get(name) ?? {};
    if (inferred.type && inferred.type !== type) wrong.push(`${name}: ${inferred.type}, really ${type}`);
    if (!inferred.shape) unknown.push(name);
    else if (
      inferred.shape.length !== dims.length ||
      inferred.shape.some((dim, i) => (size(dim) ?? dims[i]) !== dims[i])
    ) {
      wrong.push(`${name}: [${inferred.shape.join(', ')}], really [${dims.join(', ')}]`);
    } else known++;
    const isWrong =
      inferred.ints &&
      (inferred.ints.length !== data.length ||
        inferred.ints.some((value, i) => (size(value) ?? Number(data[i])) !== Number(data[i])));
    if (isWrong) wrong.push(`${name} holds ${inferred.ints!.join()}, really ${[...data].join()}`);
  }
  return { wrong, unknown, known };
}

/** Sizes of the named dimensions of the inputs. */
function symbolsOf(model: ModelProto, feeds: Feeds): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const info of model.graph!.input!) {
    declaredType(info).shape?.forEach((dim, i) => {
      if (typeof dim === 'string' && feeds[info.name!])
        sizes.set(dim.startsWith('?') ? `?${info.name}.${i}` : dim, feeds[info.name!]!.dims[i]!);
    });
  }
  return sizes;
}

async function check(
  model: ModelProto,
  feeds: Feeds,
): Promise<{ bound: ReturnType<typeof compare>; symbolic: ReturnType<typeof compare> }> {
  const real = await allValues(model, feeds);
  const shapes = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]));
  return {
    bound: compare(inferGraph(model, { shapes }), real, new Map()),
    symbolic: compare(inferGraph(model), real, symbolsOf(model, feeds)),
  };
}

describe('models', () => {
  test('a Vision Transformer, bound and with a symbolic batch', async () => {
    const model = vitModel({ hidden: 16, layers: 1, heads: 2, image: 16, patch: 8, classes: 3 });
    const { bound, symbolic } = await check(model, {
      pixel_values: float32(new Float32Array(2 * 3 * 16 * 16), [2, 3, 16, 16]),
    });
    expect(bound).toMatchObject({ wrong: [], unknown: [] });
    expect(symbolic).toMatchObject({ wrong: [], unknown: [] });
  });

  test.each(caseFolders().filter(([, folder]) => existsSync(join(folder, 'inputs.safetensors'))))(
    '%s',
    async (_, folder) => {
      const { model } = openOnnx(join(folder, 'model.onnx'));
      const { tensors } = await readSafetensors(join(folder, 'inputs.safetensors'));
      const feeds = Object.fromEntries(
        (model.graph.input ?? []).flatMap(({ name }) => (tensors.has(name!) ? [[name!, tensors.get(name!)!]] : [])),
      );
      const { bound, symbolic } = await check(model, feeds);
      expect(bound).toMatchObject({ wrong: [], unknown: [] });
      expect(symbolic.wrong).toEqual([]);
    },
  );
});

describe('operators', () => {
  const value = (name: string, ...shape: Dim[]): Value => ({ name, type: 'float32', shape });
  /** Shape of the last value that `build` emits, inferred; equal to the real one, or the test fails. */
  const inferred = async (
    build: (g: GraphBuilder, x: Value) => Value,
    dims: readonly number[],
    opset = 18,
  ): Promise<readonly Dim[] | undefined> => {
    const g = new GraphBuilder({ opset, infer: inferNode, prefix: '' });
    const x = value('x', ...dims);
    const y = build(g, x);
    const real = (
      await runOnce(modelFrom(g, [x], [y]), { x: float32(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims) })
    )[y.name];
    expect([y.type, y.shape]).toEqual([real!.type, real!.dims]);
    if (y.ints) expect(y.ints).toEqual([...real!.data].map(Number));
    return y.shape;
  };
  const emit =
    (op: string, rest: (number[] | Value)[], attributes: Attributes = {}) =>
    (g: GraphBuilder, x: Value): Value =>
      g.emit(op, [x, ...rest.map((each) => (Array.isArray(each) ? g.ints(each) : each))], attributes);

  test.each<[string, (g: GraphBuilder, x: Value) => Value, number[], number?]>([
    ['MaxPool with ceil_mode', emit('MaxPool', [], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }), [1, 2, 5, 5]],
    ['MaxPool whose last window would lie in the padding', emit('MaxPool', [], { kernel_shape: [1], strides: [2], ceil_mode: 1, pads: [0, 0] }), [1, 1, 6]],
    ['AveragePool SAME_UPPER', emit('AveragePool', [], { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' }), [1, 2, 5, 6]],
    ['ConvTranspose', (g, x) => g.emit('ConvTranspose', [x, g.constant(float32(new Float32Array(36), [2, 2, 3, 3]))], { strides: [2, 2], pads: [1, 0, 1, 1], output_padding: [1, 0] }), [1, 2, 4, 5]],
    ['Slice backwards', (g, x) => g.Slice(x, [-1, 3], [-100, 0], [0, 1], [-2, -1]), [5, 6]],
    ['Slice beyond the end', (g, x) => g.Slice(x, [2, -2], [1000, 2 ** 53 - 1], [0, 1]), [5, 6]],
    ['Split in uneven chunks', (g, x) => g.emitMany('Split', [x], 3, { num_outputs: 3 })[2]!, [7, 2]],
    ['Pad of some axes', (g, x) => g.emit('Pad', [x, g.ints([1, -1]), undefined, g.ints([-1])]), [2, 3]],
    ['Tile', emit('Tile', [[2, 3]]), [2, 3]],
    ['Expand both ways', emit('Expand', [[2, 1, 1]]), [4, 1]],
    ['Reshape with 0 and −1', emit('Reshape', [[0, -1, 2]]), [3, 4, 2]],
    ['Reshape with allowzero', emit('Reshape', [[0, 3]], { allowzero: 1 }), [0, 3]],
    ['Flatten at a negative axis', emit('Flatten', [], { axis: -1 }), [2, 3, 4]],
    ['Einsum with the output left out', (g, x) => g.emit('Einsum', [x, x], { equation: 'bij,bkj->bik' }), [2, 3, 4]],
    ['ArgMax without keepdims', emit('ArgMax', [], { axis: -1, keepdims: 0 }), [2, 3]],
    ['TopK', (g, x) => g.emitMany('TopK', [x, g.ints([2])], 2, { axis: 1 })[1]!, [2, 3]],
    ['GatherND', (g, x) => g.emit('GatherND', [x, g.constant(int64([0, 1, 1, 0], [2, 2]))]), [2, 3, 4]],
    ['DepthToSpace', emit('DepthToSpace', [], { blocksize: 2 }), [1, 8, 2, 3]],
    ['contents of a turned-around matrix', (g, x) => g.Reshape(g.Transpose(g.Slice(g.Reshape(g.Concat([g.Shape(x), g.ints([7, 8])], 0), [-1, 2]), [-1], [-100], [0], [-1]), [1, 0]), [-1]), [5, 6]],
    ['contents of a row of a matrix are not guessed', (g, x) => g.Gather(g.Reshape(g.Concat([g.Shape(x), g.ints([7, 8])], 0), [2, 2]), g.scalar(1, 'int64'), 0), [5, 6]],
    ['contents of rows that become a matrix', (g, x) => g.emit('ConstantOfShape', [g.Reshape(g.Concat([g.Shape(x), g.ints([7, 8])].map((row) => g.Unsqueeze(row, [0])), 0), [-1])]), [5, 6]],
    ['contents of OneHot', (g, x) => g.Reshape(g.emit('OneHot', [g.ints([1, -1]), g.scalar(3, 'int64'), g.Shape(x)]), [-1]), [4, 9]],
    ['contents of Shape with start and end', emit('Shape', [], { start: -2, end: 3 }), [2, 3, 4, 5]],
    ['contents of integer arithmetic', (g, x) => { const n = g.Shape(x); return g.Sub(g.Mul(g.Div(n, g.ints([2])), n), g.ints([-3])); }, [5, 8]],
    ['contents of the smaller and the larger', (g, x) => g.emit('ConstantOfShape', [g.emit('Max', [g.emit('Min', [g.Shape(x), g.ints([3, 9])]), g.ints([1, 7])])]), [5, 6]],
    ['contents of Range', (g, x) => g.emit('Range', [g.scalar(1, 'int64'), g.Gather(g.Shape(x), g.scalar(0, 'int64'), 0), g.scalar(2, 'int64')]), [8]],
    ['reduction before axes were inputs', emit('ReduceMean', [], { axes: [-1], keepdims: 0 }), [2, 3], 17],
  ])('%s', async (_, build, dims, opset) => expect(await inferred(build, dims, opset)).toBeDefined()); // prettier-ignore
});

describe('an axis whose size has a name', () => {
  const x: Value = { name: 'x', type: 'float32', shape: ['n', 3] };
  /** The inferred first axis, checked on inputs of several lengths. */
  const claimed = async (build: (g: GraphBuilder) => Value): Promise<Dim> => {
    const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
    const y = build(g);
    const [dim] = inferGraph(modelFrom(g, [x], [y])).get(y.name)!.shape!;
    for (const n of [1, 4, 12]) {
      const real = (await runOnce(modelFrom(g, [x], [y]), { x: float32(new Float32Array(3 * n), [n, 3]) }))[y.name]!;
      const size = typeof dim === 'number' ? dim : { n, '(n-2)': Math.max(n - 2, 0) }[dim!];
      expect(size ?? real.dims[0], `${dim} of ${n}`).toBe(real.dims[0]);
    }
    return dim!;
  };
  const sliced = (...bounds: number[]): Promise<Dim> =>
    claimed((g) => g.emit('Slice', [x, ...bounds.slice(0, 2).map((each) => g.ints([each])), g.ints([0]), g.ints(bounds.slice(2))])); // prettier-ignore

  test.each([1e9, 2 ** 31 - 1, 2 ** 53, 2 ** 63])('whole, to an end written as %d', async (end) => {
    expect(await sliced(0, Math.min(end, 2 ** 63 - 1024), 1)).toBe('n');
    expect(await sliced(-end, Math.min(end, 2 ** 63 - 1024), 1)).toBe('n');
    expect(await sliced(2, Math.min(end, 2 ** 63 - 1024), 1)).toBe('(n-2)');
  });
  test('one element at either end', async () => {
    expect([await sliced(0, 1, 1), await sliced(-1, 1e9, 1)]).toEqual([1, 1]);
  });
  test.each([[0, 10], [-3, 1e9], [1, 3], [0, -1], [-1, -1e9, -1], [2e9, 3e9]])('%d to %d: no more is claimed than holds', async (start, end, step = 1) => {
    expect(await sliced(start, end, step)).toMatch(/^slice\(n,/);
  }); // prettier-ignore
});

describe('dimensions', () => {
  test('products and quotients of symbols are canonical', () => {
    expect(multiply('b', multiply(3, 'a'))).toBe(multiply('a', multiply('b', 3)));
    expect(divideExactly(product(['b', 4, 'a']), multiply('a', 2))).toBe('2*b');
    expect(divideExactly('a', 2)).toBeUndefined();
    expect([add('a', 0), subtract('a', 'a'), multiply('a', 0), product([])]).toEqual(['a', 0, 0, 1]);
  });
  test('broadcasting', () => {
    expect(broadcast([2, 1, 'n'], [3, 1])).toEqual([2, 3, 'n']);
    expect(broadcast(['n'], [4])).toEqual([4]);
    expect(broadcast([2], [3])).toBeUndefined();
  });
  test('expressions that double with every step stay short', () => {
    let dim: Dim = 'n';
    for (let i = 0; i < 200; i++) dim = multiply(add(dim, dim), dim);
    expect(String(dim).length).toBeLessThan(400);
    expect(symbol('x'.repeat(500))).toBe(symbol('x'.repeat(500)));
  });
});
