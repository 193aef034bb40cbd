/** @file MoRA: a trained square matrix between a fixed compression and a fixed expansion. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { rankOf, variantOfLora } from './lora.ts';
import { identity, table } from '../rotations/rotation.ts';
import { wrong } from '../settings.ts';
import { zeros } from '../tensors.ts';

export const mora: Tuner = {
  name: 'mora',
  // Keys and names of the authors' fork of PEFT. It does not read `lora_alpha`.
  ...variantOfLora('use_mora', true, { mora_type: 1 }),
  paper: 'https://arxiv.org/abs/2405.12130',
  description:
    'MoRA: a change of high rank, as a square matrix of as many numbers as LoRA has, to which groups of inputs come as sums (`mora_type` 1) or one after the other, rotated (6)',
  tune: (layer, settings, _, saved) => {
    const { in: inputs, out, path } = layer;
    const { r, dropout } = rankOf(layer, settings, saved === undefined);
    const isRotated = settings['mora_type'] === 6;
    if (!isRotated && settings['mora_type'] !== 1) throw wrong(settings, 'mora_type', '1 (shared) or 6 (rotated)');
    // The paper rounds down, its code to the nearest.
    const nearest = saved?.['lora_A.weight']?.[0] ?? Math.round(Math.sqrt((inputs + out) * r));
    const size = isRotated ? nearest - (nearest % 2) : nearest;
    if (size > inputs) throw wrong({ r }, 'r', `at most ${Math.floor(inputs ** 2 / (inputs + out))} for "${path}", whose matrix would have more rows than the layer inputs`); // prettier-ignore
    const groups = Math.ceil(inputs / size);
    const missing = groups * size - inputs;
    /** x·ΔWᵀ */
    const change = (g: GraphBuilder, x: Value, M: Value): Value => {
      const kept = x.shape!.slice(1).map(() => 0);
      // Pads the last group with the first inputs.
      const filled = missing === 0 ? x : g.Concat([x, g.Slice(x, [0], [missing], [-1])], -1);
      const own = g.Reshape(filled, [...kept, groups, size]);
      const seen = isRotated ? rotated(g, own, groups, size) : g.ReduceSum(own, [-2], true);
      const period = isRotated ? groups * size : size;
      const y = g.Reshape(g.MatMul(seen, g.Transpose(M, [1, 0])), [...kept, period]);
      return g.Slice(g.Concat(Array<Value>(Math.ceil(out / period)).fill(y), -1), [0], [out], [-1]);
    };
    const delta = (g: GraphBuilder, M: Value): Value => g.Transpose(change(g, identity(g, inputs), M), [1, 0]);
    return {
      tensors: {
        'lora_A.weight': zeros([size, size]),
        // Files of the fork repeat the matrix here.
        ...(saved?.['lora_B.weight'] && { 'lora_B.weight': { ...zeros([size, size]), role: 'state' } }),
      },
      linearIn: ['lora_A.weight'],
      dropout,
      apply: (g, { x, forward, dropped }, { 'lora_A.weight': M }) => g.Add(forward(x), change(g, dropped(), M!)),
      weight: (g, weight, { 'lora_A.weight': M }) => g.Add(weight, delta(g, M!)),
      unmerged: { weight: (g, weight, { 'lora_A.weight': M }) => g.Sub(weight, delta(g, M!)) },
    };
  },
};

/** Groups `[..., groups, size]` with rotary embedding by group number. */
function rotated(g: GraphBuilder, x: Value, groups: number, size: number): Value {
  const half = size / 2;
  const angle = (group: number, i: number): number => group * 10000 ** ((-2 * (i % half)) / size);
  const factor = (of: (angle: number) => number): Value => g.constant(table(groups, size, (group, i) => of(angle(group, i)))); // prettier-ignore
  const other = g.Concat([g.Neg(g.Slice(x, [half], [size], [-1])), g.Slice(x, [0], [half], [-1])], -1);
  return g.Add(g.Mul(x, factor(Math.cos)), g.Mul(other, factor(Math.sin)));
}
