/** @file FourierFT: ΔW is the inverse Fourier transform of a few coefficients at seeded places. */

import { TorchRandom, type TensorSpec, type Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { finite, peftModules, requireOnly, whole, wholeOf, wrong } from '../settings.ts';
import { normal, zeros } from '../tensors.ts';

const MOST_BYTES = 2 ** 30;

type Turn = (places: readonly number[], row: number, column: number) => number;

export const fourierft: Tuner = {
  name: 'fourierft',
  peftType: 'FOURIERFT',
  paper: 'https://arxiv.org/abs/2405.03003',
  description: 'FourierFT: trains some coefficients of the Fourier transform of the change, at places that a seed says',
  defaults: {
    n_frequency: 1000,
    n_frequency_pattern: {},
    scaling: 150,
    random_loc_seed: 777,
    fan_in_fan_out: false,
    init_weights: false,
    bias: 'none',
    ...peftModules,
  },
  tune: (layer, settings) => {
    requireOnly(settings, { bias: 'none' });
    const { in: inputs, out, path } = layer;
    const count = wholeOf(layer, settings, 'n_frequency', 'n_frequency_pattern');
    const seed = whole(settings, 'random_loc_seed', 0);
    if (count > inputs * out) throw wrong(settings, 'n_frequency', `at most ${inputs * out}, the weights of "${path}"`);
    const scaling = finite(settings, 'scaling') / (inputs * out);
    // Half of the rows and columns are enough: the others mirror them.
    const [height, width] = [Math.floor(out / 2) + 1, Math.floor(inputs / 2) + 1];
    const waves = (rows: number, columns: number, turn: Turn): TensorSpec => ({
      ...zeros([2, rows, columns]),
      role: 'seeded',
      share: { group: `${out}x${inputs}` },
      init: () => {
        const places = new TorchRandom(seed).permuted(count, inputs * out);
        const size = rows * columns;
        return Float32Array.from({ length: 2 * size }, (_, at) => {
          const angle = 2 * Math.PI * turn(places, Math.floor((at % size) / columns), at % columns);
          return at < size ? Math.cos(angle) : Math.sin(angle);
        });
      },
    });
    const size = 8 * count * (height + width);
    if (size > MOST_BYTES)
      throw wrong(
        settings,
        'n_frequency',
        `at most ${Math.floor(MOST_BYTES / 8 / (height + width))} for "${path}", whose waves take 1 GiB`,
      );
    const rowTurn: Turn = (places, p, k) => ((p * Math.floor(places[k]! / inputs)) % out) / out;
    const columnTurn: Turn = (places, k, q) => ((q * (places[k]! % inputs)) % inputs) / inputs;
    return {
      tensors: {
        fourierft_spectrum: settings['init_weights'] === true ? zeros([count]) : normal([count], 1),
        fourierft_rows: waves(height, count, rowTurn),
        fourierft_columns: waves(count, width, columnTurn),
      },
      linearIn: ['fourierft_spectrum'],
      // cos(a ± b) = cos a · cos b ∓ sin a · sin b; mirrored halves have cos(a − b).
      delta: (g, { fourierft_spectrum: s, fourierft_rows: rows, fourierft_columns: columns }) => {
        const parts = g.MatMul(g.Mul(rows!, g.Mul(s!, scaling)), columns!);
        const [even, odd] = [0, 1].map((i) => g.Squeeze(g.Slice(parts, [i], [i + 1], [0]), [0])) as [Value, Value];
        const [along, against] = [g.Sub(even, odd), g.Add(even, odd)];
        const top = beside(g, along, backwards(g, against, 1, inputs), 1);
        const bottom = beside(
          g,
          backwards(g, against, 0, out),
          backwards(g, backwards(g, along, 1, inputs), 0, out),
          1,
        );
        return beside(g, top, bottom, 0)!;
      },
    };
  },
};

/** The mirrored rest of an axis of `size` numbers, from its first half and the middle. */
function backwards(g: GraphBuilder, half: Value | undefined, axis: 0 | 1, size: number): Value | undefined {
  const left = size - (Math.floor(size / 2) + 1);
  return half && left > 0 ? g.Slice(half, [left], [0], [axis], [-1]) : undefined;
}

function beside(g: GraphBuilder, one: Value | undefined, other: Value | undefined, axis: 0 | 1): Value | undefined {
  return one && other ? g.Concat([one, other], axis) : (one ?? other);
}
