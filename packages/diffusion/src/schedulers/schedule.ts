/** @file Noise schedules: cumulative alphas of training, and the timesteps at which pictures are sampled. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** A scheduler's config, as diffusers writes `scheduler_config.json`. Absent fields have diffusers' defaults. */
export interface SchedulerConfig {
  /** diffusers' class: `DDIMScheduler`. */
  readonly _class_name?: string;
  /** Timesteps of training; 1000 by default. */
  readonly num_train_timesteps?: number;
  /** First variance. */
  readonly beta_start?: number;
  /** Last variance. */
  readonly beta_end?: number;
  /** Form of the variances: `linear`, `scaled_linear` or `squaredcos_cap_v2`. */
  readonly beta_schedule?: string;
  /** The variances themselves. */
  readonly trained_betas?: readonly number[] | null;
  /** Target of the network: `epsilon`, `sample`, `v_prediction`. */
  readonly prediction_type?: string;
  /** Placing of timesteps: `leading`, `trailing` or `linspace`. */
  readonly timestep_spacing?: string;
  /** Added to leading timesteps. */
  readonly steps_offset?: number;
  /** Makes the last timestep pure noise. */
  readonly rescale_betas_zero_snr?: boolean;
  /** Other fields, of one scheduler each. */
  readonly [field: string]: unknown;
}

/** Reads a scheduler's fields with its defaults. */
export class Fields {
  readonly #given: SchedulerConfig;

  constructor(given: SchedulerConfig) {
    this.#given = given;
  }

  /** A number. @throws OnnxLoraError `CONFIG_INVALID` for anything else */
  number(name: string, usual: number): number {
    const value = this.#given[name] ?? usual;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw this.wrong(name, 'a number');
  }

  /** A flag. @throws OnnxLoraError `CONFIG_INVALID` for anything else */
  flag(name: string, usual: boolean): boolean {
    const value = this.#given[name] ?? usual;
    if (typeof value === 'boolean') return value;
    throw this.wrong(name, 'true or false');
  }

  /** One of some words. @throws OnnxLoraError `CONFIG_INVALID` for another */
  word<Word extends string>(name: string, usual: Word, words: readonly Word[]): Word {
    const value = this.#given[name] ?? usual;
    const found = words.find((each) => each === value);
    if (found !== undefined) return found;
    throw this.wrong(name, words.join(', '));
  }

  /** Throws for a feature that is on and unknown here. @throws OnnxLoraError `CONFIG_INVALID` */
  refuse(...names: readonly string[]): void {
    for (const name of names) if (this.#given[name] === true) throw this.wrong(name, 'false');
  }

  /** A list of numbers, if given. @throws OnnxLoraError `CONFIG_INVALID` for anything else */
  numbers(name: string): readonly number[] | undefined {
    const value = this.#given[name];
    if (value === undefined || value === null) return undefined;
    if (Array.isArray(value) && value.every((each) => typeof each === 'number')) return value;
    throw this.wrong(name, 'a list of numbers');
  }

  /** The error for a field. */
  wrong(name: string, expected: string): OnnxLoraError {
    return new OnnxLoraError(
      'CONFIG_INVALID',
      `The scheduler ${String(this.#given._class_name ?? '')} has ${name} ${JSON.stringify(this.#given[name])}, and needs ${expected}. Correct scheduler_config.json, or choose another scheduler.`,
    );
  }
}

/** Rounds half to even, as numpy. */
export function rint(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** `count` numbers from `from` to `to`, both included. */
export function linspace(from: number, to: number, count: number): number[] {
  if (count === 1) return [from];
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? to : from + (i * (to - from)) / (count - 1)));
}

/** More timesteps of training than any model has. */
const MOST_TIMESTEPS = 100_000;

/**
 * Cumulative products of 1 − β by timestep, in float32 as torch has them.
 * @param defaults `beta_start`, `beta_end` and `beta_schedule` of the scheduler's class
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown schedule
 */
