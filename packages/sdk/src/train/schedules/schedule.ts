/** @file Learning rate schedules. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { notNegative as notNegativeNumber } from '../../checks.ts';
import { fraction, notNegative, positive, type Settings, settingsOf } from '../optimizers/settings.ts';

/**
 * A schedule with its settings. Rates are relative to the peak rate.
 *
 * - `constant` stays.
 * - `linear` falls linearly to `end` (0), `polynomial` to `end` (0) as `(1 − done)^power` (1).
 * - `cosine` falls along a cosine: half a period by default (`cycles` 0.5), to `end` (0).
 * - `cosine_with_restarts` falls along half a cosine `cycles` (1) times, from the peak each time.
 * - `jagged_cosine` (ReLoRA) falls along half a cosine to `end` (0.1), and every `every` steps (a quarter of the run)
 *   warms up again from 0 over `rewarm` steps (a tenth of these).
 * - `inverse_sqrt` falls with the inverse root of the steps: the peak is `timescale` steps (the warm-up's, or 10,000)
 *   after the start of the warm-up.
 * - `one_cycle` rises along a cosine from 1/`divFactor` (25) over the first `pctStart` (0.3) of the run, and falls to
 *   1/(`divFactor`·`finalDivFactor`) (1e4) by its end, without another warm-up.
 */
export type ScheduleOptions =
  | { readonly name: 'constant' }
  | { readonly name: 'linear'; readonly end?: number }
  | { readonly name: 'polynomial'; readonly power?: number; readonly end?: number }
  | { readonly name: 'cosine'; readonly cycles?: number; readonly end?: number }
  | { readonly name: 'cosine_with_restarts'; readonly cycles?: number }
  | { readonly name: 'jagged_cosine'; readonly every?: number; readonly rewarm?: number; readonly end?: number }
  | { readonly name: 'inverse_sqrt'; readonly timescale?: number }
  | {
      readonly name: 'one_cycle';
      readonly pctStart?: number;
      readonly divFactor?: number;
      readonly finalDivFactor?: number;
    };

/** The name of a schedule. */
export type ScheduleName = ScheduleOptions['name'];

/** The steps of a schedule. */
export interface ScheduleSpan {
  /** Steps of the whole run. */
  readonly steps: number;
  /** Steps of the linear warm-up from 0; 0 by default. Below 1: a share of the run's steps. */
  readonly warmup?: number;
}

/** The factor of the learning rate at a step, counted from 0. */
export type Schedule = (step: number) => number;

/**
 * The schedule of a run, a function of the step alone, so that a resumed run continues exactly. It matches
 * transformers' `get_scheduler`, torch's `OneCycleLR` (`one_cycle`) and ReLoRA's code (`jagged_cosine`). As there, a
 * warm-up starts at rate 0; a run of one step has no warm-up.
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown name or setting, or a value out of range
 */
