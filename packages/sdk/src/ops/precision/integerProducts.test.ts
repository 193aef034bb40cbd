/** @file Products in integers give what their formula gives, computed here number by number; on any processor, with weights that do not saturate. */

import { describe, expect, it } from 'vitest';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { runSync } from '../../graph/eventLoop.ts';
import { Random } from '../../runtime/random.ts';
import { float32 } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { CONTRIB } from '../domains.ts';
import { inPrecision } from './precision.ts';

const [ROWS, IN, OUT] = [6, 24, 10];
const random = new Random(3);
const normals = (count: number, size = 1): Float32Array => Float32Array.from({ length: count }, () => size * random.normal()); // prettier-ignore
const weights = normals(IN * OUT, 0.1);
const bias = normals(OUT);
const addend = normals(ROWS * OUT);
/** Rows of very different sizes, one of zeros. */
const values = Float32Array.from(
  Array.from({ length: ROWS }, (_, row) => (row === 2 ? 0 : 10 ** (2 * row - 6))).flatMap((size) => [
    ...normals(IN, size),
  ]),
);
const x = float32(values, [ROWS, IN]);

/** x · w with w `[in, out]`: each column of w in steps of its largest sum of two neighbours ÷ 127, each row of x in steps of its largest magnitude ÷ 127. */
function expected(of: ArrayLike<number>, w: (i: number, j: number) => number): number[] {
  const rows = Array.from({ length: ROWS }, (_, row) => Array.from({ length: IN }, (__, i) => of[row * IN + i]!));
  const largest = rows.map((row) => Math.max(1e-30, ...row.map(Math.abs)));
  const rounded = rows.map((row, r) => row.map((value) => Math.round((127 * value) / largest[r]!)));
  return rounded.flatMap((row, r) =>
    Array.from({ length: OUT }, (_, j) => {
      const pairs = row.flatMap((__, i) => (i % 2 === 0 ? [[w(i, j), w(i + 1, j)] as const] : []));
      const sums = pairs.map(([a, b]) => (a * b > 0 ? Math.abs(a + b) : Math.max(Math.abs(a), Math.abs(b))));
      const scale = Math.max(...sums) / 127;
      const sum = row.reduce((total, value, i) => total + value * Math.round(w(i, j) / scale), 0);
      return (sum * scale * largest[r]!) / 127;
    }),
  );
}

async function computed(
  emit: (g: GraphBuilder, x: Value) => Value,
): Promise<readonly [operators: string[], y: number[]]> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const input: Value = { name: 'x', type: 'float32', shape: ['rows', IN] };
  const y = emit(g, input);
  const precision = { name: 'int8', saturates: true, smallest: 1 } as const;
  const model = runSync(inPrecision(modelFrom(g, [input], [y]), precision));
  const { [y.name]: found } = await runOnce(model, { x });
  return [model.graph!.node!.map(({ opType }) => opType!), Array.from(found!.data, Number)];
}

/** Within a thousandth of what the row's numbers are like: another rounding of a half is a step of one number. */
function requireClose(found: readonly number[], wanted: readonly number[]): void {
  expect(found).toHaveLength(wanted.length);
  for (let row = 0; row < ROWS; row++) {
    const own = wanted.slice(row * OUT, (row + 1) * OUT);
    const size = Math.hypot(...own) / Math.sqrt(OUT);
    own.forEach((each, j) => expect(Math.abs(found[row * OUT + j]! - each)).toBeLessThanOrEqual(0.005 * size + 1e-30));
  }
}

const straight = (i: number, j: number): number => weights[i * OUT + j]!;
const turned = (i: number, j: number): number => weights[j * IN + i]!;
const plain = (g: GraphBuilder): Value => g.constant(float32(weights, [IN, OUT]));
const transposed = (g: GraphBuilder): Value => g.constant(float32(weights, [OUT, IN]));

