/** @file Settings of tuners, checked: users write them, and strangers in the config of an adapter. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { numberByPattern, type TunedLayer, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';

/** What PEFT's config of every tuner has beside its own: which layers are meant, which the options of a run say. */
export const peftLayers: TunerSettings = { layers_pattern: null, layers_to_transform: null };

/** The same of tuners that can leave out modules. */
export const peftModules: TunerSettings = { exclude_modules: null, ...peftLayers };

/**
 * A setting that is a whole number of at least `least`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function whole(settings: TunerSettings, key: string, least = 1): number {
  const value = settings[key];
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw wrong(settings, key, `a whole number of at least ${least}`);
}

/**
 * A setting that is a finite number.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function finite(settings: TunerSettings, key: string): number {
  const value = settings[key];
  if (Number.isFinite(value)) return value as number;
  throw wrong(settings, key, 'a number');
}

/**
 * A setting that is a whole number of at least 1, which a table of patterns may have another of for some layers: `r` and
 * `rank_pattern`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function wholeOf(
  { path }: Pick<TunedLayer, 'path'>,
  settings: TunerSettings,
  key: string,
  table: string,
): number {
  const own = byPattern(path, settings, table);
  return own === undefined ? whole(settings, key) : whole({ [`${key} of "${path}"`]: own }, `${key} of "${path}"`);
}

/**
 * The same of any number: `alpha` and `alpha_pattern`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function finiteOf(
  { path }: Pick<TunedLayer, 'path'>,
  settings: TunerSettings,
  key: string,
  table: string,
): number {
  const own = byPattern(path, settings, table);
  return own === undefined ? finite(settings, key) : finite({ [`${key} of "${path}"`]: own }, `${key} of "${path}"`);
}

/** @throws OnnxLoraError `CONFIG_INVALID` for what is no table, and for a key that is no pattern */
function byPattern(path: string, settings: TunerSettings, table: string): number | undefined {
  const { [table]: numbers } = settings;
  if (typeof numbers === 'object' && !Array.isArray(numbers)) return numberByPattern(numbers as Record<string, number> | null, table, path); // prettier-ignore
  throw wrong(settings, table, 'numbers by patterns of modules');
}

/**
 * A probability of dropout, less than 1.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function dropoutOf(settings: TunerSettings, key: string): number {
  const value = finite(settings, key);
  if (value >= 0 && value < 1) return value;
  throw wrong(settings, key, 'a probability less than 1');
}

/**
 * Settings of PEFT that are only read where they have the value that they have without being named.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for another
 */
export function requireOnly(settings: TunerSettings, expected: TunerSettings): void {
  const other = Object.entries(expected).find(([key, value]) => settings[key] !== value);
  if (other) throw wrong(settings, other[0], `${JSON.stringify(other[1])}, all that this tuner has of it`);
}

/** @param expected as the end of "must be" */
export function wrong(settings: TunerSettings, key: string, expected: string): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `The tuner's setting ${key} must be ${expected}, and is ${JSON.stringify(settings[key]) ?? 'missing'}. Change it.`,
  );
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a setting that is none of those that it may be */
export function oneOf(tuner: string, settings: TunerSettings, key: string, allowed: readonly unknown[]): void {
  const { [key]: value } = settings;
  if (allowed.includes(value)) return;
  const names = allowed.map((each) => JSON.stringify(each)).join(', ');
  const remedy = allowed.length === 1 ? `Only ${names} is known` : `Choose one of ${names}`;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${key}" of the tuner "${tuner}" cannot be ${JSON.stringify(value)}. ${remedy}.`,
  );
}

/** Hooks of a tuner that trains with these values of its settings alone; adapters that were trained with others can be run. */
export function trainsWith(tuner: string, values: TunerSettings): Required<Pick<Tuner, 'training'>> {
  return {
    training: (settings) => {
      for (const [key, value] of Object.entries(values)) oneOf(tuner, settings, key, [value]);
      return {};
    },
  };
}
