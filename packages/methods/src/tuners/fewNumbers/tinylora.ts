/** @file TinyLoRA: rotates the weight's largest singular components by a few trained numbers. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Random } from '@onnx-lora/sdk/data';
import {
  leadingSvd,
  matrix,
  TorchRandom,
  type TunedLayer,
  type Tuner,
  type TunerSettings,
} from '@onnx-lora/sdk/plugin';
import { sizeOf, uniform, zeros } from '../tensors.ts';

export const tinylora: Tuner = {
  name: 'tinylora',
  peftType: 'TINYLORA',
  paper: 'https://arxiv.org/abs/2602.04118',
  description: "TinyLoRA: a vector that mixes random turns of the weight's largest singular components",
  defaults: {
    r: 2,
    u: 64,
    weight_tying: 0,
    projection_seed: 42,
    save_projection: true,
    init_v_bound: 0.02,
    tinylora_dropout: 0,
    fan_in_fan_out: false,
    bias: 'none',
    init_weights: true,
    layers_to_transform: null,
    layers_pattern: null,
  },
  tune: (layer, settings, layers, saved, read) => {
    const { r, u, weight_tying: tying, projection_seed: seed, init_v_bound: bound, init_weights: begins, tinylora_dropout: dropout } = settings as { r: number; u: number; weight_tying: number; projection_seed: number; init_v_bound: number; init_weights: unknown; tinylora_dropout: number }; // prettier-ignore
    requireSettings(settings, saved === undefined);
    const rank = Math.min(r, layer.in, layer.out);
    const dims = [u, rank, rank] as const;
    const turns = (index: number): Float32Array => new TorchRandom(seed + index).normal(sizeOf(dims), rank ** -0.5);
    const own = layers.findIndex(({ path }) => path === layer.path);
    // PEFT indexes layers in the order of the model's class; in a file the projections identify the index.
    const index = read ? indexOf(read('tinylora_P'), layers.length, turns, layer) : own;
    const groups = Math.max(1, roundedToEven(layers.length * (1 - tying)));
    const group = Math.min(Math.floor(index / Math.max(1, Math.floor(layers.length / groups))), groups - 1);
    const parts = components(layer, rank);
    return {
      dropout,
      linearIn: ['tinylora_v'],
      tensors: {
        tinylora_A: { ...zeros([rank, layer.in]), role: 'frozen', first: (random) => parts(random).A },
        tinylora_B: { ...zeros([layer.out, rank]), role: 'frozen', first: (random) => parts(random).B },
        tinylora_P: { ...zeros(dims), role: 'frozen', first: () => turns(index) },
        tinylora_v: { ...(begins === 'uniform' ? uniform([u], bound) : zeros([u])), share: { group: String(group) } },
      },
      factors: (g, { tinylora_A: A, tinylora_B: B, tinylora_P: P, tinylora_v: v }) => {
        const turn = g.Reshape(g.MatMul(g.Unsqueeze(v!, [0]), g.Reshape(P!, [u, rank * rank])), [rank, rank]);
        return { A: g.MatMul(turn, A!), B: B! };
      },
    };
  },
};

/** The largest singular components: A `[r, in]` and B `[out, r]`, each scaled by √S. */
function components(layer: TunedLayer, r: number): (random: Random) => Record<'A' | 'B', Float32Array> {
  let known: Record<'A' | 'B', Float32Array> | undefined;
  return (random) => {
    if (known) return known;
    const { U, S, V } = leadingSvd(matrix(layer.out, layer.in, layer.weight()), r, random);
    const root = (k: number): number => Math.sqrt(S[k]!);
    const at = (from: typeof U, row: number, k: number): number => root(k) * from.data[row * from.columns + k]!;
    return (known = {
      A: Float32Array.from({ length: r * layer.in }, (_, i) => at(V, i % layer.in, Math.floor(i / layer.in))),
      B: Float32Array.from({ length: layer.out * r }, (_, i) => at(U, Math.floor(i / r), i % r)),
    });
  };
}

/** The index of the layer that PEFT has drawn these projections for. @throws OnnxLoraError `ADAPTER_INVALID` */
function indexOf(
  saved: Tensor | undefined,
  count: number,
  turns: (index: number) => Float32Array,
  { path }: TunedLayer,
): number {
  const { data } = saved ?? { data: [] };
  const isNear = (own: Float32Array): boolean => own.length === data.length && own.every((each, i) => Math.abs(each - Number(data[i])) < 1e-3); // prettier-ignore
  const found = Array.from({ length: count }, (_, i) => i).find((i) => isNear(turns(i)));
  if (found !== undefined) return found;
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `The adapter's projections of "${path}" ${saved ? 'are not those of its projection_seed' : 'are not in the file'}, so that nothing tells which of its vectors the layer has. Save it in PEFT with save_projection=True.`,
  );
}

function requireSettings(settings: TunerSettings, isNew: boolean): void {
  const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) > 0;
  const { r, u, weight_tying: tying, init_weights: begins } = settings;
  const wrong = [
    ['r', isCount(r), 'a whole number of at least 1'],
    ['u', isCount(u), 'a whole number of at least 1'],
    ['weight_tying', (tying as number) >= 0 && (tying as number) <= 1, 'a number from 0 to 1'],
    ['projection_seed', Number.isSafeInteger(settings['projection_seed']), 'a whole number'],
    [
      'tinylora_dropout',
      (settings['tinylora_dropout'] as number) >= 0 && (settings['tinylora_dropout'] as number) < 1,
      'a number from 0 to below 1',
    ],
    ['init_weights', !isNew || begins === true || begins === 'uniform', 'true or "uniform"'],
    [
      'save_projection',
      !isNew || settings['save_projection'] === true,
      'true, for by the projections layers are told apart',
    ],
    ['bias', !isNew || settings['bias'] === 'none', '"none"'],
  ].find(([, holds]) => holds !== true);
  if (!wrong) return;
  throw new OnnxLoraError('CONFIG_INVALID', `${String(wrong[0])} of TinyLoRA must be ${String(wrong[2])}, and is ${JSON.stringify(settings[String(wrong[0])])}. Change it.`); // prettier-ignore
}

/** Rounds as Python does. */
function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const half = value - below;
  return half === 0.5 ? below + (below % 2) : Math.round(value);
}
