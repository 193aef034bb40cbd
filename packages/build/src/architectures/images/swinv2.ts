/** @file Swin V2: Liu et al. 2021, "Scaling up capacity and resolution". */

import type { Architecture } from '../../architecture.ts';
import { float32, int64 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import { attend, project } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import { normalized } from '../../layers/texts/texts.ts';
import { fromWindows, intoWindows, shiftMask, windowDistances, type Windows } from '../../layers/images/windows.ts';
import { maps, perImage, SWIN_EPSILON, swinClasses, swinSizes, type SwinSizes, swinStages } from './swin.ts';
import { tableOf } from '../../layers/bounds.ts';

interface Sizes extends SwinSizes {
  /** Window sides in pretraining per stage; 0 for none. */
  readonly trained: readonly number[];
}

function sizes(c: Config): Sizes {
  const s = swinSizes(c);
  const trained = c.numbers('pretrained_window_sizes', s.depths.map(() => 0)); // prettier-ignore
  if (trained.length < s.depths.length)
    throw c.unsupported('pretrained_window_sizes', `There are ${s.depths.length} stages.`);
  return { ...s, trained };
}

const BIAS_INNER = 512;
/** Upper bound of the cosine's factor. */
const MOST_SCALE = 100;
/** Twice Swin's value, as in transformers. */
const UNSEEN = -200;

/** Windows of a block; the side is at most the map's unpadded height. */
function windowsOf(
  { image, patch, window }: Sizes,
  map: readonly [number, number],
  stage: number,
  index: number,
): Windows {
  const rows = Math.floor(Math.floor(image[0] / patch[0]) / 2 ** stage);
  const shift = index % 2 === 1 && rows > window ? Math.floor(window / 2) : 0;
  return { map, side: Math.min(rows, window), shift };
}

/** Log-spaced offsets within a window, relative to the pretraining window: `[(2 · side − 1)², 2]`. */
function logDistances(side: number, trained: number): Float32Array {
  const { sign, log2, abs, fround } = Math;
  const unit = trained > 0 ? trained - 1 : Math.max(side - 1, 1);
  const scaled = (place: number): number => {
    const x = fround((8 * (place - side + 1)) / unit);
    return (sign(x) * log2(abs(x) + 1)) / log2(8);
  };
  const width = 2 * side - 1;
  const numbers = tableOf(2 * width ** 2, (i) => {
    const place = Math.floor(i / 2);
    return scaled(i % 2 === 0 ? Math.floor(place / width) : place % width);
  });
  return Float32Array.from(numbers);
}

/** Distance bias per head from a small network: `[1, heads, side², side²]`. */
function distanceBias(m: Module, side: number, trained: number, heads: number): Value {
  const { g } = m;
  const inputs = g.constant(float32(logDistances(side, trained), [(2 * side - 1) ** 2, 2]));
  const inner = g.Relu(m.linear('continuous_position_bias_mlp.0', inputs, BIAS_INNER));
  const table = m.linear('continuous_position_bias_mlp.2', inner, heads, { bias: false });
  const places = g.constant(int64(windowDistances(side), [side ** 2, side ** 2]));
  const bias = g.Unsqueeze(g.Transpose(g.Gather(table, places, 0), [2, 0, 1]), [0]);
  return g.Mul(g.Sigmoid(bias), 16);
}

/** Cosine attention. */
function attention(m: Module, x: Value, windows: Windows, stage: number, s: Sizes): Value {
  const self = m.at('self');
  const { g } = self;
  const heads = s.heads[stage]!;
  const names = ['query', 'key', 'value'] as const;
  const cut = intoWindows(self, x, windows);
  const [q, k, v] = project(self, cut, { names, heads, bias: [s.qkvBias, false, s.qkvBias] });
  const scale = g.Exp(g.Min(self.parameter('logit_scale', [heads, 1, 1]), Math.log(MOST_SCALE)));
  const bias = distanceBias(self, windows.side, s.trained[stage]!, heads);
  const mask = windows.shift ? [bias, perImage(self, shiftMask(self, windows, UNSEEN), x)] : bias;
  const context = attend(self, { q: g.Mul(normalized(self, q), scale), k: normalized(self, k), v, scale: 1, mask });
  return fromWindows(m, m.linear('output.dense', context, Number(x.shape!.at(-1))), windows);
}

function block(m: Module, x: Value, windows: Windows, stage: number, s: Sizes): Value {
  const width = Number(x.shape!.at(-1));
  const attended = attention(m.at('attention'), x, windows, stage, s);
  x = m.g.Add(x, m.layerNorm('layernorm_before', attended, s.eps));
  const inner = s.act(m.g, m.linear('intermediate.dense', x, Math.trunc(s.mlpRatio * width)));
  return m.g.Add(x, m.layerNorm('layernorm_after', m.linear('output.dense', inner, width), s.eps));
}

export const swinv2: Architecture = swinClasses('Swinv2', 'swinv2', (c) => {
  const s = sizes(c);
  const all = maps(s);
  return (m) => swinStages(
    m, s,
    (each, x, i, j) => block(each, x, windowsOf(s, all[i]!, i, j), i, s),
    (each, four, width) => each.layerNorm('norm', each.linear('reduction', four, width, { bias: false }), SWIN_EPSILON),
  ); // prettier-ignore
});
