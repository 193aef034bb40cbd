/** @file BD-LoRA: one block-diagonal factor, so that tensor-parallel shards need no communication. */

import { type TargetLayer, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { loraFactors, rankOf, variantOfLora } from './lora.ts';
import { wrong } from '../settings.ts';
import { uniform, zeros } from '../tensors.ts';

interface Blocks {
  readonly target_modules_bd_a?: readonly string[] | null;
  readonly target_modules_bd_b?: readonly string[] | null;
  readonly nblocks?: number;
  readonly match_strict?: boolean;
}

/** The layer's block-diagonal factor; PEFT matches names anywhere in the path. */
function blocksOf(
  { path }: TargetLayer,
  { use_bdlora: given }: TunerSettings,
): { a: boolean; b: boolean; count: number; strict: boolean } {
  const { target_modules_bd_a: a, target_modules_bd_b: b, nblocks = 1, match_strict: strict = true } = given as Blocks;
  const isIn = (names: readonly string[] | null | undefined): boolean =>
    (names ?? []).some((name) => path.includes(name));
  return { a: isIn(a), b: isIn(b), count: nblocks, strict };
}

export const bdlora: Tuner = {
  name: 'bdlora',
  ...variantOfLora('use_bdlora', {
    target_modules_bd_a: null,
    target_modules_bd_b: null,
    nblocks: 1,
    match_strict: true,
  }),
  paper: 'https://arxiv.org/abs/2510.23346',
  description: 'BD-LoRA: LoRA with one factor in blocks, for layers that several machines share',
  refuses: (layer, settings) => {
    const { a, b, strict } = blocksOf(layer, settings);
    if (a && b) return 'has both factors in blocks by use_bdlora, and can have but one';
    if (strict && !a && !b)
      return 'is in neither target_modules_bd_a nor target_modules_bd_b of use_bdlora (match_strict)';
    return undefined;
  },
  tune: (layer, settings, _, saved) => {
    const { r, scaling, dropout } = rankOf(layer, settings, saved === undefined);
    const { a, b, count } = blocksOf(layer, settings);
    const whole = loraFactors(r, layer.in, layer.out);
    if (a) requireBlocks(layer, count, r, layer.in);
    if (b) requireBlocks(layer, count, r, layer.out);
    const width = layer.in / count;
    return {
      dropout,
      tensors: {
        'lora_A.weight': a ? uniform([r, width], Math.sqrt(6 / width)) : whole['lora_A.weight'],
        'lora_B.weight': b ? zeros([layer.out, r / count]) : whole['lora_B.weight'],
      },
      factors: (g, { 'lora_A.weight': A, 'lora_B.weight': B }) => ({
        A: a ? blockDiagonal(g, A!, count) : A!,
        B: g.Mul(b ? blockDiagonal(g, B!, count) : B!, scaling),
      }),
    };
  },
};

/** Spreads `[rows, columns]` as `count` blocks along the diagonal: `[rows, count · columns]`. */
function blockDiagonal(g: GraphBuilder, blocks: Value, count: number): Value {
  const [rows, columns] = blocks.shape as readonly [number, number];
  const own = Float32Array.from({ length: rows * count }, (_, i) =>
    Number(Math.floor((Math.floor(i / count) * count) / rows) === i % count),
  );
  const mask = g.constant({ type: 'float32', dims: [rows, count, 1], data: own });
  return g.Reshape(g.Mul(g.Unsqueeze(blocks, [1]), mask), [rows, count * columns]);
}

function requireBlocks({ path }: TargetLayer, count: number, r: number, features: number): void {
  if (Number.isInteger(count) && count > 0 && r % count === 0 && features % count === 0) return;
  throw wrong({ nblocks: count }, 'nblocks', `a divisor of the rank ${r} and the ${features} features of "${path}"`);
}
