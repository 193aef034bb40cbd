/** @file Scaling of rotary embeddings to longer texts, by the names of `rope_scaling`. */

import { float32 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import type { Decoding } from './decoder.ts';
import type { Module } from '../module.ts';
import { tableOf } from '../bounds.ts';
import { rotaryFrequencies, rotaryAngles, type RotaryAngles } from './positions.ts';

/** Emits the angles of a decoder's positions. */
export type Rotary = (m: Module, decoding: Pick<Decoding, 'positions' | 'total'>) => RotaryAngles;

/** Names and defaults of rotary fields: separate in older configs, in `rope_parameters` in newer ones. */
export interface RotaryFields {
  /** Field of the base; `rope_theta` by default. */
  readonly base?: string;
  /** Field of the rotated part of a head; `partial_rotary_factor` by default. */
  readonly part?: string;
  readonly absentBase?: number;
  readonly absentPart?: number;
  readonly absentPositions?: number;
}

/** Reads the rotary embedding of heads of `size` numbers. */
export function readRotary(c: Config, size: number, fields: RotaryFields = {}): Rotary {
  const { base: baseField = 'rope_theta', part: partField = 'partial_rotary_factor' } = fields;
  const { absentBase = 10_000, absentPart = 1, absentPositions = 2048 } = fields;
  const recent = c.inner('rope_parameters');
  const old = c.inner('rope_scaling');
  const base = recent.number('rope_theta', c.number(baseField, absentBase));
  const part = recent.number('partial_rotary_factor', c.number(partField, absentPart));
  const rotated = Math.floor(size * part);
  const scaling = c.has('rope_scaling') ? old : recent;
  // Newer configs repeat the older field.
  if (scaling === old) recent.skip('rope_type', 'type', 'factor');
  // Only some kinds read these.
  c.skip('max_position_embeddings', 'original_max_position_embeddings');
  const trained = (): number => c.size('max_position_embeddings', absentPositions);
  const original = (): number => (c.has('original_max_position_embeddings') ? c.size('original_max_position_embeddings') : trained()); // prettier-ignore
  const kind = scaling.word('rope_type', Object.keys(kinds), scaling.word('type', Object.keys(kinds), 'default'));
  return kinds[kind]!({ c: scaling, base, size: rotated, trained, original });
}

interface Scaling {
  readonly c: Config;
  readonly base: number;
  /** Rotated numbers per head. */
  readonly size: number;
  readonly trained: () => number;
  /** The original length by fields outside of the scaling. */
  readonly original: () => number;
}

const kinds: Readonly<Record<string, (scaling: Scaling) => Rotary>> = {
  default: ({ base, size }) => fixed(rotaryFrequencies(base, size)),
  // Chen et al. 2023, "Extending context window of large language models via positional interpolation".
  linear: ({ c, base, size }) => {
    const factor = c.number('factor');
    return fixed(rotaryFrequencies(base, size).map((each) => each / factor));
  },
  llama3,
  // Peng et al. 2023, "YaRN: efficient context window extension".
  yarn,
  // Ding et al. 2024, "LongRoPE".
  longrope,
  dynamic,
};

/** The training length before scaling, from the scaling or outside of it. */
function trainedLength(c: Config, outside: () => number): number {
  const name = 'original_max_position_embeddings';
  return c.has(name) ? c.size(name) : outside();
}

function fixed(frequencies: Float32Array, scale = 1): Rotary {
  return (m, { positions }) => rotaryAngles(m, positions, frequencies, scale);
}

/** Llama 3.1: scales long waves, keeps short ones, blends in between. */
function llama3({ c, base, size }: Scaling): Rotary {
  const [factor, low, high] = ['factor', 'low_freq_factor', 'high_freq_factor'].map((name) => c.number(name)) as [number, number, number]; // prettier-ignore
  const original = c.size('original_max_position_embeddings');
  const stretched = (frequency: number): number => {
    const wave = (2 * Math.PI) / frequency;
    if (wave < original / high) return frequency;
    if (wave > original / low) return frequency / factor;
    const kept = (original / wave - low) / (high - low);
    return (1 - kept) * (frequency / factor) + kept * frequency;
  };
  return fixed(rotaryFrequencies(base, size).map(stretched));
}

function yarn({ c, base, size, original: outside }: Scaling): Rotary {
  if (size % 2 === 1) throw c.unsupported('rope_type', `An even number of each head must turn, and ${size} do.`);
  const factor = c.number('factor');
  const original = trainedLength(c, outside);
  const [fast, slow] = [c.number('beta_fast', 32), c.number('beta_slow', 1)];
  const isWhole = c.flag('truncate', true);
  const [all, one] = ['mscale_all_dim', 'mscale'].map((name) => (c.has(name) ? c.number(name) : undefined));
  const grown = (by: number): number => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  const scale = c.number('attention_factor', one && all ? grown(one) / grown(all) : grown(1));
  // The pair that rotates `times` times over the training length.
  const pairOf = (times: number): number => (size * Math.log(original / (times * 2 * Math.PI))) / (2 * Math.log(base));
  const [from, to] = [pairOf(fast), pairOf(slow)];
  const first = Math.max(isWhole ? Math.floor(from) : from, 0);
  const last = Math.min(isWhole ? Math.ceil(to) : to, size - 1);
  const blend = (frequency: number, i: number): number => {
    const stretch = Math.min(1, Math.max(0, (i - first) / (last === first ? 0.001 : last - first)));
    return (frequency / factor) * stretch + frequency * (1 - stretch);
  };
  return fixed(rotaryFrequencies(base, size).map(blend), scale);
}

function longrope({ c, base, size, trained, original: outside }: Scaling): Rotary {
  const original = trainedLength(c, outside);
  const growth = c.number('factor', trained() / original);
  const scale = c.number('attention_factor', growth <= 1 ? 1 : Math.sqrt(1 + Math.log(growth) / Math.log(original)));
  const plain = rotaryFrequencies(base, size);
  const [short, long] = ['short_factor', 'long_factor'].map((name) => {
    const factors = c.numbers(name);
    if (factors.length !== plain.length) throw c.unsupported(name, `It needs ${plain.length} numbers.`);
    return plain.map((each, i) => each / factors[i]!);
  }) as [Float32Array, Float32Array];
  return (m, decoding) => {
    const { g } = m;
    const constant = (values: Float32Array): Value => g.constant(float32(values, [values.length]));
    const isLong = g.Greater(decoding.total, g.scalar(original, 'int64'));
    return rotaryAngles(m, decoding.positions, g.Where(isLong, constant(long), constant(short)), scale);
  };
}

/** Dynamic NTK: the base grows with texts longer than the training length. */
function dynamic({ c, base, size, original: outside }: Scaling): Rotary {
  const factor = c.number('factor');
  const original = trainedLength(c, outside);
  return (m, decoding) => {
    const { g } = m;
    const length = g.Max(m.floats(decoding.total), original);
    const grown = g.Mul(g.Pow(g.Sub(g.Mul(length, factor / original), factor - 1), size / (size - 2)), base);
    const powers = Float32Array.from(tableOf(Math.ceil(size / 2), (i) => (-2 * i) / size));
    return rotaryAngles(m, decoding.positions, g.Pow(grown, g.constant(float32(powers, [powers.length]))));
  };
}
