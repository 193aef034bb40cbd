/**
 * @file Gradients out of reach of finite differences: at kinks, at ties of inputs, at a norm of 0. The numbers are those
 * of torch 2.13.0 (CPU, float32), for the function in the test's name.
 */

import { expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../test/support/differentiated.ts';
import type { GraphBuilder, Value } from '../graph/builder.ts';
import { float } from '../graph/attributes.ts';
import { float32 } from '../runtime/tensor.ts';

type Build = (g: GraphBuilder, x: readonly Value[]) => Value;

/** Inputs, and the gradients of the sum of the outputs by them. */
interface Expected {
  readonly at: readonly (readonly number[])[];
  readonly gradients: readonly (readonly number[])[];
  readonly opset?: number;
}

async function gradientsAt({ at, opset }: Expected, build: Build): Promise<number[][]> {
  const names = at.map((_, i) => `x${i}`);
  const shapes = Object.fromEntries(names.map((name, i) => [name, [at[i]!.length]]));
  const f = (g: GraphBuilder, x: Readonly<Record<string, Value>>): Value => {
    const y = build(g, names.map((name) => x[name]!)); // prettier-ignore
    return g.ReduceSum(y, y.shape!.map((_, i) => i), false); // prettier-ignore
  };
  const feeds = Object.fromEntries(names.map((name, i) => [name, float32(at[i]!, [at[i]!.length])]));
  const values = await gradientValues(differentiated(shapes, names, f, opset), feeds);
  return names.map((name) => Array.from(values[name]!.data as Float32Array));
}

const op =
  (name: string, attributes: Parameters<GraphBuilder['emit']>[2] = {}): Build =>
  (g, x) =>
    g.emit(name, x, attributes);

const clip: Build = (g, [x]) => g.emit('Clip', [x, g.scalar(-1), g.scalar(1)]);
const clipTo: Build = (g, [x, low, high]) => g.emit('Clip', [x, g.Squeeze(low!, [0]), g.Squeeze(high!, [0])]);
const square = (g: GraphBuilder, x: Value): Value => g.Mul(x, x);
const weighted =
  (build: Build, ...weights: number[]): Build =>
  (g, x) =>
    g.Mul(build(g, x), g.constant(float32(weights, [weights.length])));

// prettier-ignore
test.each<[string, Build, Expected]>([
  ['clamp: the bounds are inside', clip, { at: [[-2, -1, 0, 1, 2]], gradients: [[0, 1, 1, 1, 0]] }],
  ['clamp by tensors: what is beyond a bound moves with it', clipTo, { at: [[-2, -1, 0, 1, 2], [-1], [1]], gradients: [[0, 1, 1, 1, 0], [1], [1]] }],
  ['clamp with old attributes', op('Clip', { min: float(-1), max: float(1) }), { at: [[-2, -1, 0, 1, 2]], gradients: [[0, 1, 1, 1, 0]], opset: 10 }],
  ['maximum: ties are shared', op('Max'), { at: [[1, 2, 3], [1, 3, 2]], gradients: [[0.5, 0, 1], [0.5, 1, 0]] }],
  ['minimum: ties are shared', op('Min'), { at: [[1, 2, 3], [1, 3, 2]], gradients: [[0.5, 1, 0], [0.5, 0, 1]] }],
  ['amin: ties are shared', op('ReduceMin'), { at: [[3, 1, 1, 2]], gradients: [[0, 0.5, 0.5, 0]] }],
  ['leaky_relu with slope 0.25', op('LeakyRelu', { alpha: 0.25 }), { at: [[-1, 0, 2]], gradients: [[0.25, 0.25, 1]] }],
  ['prelu', op('PRelu'), { at: [[-1, 0, 2], [0.25]], gradients: [[0.25, 0.25, 1], [-1]] }],
  ['elu with alpha 2', op('Elu', { alpha: float(2) }), { at: [[-1, 0, 2]], gradients: [[0.735758900642395, 2, 1]] }],
  ['selu', op('Selu'), { at: [[-1, 0, 2]], gradients: [[0.6467686295509338, 1.7580993175506592, 1.0507010221481323]] }],
  ['celu with alpha 2', op('Celu', { alpha: float(2) }), { at: [[-1, 0, 2]], gradients: [[0.6065306663513184, 1, 1]] }],
  ['hardsigmoid', op('HardSigmoid', { alpha: 1 / 6, beta: 0.5 }), { at: [[-4, -3, 0, 3, 4]], gradients: [[0, 0, 0.1666666716337204, 0, 0]] }],
  ['hardswish', op('HardSwish'), { at: [[-4, -3, 0, 3, 4]], gradients: [[0, 0, 0.5, 1, 1]] }],
  ['mish far from 0', op('Mish'), { at: [[100, -100, 0]], gradients: [[1, 0, 0.6000000238418579]] }],
  ['threshold', op('ThresholdedRelu', { alpha: float(1) }), { at: [[0, 1, 2]], gradients: [[0, 0, 1]] }],
  ['hardshrink', op('Shrink', { lambd: float(1) }), { at: [[-2, -1, 0, 1, 2]], gradients: [[1, 0, 0, 0, 1]] }],
  ['softshrink', op('Shrink', { lambd: float(1), bias: float(1) }), { at: [[-2, -1, 0, 1, 2]], gradients: [[1, 0, 0, 0, 1]] }],
  ['softsign', op('Softsign'), { at: [[-1, 0, 2]], gradients: [[0.25, 1, 0.111111119389534]] }],
  ['norm with p = 1', op('ReduceL1'), { at: [[-1, 0, 2]], gradients: [[-1, 0, 1]] }],
  ['norm with p = 2 at 0', op('ReduceL2'), { at: [[0, 0, 0]], gradients: [[0, 0, 0]] }],
  ['norm with p = 2', op('ReduceL2'), { at: [[3, 0, -4]], gradients: [[0.6000000238418579, 0, -0.800000011920929]] }],
  ['std of equal numbers', (g, [x]) => g.Sqrt(g.ReduceMean(square(g, g.Sub(x!, g.ReduceMean(x!, [0], true))), [0], true)), { at: [[2, 2, 2]], gradients: [[0, 0, 0]] }],
  ['prod with no zero', op('ReduceProd'), { at: [[2, 4, 3]], gradients: [[12, 6, 8]] }],
  ['prod with one zero', op('ReduceProd'), { at: [[2, 0, 3]], gradients: [[0, 6, 0]] }],
  ['prod with two zeros', op('ReduceProd'), { at: [[0, 0, 3]], gradients: [[0, 0, 0]] }],
  ['logsumexp with a masked element', op('ReduceLogSumExp'), { at: [[-Infinity, 0]], gradients: [[0, 1]] }],
  ['fmod', op('Mod', { fmod: 1 }), { at: [[5.5, -5.5], [2, 2]], gradients: [[1, 1], [-2, 2]] }],
  ['normalize with p = 1', weighted(op('LpNormalization', { p: 1 }), 1, 2, 3), { at: [[1, 0, -1]], gradients: [[1, 1, 1]] }],
  ['topk: of equal values the first ones', weighted((g, [x]) => g.emitMany('TopK', [x, g.ints([2])], 2)[0]!, 1, 2), { at: [[1, 3, 3, 2]], gradients: [[0, 1, 2, 0]] }],
])('%s', async (_, build, expected) => {
  const found = await gradientsAt(expected, build);
  expect(found.map((each) => each.length)).toEqual(expected.gradients.map((each) => each.length));
  found.flat().forEach((value, i) => {
    expect(value).toBeCloseTo(expected.gradients.flat()[i]!, 6);
  });
});

// torch divides by 1e-12 there instead: a gradient of a trillion.
test.each([1, 2])('a vector of zeros has no direction, and no gradient in LpNormalization with p = %i', async (p) => {
  const build = weighted(op('LpNormalization', { p }), 1, 2, 3);
  expect(await gradientsAt({ at: [[0, 0, 0]], gradients: [] }, build)).toEqual([[0, 0, 0]]);
});
