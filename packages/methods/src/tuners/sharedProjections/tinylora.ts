/** @file TinyLoRA: rotates the weight's largest singular components by a few trained numbers. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Random } from '@onnx-lora/sdk/data';
import {
  leadingSvd,
  matrix,
  scaleColumns,
  TorchRandom,
  transpose,
  type TargetLayer,
  type Tuner,
} from '@onnx-lora/sdk/plugin';
import { dropoutOf, finite, oneOf, requireOnly, whole, wrong } from '../settings.ts';
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
    const [r, u, tying] = [whole(settings, 'r'), whole(settings, 'u'), finite(settings, 'weight_tying')];
    const { projection_seed: seed, init_weights: begins } = settings as {
      projection_seed: number;
      init_weights: unknown;
    };
    if (tying < 0 || tying > 1) throw wrong(settings, 'weight_tying', 'from 0 to 1');
    if (!Number.isSafeInteger(seed)) throw wrong(settings, 'projection_seed', 'a whole number');
    if (saved === undefined) {
      oneOf('tinylora', settings, 'init_weights', [true, 'uniform']);
      requireOnly(settings, { save_projection: true, bias: 'none' });
    }
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
      dropout: dropoutOf(settings, 'tinylora_dropout'),
      linearIn: ['tinylora_v'],
      tensors: {
        tinylora_A: { ...zeros([rank, layer.in]), role: 'frozen', init: (random) => parts(random).A },
        tinylora_B: { ...zeros([layer.out, rank]), role: 'frozen', init: (random) => parts(random).B },
        tinylora_P: { ...zeros(dims), role: 'frozen', init: () => turns(index) },
        tinylora_v: {
          ...(begins === 'uniform' ? uniform([u], finite(settings, 'init_v_bound')) : zeros([u])),
          share: { group: String(group) },
        },
      },
      factors: (g, { tinylora_A: A, tinylora_B: B, tinylora_P: P, tinylora_v: v }) => {
        const turn = g.Reshape(g.MatMul(g.Unsqueeze(v!, [0]), g.Reshape(P!, [u, rank * rank])), [rank, rank]);
        return { A: g.MatMul(turn, A!), B: B! };
      },
    };
  },
};

/** The largest singular components: A `[r, in]` and B `[out, r]`, each scaled by √S. */
function components(layer: TargetLayer, r: number): (random: Random) => Record<'A' | 'B', Float32Array> {
  let known: Record<'A' | 'B', Float32Array> | undefined;
  return (random) => {
    if (known) return known;
    const { U, S, V } = leadingSvd(matrix(layer.out, layer.in, layer.weight()), r, random);
    const roots = S.map(Math.sqrt);
    return (known = {
      A: Float32Array.from(transpose(scaleColumns(V, roots)).data),
      B: Float32Array.from(scaleColumns(U, roots).data),
    });
  };
}

/** The index of the layer that PEFT has drawn these projections for. @throws OnnxLoraError `ADAPTER_INVALID` */
function indexOf(
  saved: Tensor | undefined,
  count: number,
  turns: (index: number) => Float32Array,
  { path }: TargetLayer,
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

/** Rounds as Python does. */
function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const half = value - below;
  return half === 0.5 ? below + (below % 2) : Math.round(value);
}
