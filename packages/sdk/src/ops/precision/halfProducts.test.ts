/** @file Products in float16 give what their formula gives for operands that are rounded, computed here number by number. */

import { describe, expect, it } from 'vitest';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { dataTypeName } from '../../graph/dataType.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { runSync } from '../../graph/eventLoop.ts';
import { fromHalves, toHalf, toShorts } from '../../runtime/halfFloat.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64 } from '../../runtime/tensor.ts';
import { CONTRIB } from '../domains.ts';
import { inferNode } from '../infer.ts';
import { inPrecision } from './precision.ts';

const [ROWS, IN, OUT] = [6, 24, 10];
const random = new Random(5);
const normals = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
const rounded = (values: Float32Array): Float32Array => fromHalves(toShorts(values, toHalf));
const weights = normals(IN * OUT);
const bias = normals(OUT);
const feeds = { x: float32(normals(ROWS * IN), [ROWS, IN]), addend: float32(normals(ROWS * OUT), [ROWS, OUT]) };
const inputs: Record<keyof typeof feeds, Value> = {
  x: { name: 'x', type: 'float32', shape: ['rows', IN] },
  addend: { name: 'addend', type: 'float32', shape: ['rows', OUT] },
};

/** The graph of y with its products in float16. */
function inHalves(emit: (g: GraphBuilder) => Value, from: readonly Value[]): { model: ModelProto; y: string } {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const y = emit(g);
  const model = modelFrom(g, from, [y]);
  return { model: runSync(inPrecision(model, { name: 'float16', smallest: 1 })), y: y.name };
}

async function run(model: ModelProto, given: Feeds, y: string): Promise<number[]> {
  return Array.from((await runOnce(model, given))[y]!.data, Number);
}

/** Storage types of the weights of a graph. */
function stored({ graph }: ModelProto): string[] {
  return graph!.initializer!.map(({ dataType }) => dataTypeName(dataType)!);
}

/** Within the rounding of a sum to 11 bits. */
function expectClose(found: readonly number[], wanted: readonly number[]): void {
  expect(found).toHaveLength(wanted.length);
  found.forEach((value, i) => expect(Math.abs(value - wanted[i]!)).toBeLessThan(1e-3 * (5 + Math.abs(wanted[i]!))));
}

const straight = (i: number, j: number): number => i * OUT + j;
const turned = (i: number, j: number): number => j * IN + i;
const plain = (g: GraphBuilder): Value => g.constant(float32(weights, [IN, OUT]));
const transposed = (g: GraphBuilder): Value => g.constant(float32(weights, [OUT, IN]));
const { x, addend } = inputs;

describe('products in float16', () => {
  it.each([
    ['MatMul', straight, (g: GraphBuilder) => g.MatMul(x, plain(g)), 0],
    ['MatMul with a transposed weight', turned, (g: GraphBuilder) => g.MatMul(x, g.Transpose(transposed(g), [1, 0])), 0],
    ['Gemm', turned, (g: GraphBuilder) => g.Gemm(x, transposed(g), undefined, { transB: true }), 0],
    ['Gemm with a bias', straight, (g: GraphBuilder) => g.Gemm(x, plain(g), g.constant(float32(bias, [OUT]))), 1],
    ['Gemm with an addend', straight, (g: GraphBuilder) => g.Gemm(x, plain(g), addend), 2],
    ['FusedMatMul', turned, (g: GraphBuilder) => g.emit('FusedMatMul', [x, transposed(g)], { transB: 1 }, CONTRIB), 0],
  ] as const)('%s', async (_, place, emit, added) => {
    const { model, y } = inHalves(emit, added === 2 ? [x, addend] : [x]);
    expect(new Set(stored(model))).toEqual(new Set(['float16']));
    const [values, matrix] = [rounded(feeds.x.data as Float32Array), rounded(weights)];
    const wanted = Array.from({ length: ROWS * OUT }, (__, at) => {
      const [row, j] = [Math.floor(at / OUT), at % OUT];
      const terms = Array.from({ length: IN }, (___, i) => values[row * IN + i]! * matrix[place(i, j)]!);
      return terms.reduce((sum, term) => sum + term) + [0, bias[j]!, Number(feeds.addend.data[at])][added]!;
    });
    expectClose(await run(model, added === 2 ? feeds : { x: feeds.x }, y), wanted);
  }); // prettier-ignore

  const image: Value = { name: 'image', type: 'float32', shape: ['n', 3, 5, 5] };
  const kernel = normals(4 * 3 * 3 * 3);
  const convolved = (g: GraphBuilder, numbers: Float32Array): Value =>
    g.emit('Conv', [image, g.constant(float32(numbers, [4, 3, 3, 3])), g.constant(float32(bias.slice(0, 4), [4]))]);

  it('convolutions, as one of rounded numbers', async () => {
    const pixels = normals(2 * 75);
    const { model, y } = inHalves((g) => convolved(g, kernel), [image]);
    expect(stored(model)).toEqual(['float16', 'float16']);
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
    const exact = convolved(g, rounded(kernel));
    const wanted = await run(modelFrom(g, [image], [exact]), { image: float32(rounded(pixels), [2, 3, 5, 5]) }, exact.name); // prettier-ignore
    expectClose(await run(model, { image: float32(pixels, [2, 3, 5, 5]) }, y), wanted);
  });

  it('rows of a table, to the bit, and its product with a head from the same copy', async () => {
    const ids: Value = { name: 'ids', type: 'int64', shape: ['n'] };
    const { model, y } = inHalves(
      (g) => {
        const table = transposed(g);
        return g.Gemm(g.Gather(table, ids, 0), table, undefined, { transB: true });
      },
      [ids],
    );
    expect(stored(model)).toEqual(['float16']);
    const rows = [3, 0, 9];
    const table = rounded(weights);
    const wanted = rows.flatMap((row) =>
      Array.from({ length: OUT }, (_, j) => {
        const terms = Array.from({ length: IN }, (__, i) => table[turned(i, row)]! * table[turned(i, j)]!);
        return terms.reduce((sum, term) => sum + term);
      }),
    );
    expectClose(await run(model, { ids: int64(rows, [3]) }, y), wanted);
  });

  it('round what several of them read once', () => {
    const { model } = inHalves(
      (g) => g.Add(g.MatMul(x, plain(g)), g.Gemm(x, transposed(g), undefined, { transB: true })),
      [x],
    );
    const casts = model.graph!.node!.filter(({ opType, input }) => opType === 'Cast' && input![0] === 'x');
    expect(casts).toHaveLength(1);
  });

  it.each([
    ['a product of values', (g: GraphBuilder) => g.MatMul(x, g.Transpose(x, [1, 0]))],
    ['a weight with a number that would be infinite', (g: GraphBuilder) => g.MatMul(x, g.constant(float32(weights.with(5, 65_520), [IN, OUT])))],
  ] as const)('leave %s alone', (_, emit) => {
    expect(inHalves(emit, [x]).model.graph!.node!.map(({ opType }) => opType)).not.toContain('Cast');
  }); // prettier-ignore
});
