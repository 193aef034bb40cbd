/** @file WaveFT: ΔW is the inverse wavelet transform of a few coefficients at seeded places. */

import { TorchRandom, type TargetLayer, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { finite, peftModules, requireOnly, whole, wholeOf, wrong } from '../settings.ts';
import { normal, zeros } from '../tensors.ts';
import { waveletFilter, wavelets } from './wavelets.ts';

export const waveft: Tuner = {
  name: 'waveft',
  peftType: 'WAVEFT',
  paper: 'https://arxiv.org/abs/2505.12532',
  description: 'WaveFT: trains some coefficients of the wavelet transform of the change, at places that a seed says',
  defaults: {
    n_frequency: 2592,
    n_frequency_pattern: {},
    proportional_parameters: false,
    scaling: 25,
    wavelet_family: 'db1',
    use_idwt: true,
    random_loc_seed: 777,
    fan_in_fan_out: false,
    init_weights: true,
    bias: 'none',
    ...peftModules,
  },
  tune: (layer, settings, layers) => {
    requireOnly(settings, { bias: 'none' });
    const { in: inputs, out, path } = layer;
    const { wavelet_family: family, use_idwt: isTransformed, init_weights: init } = settings;
    if (!wavelets.includes(family as string)) throw wrong(settings, 'wavelet_family', `one of ${wavelets.join(', ')}`);
    const count = coefficients(layer, settings, layers);
    if (count > inputs * out) throw wrong(settings, 'n_frequency', `at most ${inputs * out}, the weights of "${path}"`);
    const [seed, scaling] = [whole(settings, 'random_loc_seed', 0), finite(settings, 'scaling')];
    const low = isTransformed === false ? [] : waveletFilter(family as string);
    // The filter reaches beyond the borders; coefficients come in pairs.
    const padded = (size: number): number => (low.length === 0 ? size : 2 * Math.ceil((size + low.length - 2) / 2));
    const [height, width] = [padded(out), padded(inputs)];
    /** A weight's coefficient. PEFT swaps the two mixed (low-high) subbands compared with other libraries. */
    const placeOf = (place: number): number => {
      const row = Math.floor(place / inputs) + Math.floor((height - out) / 2);
      const column = (place % inputs) + Math.floor((width - inputs) / 2);
      if (low.length === 0) return row * width + column;
      const [h, w] = [height / 2, width / 2];
      return ((row % h) + (column >= w ? h : 0)) * width + (column % w) + (row >= h ? w : 0);
    };
    const places = (): BigInt64Array =>
      BigInt64Array.from(new TorchRandom(seed).permuted(count, inputs * out), (place) => BigInt(placeOf(place)));
    return {
      tensors: {
        waveft_spectrum: init === false ? normal([count], 0.01) : zeros([count]),
        waveft_places: {
          dims: [count, 1],
          role: 'seeded',
          share: { group: `${out}x${inputs}` },
          integers: { type: 'int64', below: height * width },
          init: places,
          identity: places,
        },
      },
      linearIn: ['waveft_spectrum'],
      delta: (g, { waveft_spectrum: spectrum, waveft_places: at }) => {
        const none = g.Expand(g.constant({ type: 'float32', dims: [1], data: new Float32Array(1) }), [height * width]);
        const flat = g.emit('ScatterND', [none, at!, g.Mul(spectrum!, scaling)]);
        const all = g.Reshape(flat, [height, width]);
        if (low.length === 0) return all;
        const columns = g.Transpose(synthesised(g, all, low, inputs), [1, 0]);
        return g.Transpose(synthesised(g, columns, low, out), [1, 0]);
      },
    };
  },
};

/** Coefficients of a layer: from the table, or in proportion to its size. */
function coefficients(layer: TargetLayer, settings: TunerSettings, layers: readonly TargetLayer[]): number {
  if (settings['proportional_parameters'] !== true)
    return wholeOf(layer, settings, 'n_frequency', 'n_frequency_pattern');
  const size = ({ in: inputs, out }: TargetLayer): number => inputs * out;
  const all = layers.reduce((sum, each) => sum + size(each), 0);
  const share = (size(layer) / all) * (whole(settings, 'n_frequency') * layers.length);
  // Rounds half to even, as Python.
  const rounded = Math.round(share);
  return Math.max(1, share % 1 === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded);
}

/** Inverse transform of rows `[rows, 2·pairs]`, low-pass coefficients first: `[rows, size]`. */
function synthesised(g: GraphBuilder, rows: Value, low: readonly number[], size: number): Value {
  const [count, width] = rows.shape as [number, number];
  const [pairs, reach] = [width / 2, low.length / 2];
  const both = g.Transpose(g.Reshape(rows, [count, 2, pairs]), [0, 2, 1]);
  const border = [count, reach - 1, 2];
  const zero = g.constant({ type: 'float32', dims: border, data: new Float32Array(count * (reach - 1) * 2) });
  const wide = reach === 1 ? both : g.Concat([zero, both, zero], 1);
  const shifted = Array.from({ length: reach }, (_, m) =>
    g.Slice(wide, [reach - 1 - m], [2 * reach - 2 - m + pairs], [1]),
  );
  const high = low.map((_, i) => low.at(-1 - i)! * (i % 2 === 0 ? 1 : -1));
  const taps = Float32Array.from({ length: 2 * low.length }, (_, i) => {
    const [tap, phase] = [Math.floor(i / 2), i % 2];
    return (tap % 2 === 0 ? low : high)[2 * Math.floor(tap / 2) + phase]!;
  });
  const filters = g.constant({ type: 'float32', dims: [low.length, 2], data: taps });
  const made = g.MatMul(reach === 1 ? shifted[0]! : g.Concat(shifted, 2), filters);
  const first = low.length - 2;
  return g.Slice(g.Reshape(made, [count, 2 * (pairs + reach - 1)]), [first], [first + size], [1]);
}
