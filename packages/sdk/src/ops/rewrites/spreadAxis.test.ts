/** @file Few positions in place of a whole axis: if the omitted ones are alike, the graph gives the same result. */

import { describe, expect, it } from 'vitest';
import { difference, modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { openOnnx } from '../../graph/file/onnxFile.ts';
import type { GraphProto, ModelProto, TensorProto } from '../../graph/proto.ts';
import { readFloats, tensorProto } from '../../graph/tensorData.ts';
import { withTensors } from '../../graph/tensors.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import type { EvenPositions } from './inputSizes.ts';
import { resizeInputs } from './resizeInputs.ts';
import { Spread } from './spreadAxis.ts';

type Model = ModelProto & { readonly graph: GraphProto };

function normal(seed: number, ...dims: number[]): Tensor {
  const random = new Random(seed);
  return float32(Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal()), dims); // prettier-ignore
}

describe('positions', () => {
  const spread = new Spread(3000, { first: 550, spread: 96, last: 50 });

  it('are the ends, and the middles of equal parts of what lies between, at every stride', () => {
    const found = spread.positions(1500, 348)!;
    expect(found.slice(0, 276)).toEqual([...Array.from({ length: 275 }, (_, i) => i), 287]);
    expect(found.slice(276, 278)).toEqual([312, 337]);
    expect(found.slice(-26)).toEqual([1462, ...Array.from({ length: 25 }, (_, i) => 1475 + i)]);
    expect(spread.positions(3000, 696)).toHaveLength(696);
    expect(spread.positions(750, 174)).toBeUndefined();
    expect(spread.positions(1500, 300)).toBeUndefined();
  });

  it('stand for those around them', () => {
    const [found, standIns] = [spread.positions(1500, 348)!, spread.standIns(1500, 348)!];
    expect(standIns).toHaveLength(1500);
    standIns.forEach((i, position) => {
      const isBetween = position >= 275 && position < 1475;
      expect(Math.abs(found[i]! - position)).toBeLessThanOrEqual(isBetween ? 12 : 0);
      expect(standIns.filter((each) => each === i)).toHaveLength(isBetween ? 25 : 1);
    });
  });
});

/** Features `[1, channels, frames]` that are equal from `silent` on, and those of them that are computed. */
function sound(channels: number, frames: number, silent: number, { first, spread, last }: EvenPositions): readonly [all: Tensor, few: Tensor] {
  const noise = normal(7, channels, frames).data as Float32Array;
  const rows = Array.from({ length: channels }, (_, row) =>
    Array.from({ length: frames }, (__, i) => noise[row * frames + Math.min(i, silent)]!),
  );
  const few = rows.map((row) => [...row.slice(0, first), ...row.slice(frames - spread - last)]);
  return [rows, few].map((each) => float32(each.flat(), [1, channels, each[0]!.length])) as [Tensor, Tensor];
} // prettier-ignore

it("Whisper's encoder gives for few positions of silence what it gives for all, where they are embedded alike", async () => {
  const file = new URL('../../../../../test/fixtures/whisperMerged/onnx/encoder_model.onnx', import.meta.url).pathname;
  const alike = (proto: TensorProto): TensorProto => {
    if (proto.dims?.map(Number).join() !== '50,32') return proto;
    const data = readFloats(proto).slice();
    for (let row = 21; row < 50; row++) data.copyWithin(row * 32, 20 * 32, 21 * 32);
    return tensorProto(proto.name!, float32(data, [50, 32]));
  };
  const model = withTensors(openOnnx(file).model, alike) as Model;
  const size = { first: 42, spread: 4, last: 6 };
  // The convolutions hear two frames further.
  const [all, few] = sound(80, 100, 36, size);
  const spread = resizeInputs(model, { input_features: { 2: size } }, 'whisper');
  const [whole] = Object.values(await runOnce(model, { input_features: all }));
  const [found] = Object.values(await runOnce(spread, { input_features: few }));
  expect(found!.dims).toEqual([1, 50, 32]);
  expect(difference(found, whole)).toBeLessThan(1e-5);
  // Only counted as often as they stand for others.
  const cut = resizeInputs(model, { input_features: { 2: 52 } }, 'whisper');
  const [unweighted] = Object.values(await runOnce(cut, { input_features: few }));
  const ends = { ...whole!, dims: [1, 21, 32], data: whole!.data.slice(0, 21 * 32) as Float32Array };
  const begins = { ...ends, data: unweighted!.data.slice(0, 21 * 32) as Float32Array };
  expect(difference(begins, ends)).toBeGreaterThan(1e-3);
});

describe('what cannot follow', () => {
  const size = { first: 4, spread: 2, last: 2 };
  const refusal = (build: (g: GraphBuilder, x: Value) => Value, sizes: EvenPositions = size): string => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'x/' });
    const x: Value = { name: 'x', type: 'float32', shape: ['batch', 12, 6] };
    const model = modelFrom(g, [x], [build(g, x)]) as Model;
    try {
      resizeInputs(model, { x: { 1: sizes } }, 'my model');
    } catch (error) {
      return (error as Error).message;
    }
    return 'nothing';
  };

  it.each<[string, (g: GraphBuilder, x: Value) => Value, RegExp]>([
    ['a mean', (g, x) => g.ReduceMean(x, [1], false), /ReduceMean .* needs all positions/],
    ['a sum without weights', (g, x) => g.MatMul(g.Transpose(x, [0, 2, 1]), x), /MatMul .* needs all positions/],
    ['positions beside others', (g, x) => g.Concat([x, x], 1), /Concat .* needs all positions/],
    ['a stride', (g, x) => g.emit('MaxPool', [g.Transpose(x, [0, 2, 1])], { kernel_shape: [4], strides: [4] }), /MaxPool .* fall between/], // prettier-ignore
    ['what nobody knows', (g, x) => g.emit('Mystery', [x]), /Mystery .* needs all positions/],
  ])('%s', (_, build, message) => {
    expect(refusal(build)).toMatch(message);
  });

  it.each<[string, EvenPositions]>([
    ['none at the beginning', { first: 0, spread: 2, last: 2 }],
    ['more than there are', { first: 8, spread: 3, last: 2 }],
    ['a part of one', { first: 4.5, spread: 2, last: 2 }],
  ])('%s', (_, sizes) => {
    expect(refusal((g, x) => g.Softmax(x, -1), sizes)).toMatch(/axis 1 cannot have the size \{ first: .* \}/);
  });

  it('what does not mix positions, or weighs them, does', () => {
    expect(refusal((g, x) => g.MatMul(g.Softmax(g.MatMul(x, g.Transpose(x, [0, 2, 1])), -1), x))).toBe('nothing');
    expect(refusal((g, x) => g.Relu(g.MatMul(x, g.constant(normal(1, 6, 3)))))).toBe('nothing');
  });
});
