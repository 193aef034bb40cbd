/** @file Augmentations of any domain: how a list of them is applied, the setting that names a preset, and checks of their settings. */

import { OnnxLoraError } from '../errors.ts';
import { Random } from '../runtime/random.ts';
import type { SettingRow } from '../plugin/settings.ts';

/** What every augmentation has: data that can be written to a file and sent to a thread. */
export interface AugmentationData {
  /** Which kind it is. */
  readonly type: string;
  /** How often it is applied, from 0 to 1; always where absent. */
  readonly probability?: number;
}

/** What the function that makes an augmentation takes: its settings, each of which has a default. */
export type AugmentationOptions<Each extends AugmentationData> = Partial<Omit<Each, 'type'>>;

/** What a kind of augmentation does to a sample, with whatever else the domain hands it. */
export type Augment<Sample, Each, Rest extends unknown[]> = (
  sample: Sample,
  augmentation: Each,
  random: Random,
  ...rest: Rest
) => Sample;

/**
 * Applies a list of augmentations one after the other, by a function for each kind. Of one with a `probability` a number is
 * drawn first, and the sample stays as it is where that is not below it. The same seed gives the same result, bit for bit.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a type that has no function
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
    // Each type's own function, which the compiler cannot follow through the table.
    const apply = kinds[type as Each['type']] as Augment<Sample, Each, Rest>;
    current = apply(current, augmentation, random, ...rest);
  }
  return current;
}

/** A setting that names a list of augmentations. */
export interface AugmentationPresets<Each> {
  /** The lists by the names that the setting has for them. A Map, for the name comes from a user. */
  readonly byName: ReadonlyMap<string, readonly Each[]>;
  /** `--set augment=standard`. */
  readonly setting: SettingRow<readonly Each[]>;
}

/**
 * The setting `augment` of a task.
 *
 * @param what what is changed, as the setting's description calls it: `images`
 * @param presets lists by name; without the setting nothing is changed
 */
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

/** Lowest and highest value that may be drawn. */
export type Range = readonly [low: number, high: number];

/** An error about the setting `name` of an augmentation, to be thrown. */
export function badSetting(name: string, expected: string, found: unknown): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `The setting "${name}" of an augmentation must be ${expected}, but is ${JSON.stringify(found)}. Correct it.`,
  );
}

/**
 * `value`, a share from 0 to 1.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for any other number
 */
export function checkShare(name: string, value: number): number {
  if (value >= 0 && value <= 1) return value;
  throw badSetting(name, 'between 0 and 1', value);
}

/**
 * `range`, both ends at least `least` and at most `most`, in order.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for any other range
 */
export function checkRange(name: string, range: Range, least: number, most: number = Infinity): Range {
  const [low, high] = range;
  if (low >= least && high >= low && high <= most) return range;
  const bounds = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
  throw badSetting(name, `two numbers ${bounds}, the lower one first`, range);
}

/**
 * `value`, a whole number from `least` to `most`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for any other number
 */
export function checkWhole(name: string, value: number, least: number, most: number = Infinity): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw badSetting(
    name,
    most === Infinity ? `a whole number of at least ${least}` : `a whole number from ${least} to ${most}`,
    value,
  );
}