export function cumulativeAlphas(
  fields: Fields,
  [start, end, schedule]: readonly [number, number, 'linear' | 'scaled_linear'] = [0.0001, 0.02, 'linear'],
): Float32Array {
  const count = fields.number('num_train_timesteps', 1000);
  if (!Number.isInteger(count) || count < 1 || count > MOST_TIMESTEPS)
    throw fields.wrong('num_train_timesteps', `a whole number up to ${MOST_TIMESTEPS}`);
  const form = fields.word('beta_schedule', schedule, ['linear', 'scaled_linear', 'squaredcos_cap_v2']);
  const [first, last] = [fields.number('beta_start', start), fields.number('beta_end', end)];
  const given = fields.numbers('trained_betas');
  if (given && given.length !== count) throw fields.wrong('trained_betas', `${count} numbers`);
  const bar = (t: number): number => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  const betas = given
    ? Float32Array.from(given)
    : form === 'linear'
      ? Float32Array.from(linspace(first, last, count))
      : form === 'scaled_linear'
        ? Float32Array.from(linspace(Math.sqrt(first), Math.sqrt(last), count), (root) => Math.fround(root) ** 2)
        : Float32Array.from({ length: count }, (_, i) => Math.min(1 - bar((i + 1) / count) / bar(i / count), 0.999));
  return products(fields.flag('rescale_betas_zero_snr', false) ? withoutSignalAtEnd(betas) : betas);
}

function products(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => (product *= Math.fround(1 - beta)));
}

/** @see https://arxiv.org/abs/2305.08891, algorithm 1 */
function withoutSignalAtEnd(betas: Float32Array): Float32Array {
  const roots = products(betas).map(Math.sqrt);
  const [first, last] = [roots[0]!, roots.at(-1)!];
  const bars = roots.map((root) => (Math.fround(root - last) * (first / (first - last))) ** 2);
  return bars.map((value, i) => 1 - (i === 0 ? value : value / bars[i - 1]!));
}

/**
 * Timesteps of a run, the noisiest first.
 * @param wide whether numbers between timesteps may come out, as Euler's linspace has them
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown spacing
 */
export function spacedTimesteps(fields: Fields, steps: number, usual: 'leading' | 'linspace', wide = false): number[] {
  const count = fields.number('num_train_timesteps', 1000);
  const spacing = fields.word('timestep_spacing', usual, ['leading', 'trailing', 'linspace']);
  if (spacing === 'linspace')
    return linspace(0, count - 1, steps).map((t) => (wide ? Math.fround(t) : rint(t))).reverse(); // prettier-ignore
  if (spacing === 'leading') {
    const ratio = Math.floor(count / steps);
    const offset = fields.number('steps_offset', 0);
    return Array.from({ length: steps }, (_, i) => i * ratio + offset).reverse();
  }
  const ratio = count / steps;
  return Array.from({ length: Math.ceil(count / ratio) }, (_, i) => rint(count - i * ratio) - 1);
}

/** Standard deviations of the noise beside a signal of one, by timestep. */
export function noiseLevels(alphas: Float32Array): Float64Array {
  return Float64Array.from(alphas, (alpha) => Math.sqrt((1 - alpha) / alpha));
}

/** Linear interpolation of a table at a place between its entries. */
export function between(table: ArrayLike<number>, at: number): number {
  const low = Math.min(Math.max(Math.floor(at), 0), table.length - 1);
  const high = Math.min(low + 1, table.length - 1);
  return table[low]! + (at - low) * (table[high]! - table[low]!);
}

/** The place of a noise level between timesteps, by its logarithm. */
export function placeOf(level: number, levels: Float64Array): number {
  const target = Math.log(Math.max(level, 1e-10));
  let low = 0;
  while (low < levels.length - 2 && Math.log(levels[low + 1]!) <= target) low++;
  const [from, to] = [Math.log(levels[low]!), Math.log(levels[low + 1]!)];
  return low + Math.min(Math.max((target - from) / (to - from), 0), 1);
}

/** Noise levels spaced as Karras et al. do, from the highest. @see https://arxiv.org/abs/2206.00364, equation 5 */
export function karrasLevels(highest: number, lowest: number, steps: number): number[] {
  const [high, low] = [highest ** (1 / 7), lowest ** (1 / 7)];
  return linspace(0, 1, steps).map((at) => (high + at * (low - high)) ** 7);
}