export function scheduleOf(given: ScheduleName | ScheduleOptions, { steps, warmup = 0 }: ScheduleSpan): Schedule {
  const { name, ...settings } = typeof given === 'string' ? { name: given } : given;
  if (!Object.hasOwn(makers, name))
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no schedule "${name}".${didYouMean(name, scheduleNames)} Choose one of ${scheduleNames.join(', ')}.`,
    );
  notNegativeNumber('warmup', warmup);
  // As transformers rounds a warmup_ratio.
  const asked = warmup < 1 ? Math.ceil(steps * warmup) : warmup;
  // Otherwise the only step would have rate 0 and train nothing.
  const rising = steps === 1 ? 0 : asked;
  const done = (since: number): number => Math.min(1, since / Math.max(1, steps - rising));
  const falling = makers[name](settings, { steps, asked, warmup: rising, done });
  return (step) => (step < rising ? step / rising : falling(step - rising));
}

type Given = Readonly<Record<string, unknown>>;

/** The steps of a schedule after its warm-up. */
interface Fall {
  readonly steps: number;
  /** Steps of the requested warm-up, and of the actual one. */
  readonly asked: number;
  readonly warmup: number;
  /** Share of the steps done, by steps since the warm-up. */
  readonly done: (since: number) => number;
}

type OptionsOf<Name extends ScheduleName> = Extract<ScheduleOptions, { readonly name: Name }>;

/** Validates a schedule's options and adds defaults. */
function optionsOf<Name extends ScheduleName>(
  name: Name,
  given: Given,
  rules: Parameters<typeof settingsOf<OptionsOf<Name>>>[2],
): Settings<OptionsOf<Name>> {
  return settingsOf<OptionsOf<Name>>(name, given, rules, 'schedule');
}

/** Constructors by name: the factor of the rate by steps since the warm-up. */
const makers: { readonly [Name in ScheduleName]: (given: Given, fall: Fall) => Schedule } = {
  constant: (given) => {
    optionsOf('constant', given, {});
    return () => 1;
  },
  linear: (given, { done }) => {
    const { end } = optionsOf('linear', given, { end: fraction(0) });
    return (since) => end + (1 - end) * (1 - done(since));
  },
  polynomial: (given, { done }) => {
    const { end, power } = optionsOf('polynomial', given, { end: fraction(0), power: positive(1) });
    return (since) => end + (1 - end) * (1 - done(since)) ** power;
  },
  cosine: (given, { done }) => {
    const { end, cycles } = optionsOf('cosine', given, { end: fraction(0), cycles: positive(0.5) });
    return (since) => end + (1 - end) * 0.5 * (1 + Math.cos(2 * Math.PI * cycles * done(since)));
  },
  cosine_with_restarts: (given, { done }) => {
    const { cycles } = optionsOf('cosine_with_restarts', given, { cycles: positive(1) });
    return (since) => (done(since) >= 1 ? 0 : 0.5 * (1 + Math.cos(Math.PI * ((cycles * done(since)) % 1))));
  },
  jagged_cosine: (given, { steps, warmup }) => {
    const every = typeof given['every'] === 'number' ? given['every'] : Math.max(1, Math.ceil(steps / 4));
    const { end, rewarm } = optionsOf('jagged_cosine', given, {
      every: positive(every),
      // A warm-up over a whole part would leave the rate at 0.
      rewarm: notNegative(Math.min(every - 1, Math.ceil(every / 10))),
      end: fraction(0.1),
    });
    const height = (at: number): number => end + (1 - end) * 0.5 * (1 + Math.cos(Math.PI * at));
    const length = Math.max(1, steps - warmup);
    // As in ReLoRA's code, a warm-up ends at the height of the steps before it, and only the last part accounts for the
    // first warm-up.
    return (since) => {
      const [step, rest] = [since + warmup, (since + warmup) % every];
      return rest < rewarm ? (rest / Math.max(1, rewarm)) * height((step - rest) / length) : height(since / length);
    };
  },
  inverse_sqrt: (given, { warmup }) => {
    const { timescale } = optionsOf('inverse_sqrt', given, { timescale: positive(warmup || 10_000) });
    return (since) => 1 / Math.sqrt((since + timescale) / timescale);
  },
  one_cycle: (given, { steps, asked }) => {
    if (asked > 0)
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        'The schedule one_cycle has its own warm-up: set its pctStart, and leave warmup out.',
      );
    const rules = { pctStart: fraction(0.3), divFactor: positive(25), finalDivFactor: positive(1e4) };
    const { pctStart, divFactor, finalDivFactor } = optionsOf('one_cycle', given, rules);
    const initial = 1 / divFactor;
    const final = initial / finalDivFactor;
    const top = pctStart * steps - 1;
    const anneal = (from: number, to: number, done: number): number =>
      to + ((from - to) / 2) * (1 + Math.cos(Math.PI * Math.min(1, done)));
    // With a rise of less than a step, the first step is the top.
    return (step) =>
      step <= top ? anneal(initial, 1, top === 0 ? 1 : step / top) : anneal(1, final, (step - top) / (steps - 1 - top));
  },
};

/** Every schedule's name. */
export const scheduleNames: readonly ScheduleName[] = Object.keys(makers) as ScheduleName[];