describe('products in integers', () => {
  const plus = (row: number[], added: (i: number) => number): number[] => row.map((value, i) => value + added(i));
  it.each([
    ['MatMul', straight, (g: GraphBuilder, v: Value) => g.MatMul(v, plain(g)), 0],
    ['MatMul with a transposed weight', turned, (g: GraphBuilder, v: Value) => g.MatMul(v, g.Transpose(transposed(g), [1, 0])), 0],
    ['Gemm', turned, (g: GraphBuilder, v: Value) => g.Gemm(v, transposed(g), undefined, { transB: true }), 0],
    ['Gemm with a bias', straight, (g: GraphBuilder, v: Value) => g.Gemm(v, plain(g), g.constant(float32(bias, [OUT]))), 1],
    ['Gemm with an addend', straight, (g: GraphBuilder, v: Value) => g.Gemm(v, plain(g), g.constant(float32(addend, [ROWS, OUT]))), 2],
    ['FusedMatMul', turned, (g: GraphBuilder, v: Value) => g.emit('FusedMatMul', [v, transposed(g)], { transB: 1 }, CONTRIB), 0],
  ] as const)('%s', async (_, w, emit, added) => {
    const [operators, y] = await computed(emit);
    expect(operators).toContain('MatMulIntegerToFloat');
    const wanted = plus(expected(values, w), (i) => [0, bias[i % OUT]!, addend[i]!][added]!);
    // Against something that is added, small rows are rounding errors of float32.
    if (added === 0) requireClose(y, wanted);
    else y.forEach((value, i) => expect(Math.abs(value - wanted[i]!)).toBeLessThan(0.005 * (1 + Math.abs(wanted[i]!))));
  }); // prettier-ignore

  it('are within two percent of float32 in every row, however small its numbers', async () => {
    const [, y] = await computed((g, v) => g.MatMul(v, plain(g)));
    for (let row = 0; row < ROWS; row++) {
      const exact = Array.from({ length: OUT }, (_, j) =>
        Array.from({ length: IN }).reduce<number>((sum, __, i) => sum + values[row * IN + i]! * straight(i, j), 0),
      );
      const error = Math.hypot(...exact.map((each, j) => each - y[row * OUT + j]!));
      expect(error).toBeLessThanOrEqual(0.03 * Math.hypot(...exact));
    }
  });

  it('round what several of them read once', async () => {
    const [operators] = await computed((g, v) => g.Add(g.MatMul(v, plain(g)), g.Gemm(v, transposed(g), undefined, { transB: true }))); // prettier-ignore
    expect(operators.filter((each) => each === 'QuantizeLinear')).toHaveLength(1);
    expect(operators.filter((each) => each === 'MatMulIntegerToFloat')).toHaveLength(2);
  });

  it.each([
    ['a scaled Gemm', (g: GraphBuilder, v: Value) => g.Gemm(v, plain(g), undefined, { alpha: 2 })],
    ['a product of values', (g: GraphBuilder, v: Value) => g.MatMul(v, g.Transpose(v, [1, 0]))],
  ] as const)('leave %s alone', async (_, emit) => {
    expect((await computed(emit))[0]).not.toContain('MatMulIntegerToFloat');
  });

  describe('that are added are one', () => {
    const other = normals(IN * OUT, 0.1);
    const small = float32(normals(ROWS * IN, 0.01), [ROWS, IN]);
    const exact = (data: ArrayLike<number>, w: Float32Array): number[] =>
      Array.from({ length: ROWS * OUT }, (_, at) => {
        const [row, j] = [Math.floor(at / OUT), at % OUT];
        return Array.from({ length: IN }).reduce<number>((sum, __, i) => sum + data[row * IN + i]! * w[j * IN + i]!, 0);
      });
    const gemm = (g: GraphBuilder, v: Value, w: Float32Array, plus?: Value): Value =>
      g.Gemm(v, g.constant(float32(w, [OUT, IN])), plus, { transB: true });
    const plus = (g: GraphBuilder): Value => g.constant(float32(addend, [ROWS, OUT]));
    const cube = [ROWS / 2, 2, OUT];
    it.each([
      [
        'one after the other',
        1,
        (g: GraphBuilder, v: Value, o: Value) => gemm(g, v, weights, gemm(g, o, other, plus(g))),
      ],
      [
        'with another sum between them',
        1,
        (g: GraphBuilder, v: Value, o: Value) =>
          gemm(
            g,
            v,
            weights,
            g.Reshape(g.Add(g.Reshape(plus(g), cube), g.Reshape(gemm(g, o, other), cube)), [ROWS, OUT]),
          ),
      ],
      [
        'but where the sum between them is read by others',
        2,
        (g: GraphBuilder, v: Value, o: Value) => {
          const before = gemm(g, o, other, plus(g));
          return g.Add(gemm(g, v, weights, before), g.Mul(before, 0));
        },
      ],
      [
        'but not with weights that are transposed differently',
        2,
        (g: GraphBuilder, v: Value, o: Value) => {
          const turnedOther = Float32Array.from(other, (_, at) => other[(at % OUT) * IN + Math.floor(at / OUT)]!);
          return gemm(g, v, weights, g.Gemm(o, g.constant(float32(turnedOther, [IN, OUT])), plus(g)));
        },
      ],
    ] as const)('%s', async (_, count, emit) => {
      const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
      const inputs = ['x', 'small'].map((name): Value => ({ name, type: 'float32', shape: ['rows', IN] }));
      const y = emit(g, inputs[0]!, inputs[1]!);
      const model = runSync(inPrecision(modelFrom(g, inputs, [y]), { name: 'int8', saturates: true, smallest: 1 }));
      const { [y.name]: found } = await runOnce(model, { x, small });
      expect(model.graph!.node!.filter(({ opType }) => opType === 'MatMulIntegerToFloat')).toHaveLength(count);
      const [own, theirs] = [exact(values, weights), exact(small.data as Float32Array, other)];
      for (let row = 0; row < ROWS; row++) {
        const at = Array.from({ length: OUT }, (__, j) => row * OUT + j);
        const size = Math.hypot(...at.map((i) => own[i]!), ...at.map((i) => theirs[i]!));
        const error = Math.hypot(...at.map((i) => (found!.data[i] as number) - own[i]! - theirs[i]! - addend[i]!));
        expect(error).toBeLessThanOrEqual(0.03 * size + 1e-6);
      }
    });
  });
});
