/** @file The table of axes, held against ONNX Runtime: positions of a traced axis are computed apart, and in their order. */

import { expect, test } from 'vitest';
import { checkOf, type Case, type Operand } from '../../../../test/support/gradcheck.ts';
import { cases } from '../../../../test/support/gradientCases.ts';
import { cpuSession } from '../../../../test/support/graphs.ts';
import { sizeOf, type Tensor } from '../runtime/tensor.ts';
import { type AxisOperand, traceAxis } from './axes.ts';

/** Cases of float operands that are fed, and of integers that the graph knows. */
const usable = Object.entries(cases).flatMap(([op, all]) =>
  all
    .filter(({ inputs }) => inputs.every((operand) => operand === undefined || shapeOf(operand)))
    .map((each) => [op, each] as const),
);

function shapeOf(operand: Operand): readonly number[] | undefined {
  if (!operand || 'same' in operand) return undefined;
  if ('scales' in operand) return [operand.scales.length];
  if ('ints' in operand) return operand.dims ?? [operand.ints.length];
  const shape = 'shape' in operand ? operand.shape : 'dims' in operand ? operand.dims : operand;
  return shape.includes(0) ? undefined : shape;
}

/** The positions of `axis`, or the parts of equal length, in the order that `from` says. */
function reordered({ type, dims, data }: Tensor, axis: number, parts: number, from: (part: number) => number): Tensor {
  const inner = sizeOf(dims.slice(axis + 1));
  const length = (dims[axis]! / parts) * inner;
  const source = (i: number): number => {
    const part = Math.floor(i / length) % parts;
    return i + (from(part) - part) * length;
  };
  return { type, dims, data: (data as Float32Array).map((_, i) => (data as Float32Array)[source(i)]!) };
}

function expectClose(found: Tensor, expected: Tensor, where: string): void {
  expect(found.dims, where).toEqual(expected.dims);
  found.data.forEach((value, i) => {
    const wanted = Number(expected.data[i]);
    if (!(Math.abs(Number(value) - wanted) <= 1e-5 * Math.max(1, Math.abs(wanted))) && !Number.isNaN(wanted))
      expect(`${where}: ${value}`).toBe(`${where}: ${wanted}`);
  });
}

/** How many axes of the outputs are traced. */
async function check(op: string, each: Case): Promise<number> {
  const { forward, feeds, read } = checkOf(op as 'Add', each);
  const [node] = forward.graph!.node as [NonNullable<NonNullable<typeof forward.graph>['node']>[number]];
  const x = each.inputs.map((operand): AxisOperand | undefined => {
    if (!operand) return undefined;
    return { shape: shapeOf(operand)!, ...('ints' in operand ? { ints: operand.ints } : {}) };
  });
  const session = await cpuSession(forward);
  const before = await session.run(feeds);
  let traced = 0;
  for (const [output, name] of node.output!.entries()) {
    const result = before[name];
    if (!result || !read.some((value) => value.name === name)) continue;
    for (const [axis, size] of result.dims.entries()) {
      const parts = size;
      const found = traceAxis({ node, opset: each.opset ?? 18, x, y: result.dims, output, axis, parts });
      if (!found || size < 2) continue;
      const where = `${op} ${JSON.stringify(each)}, axis ${axis} from ${found.join()}`;
      const own = found.flatMap((at, i) => (at === 'whole' || !feeds[`x${i}`] ? [] : [[`x${i}`, at] as const]));
      if (own.length === 0 || found.some((at, i) => at !== 'whole' && !feeds[`x${i}`])) continue;
      const changed = (from: (part: number) => number): Record<string, Tensor> => ({
        ...feeds,
        ...Object.fromEntries(own.map(([input, at]) => [input, reordered(feeds[input]!, at, parts, from)])),
      });
      // In another order the result is in that order; with the last two the same, all others are what they were.
      for (const from of [(part: number) => (part + 1) % parts, (part: number) => Math.min(part, parts - 2)]) {
        const after = (await session.run(changed(from)))[name]!;
        expectClose(after, reordered(result, axis, parts, from), where);
      }
      traced++;
    }
  }
  await session.release();
  return traced;
}

test('results follow their operands along traced axes', async () => {
  const traced = new Map(Object.keys(cases).map((op) => [op, 0]));
  for (const [op, each] of usable) traced.set(op, traced.get(op)! + (await check(op, each)));
  const untraced = [...traced].filter(([, count]) => count === 0).map(([op]) => op);
  expect(untraced).toMatchInlineSnapshot(`
    [
      "LpPool",
      "GlobalLpPool",
      "Resize",
      "Col2Im",
      "Upsample",
      "ScatterND",
      "ScatterElements",
      "CastLike",
      "MeanVarianceNormalization",
    ]
  `);
}, 300_000);
