/** @file Augmentations of any domain: applying them, presets, and checks of their settings. */

import { OnnxLoraError } from '../errors.ts';
import { Random } from '../runtime/random.ts';
import type { SettingRow } from '../plugin/settings.ts';

/** Base of augmentations: plain data that can be written to a file and sent to a thread. */
export interface AugmentationData {
  /** The kind of augmentation. */
  readonly type: string;
  /** Probability of applying it, from 0 to 1; 1 by default. */
  readonly probability?: number;
}

/** Input of an augmentation's constructor function: its settings, all optional. */
export type AugmentationOptions<Each extends AugmentationData> = Partial<Omit<Each, 'type'>>;

/** Applies one kind of augmentation to a sample, with further arguments of the domain. */
export type Augment<Sample, Each, Rest extends unknown[]> = (
  sample: Sample,
  augmentation: Each,
  random: Random,
  ...rest: Rest
) => Sample;

/**
 * Applies augmentations in order, by a function per kind. For one with a `probability` a number is drawn first, and the
 * augmentation is skipped unless the number is below it. The same seed gives the same result, bit for bit.
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown type
 */
export function applyAugmentations<Sample, Each extends AugmentationData, Rest extends unknown[]>(
  kinds: { readonly [Type in Each['type']]: Augment<Sample, Extract<Each, { type: Type }>, Rest> },
  sample: Sample,
  augmentations: readonly Each[],
  seed: number,
  ...rest: Rest
): Sample {
  const random = new Random(seed);
  let current = sample;
  for (const augmentation of augmentations) {
    const { type, probability } = augmentation;
    if (!Object.hasOwn(kinds, type)) throw badSetting('type', `one of ${Object.keys(kinds).join(', ')}`, type);
    if (probability !== undefined && random.next() >= probability) continue;
    // Each type has its own function, which the compiler cannot follow through the table.
    const apply = kinds[type as Each['type']] as Augment<Sample, Each, Rest>;
    current = apply(current, augmentation, random, ...rest);
  }
  return current;
}

/** Named presets of augmentations and their setting. */
export interface AugmentationPresets<Each> {
  /** Presets by name. A Map, because names come from users. */
  readonly byName: ReadonlyMap<string, readonly Each[]>;
  /** `--set augment=standard`. */
  readonly setting: SettingRow<readonly Each[]>;
}

/** Makes the setting `augment` of a task; `what` is the data in its description, such as `images`. */
export function augmentationPresets<Each>(
  what: string,
  presets: Readonly<Record<string, readonly Each[]>>,
): AugmentationPresets<Each> {
  const byName = new Map(Object.entries(presets));
  const names = [...byName.keys()];
  return {
    byName,
    setting: {
      kind: 'choice',
      of: names,
      to: (name: string) => byName.get(name),
      description: `Random changes of the ${what} in training: ${names.join(', ')}; none by default.`,
    },
  };
}

/** Lowest and highest value to draw. */
export type Range = readonly [low: number, high: number];

/** The error about the setting `name` of an augmentation. */
export function badSetting(name: string, expected: string, found: unknown): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `The setting "${name}" of an augmentation must be ${expected}, but is ${JSON.stringify(found)}. Correct it.`,
  );
}

/** Requires a fraction from 0 to 1. @throws OnnxLoraError `CONFIG_INVALID` for any other number */
export function checkShare(name: string, value: number): number {
  if (value >= 0 && value <= 1) return value;
  throw badSetting(name, 'between 0 and 1', value);
}

/** Requires a range within `least` and `most`, in order. @throws OnnxLoraError `CONFIG_INVALID` for any other range */
export function checkRange(name: string, range: Range, least: number, most: number = Infinity): Range {
  const [low, high] = range;
  if (low >= least && high >= low && high <= most) return range;
  const bounds = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
  throw badSetting(name, `two numbers ${bounds}, the lower one first`, range);
}

/** Requires an integer from `least` to `most`. @throws OnnxLoraError `CONFIG_INVALID` for any other number */
export function checkWhole(name: string, value: number, least: number, most: number = Infinity): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const bounds = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
  throw badSetting(name, `a whole number ${bounds}`, value);
}
