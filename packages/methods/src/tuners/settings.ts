/** @file Validated settings of tuners, from users and from adapter configs. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { numberByPattern, type TargetLayer, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';

/** Fields of every PEFT config that select layers; a run's options select them here. */
export const peftLayers: TunerSettings = { layers_pattern: null, layers_to_transform: null };

/** The same for tuners with `exclude_modules`. */
export const peftModules: TunerSettings = { exclude_modules: null, ...peftLayers };

/** A whole number of at least `least`. @throws OnnxLoraError `CONFIG_INVALID` */
export function whole(settings: TunerSettings, key: string, least = 1): number {
  const value = settings[key];
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw wrong(settings, key, `a whole number of at least ${least}`);
}

/** A finite number. @throws OnnxLoraError `CONFIG_INVALID` */
export function finite(settings: TunerSettings, key: string): number {
  const value = settings[key];
  if (Number.isFinite(value)) return value as number;
  throw wrong(settings, key, 'a number');
}

/** A layer's whole number: by a pattern table (`rank_pattern`), or `key`. @throws OnnxLoraError `CONFIG_INVALID` */
export function wholeOf(layer: TargetLayer, settings: TunerSettings, key: string, table: string): number {
  return whole(...settingOf(layer, settings, key, table));
}

/** A layer's number, likewise (`alpha_pattern` and `alpha`). @throws OnnxLoraError `CONFIG_INVALID` */
export function finiteOf(layer: TargetLayer, settings: TunerSettings, key: string, table: string): number {
  return finite(...settingOf(layer, settings, key, table));
}

/** @throws OnnxLoraError `CONFIG_INVALID` for anything but a table, and for a key that is no pattern */
function settingOf(
  { path }: TargetLayer,
  settings: TunerSettings,
  key: string,
  table: string,
): [TunerSettings, string] {
  const { [table]: numbers } = settings;
  if (typeof numbers !== 'object' || Array.isArray(numbers)) throw wrong(settings, table, 'numbers by patterns of modules'); // prettier-ignore
  const own = numberByPattern(numbers as Record<string, number> | null, table, path);
  const name = `${key} of "${path}"`;
  return own === undefined ? [settings, key] : [{ [name]: own }, name];
}

/** A dropout probability, less than 1. @throws OnnxLoraError `CONFIG_INVALID` */
export function dropoutOf(settings: TunerSettings, key: string): number {
  const value = finite(settings, key);
  if (value >= 0 && value < 1) return value;
  throw wrong(settings, key, 'a probability less than 1');
}

/** Refuses PEFT settings that are supported with one value only. @throws OnnxLoraError `CONFIG_INVALID` */
export function requireOnly(settings: TunerSettings, expected: TunerSettings): void {
  const other = Object.entries(expected).find(([key, value]) => settings[key] !== value);
  if (other) throw wrong(settings, other[0], `${JSON.stringify(other[1])}, all that this tuner has of it`);
}

/** @param expected completes "must be" */
export function wrong(settings: TunerSettings, key: string, expected: string): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `The tuner's setting ${key} must be ${expected}, and is ${JSON.stringify(settings[key]) ?? 'missing'}. Change it.`,
  );
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a value outside of `allowed` */
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

/** The `training` hook of a tuner that trains with these values only; adapters with others can still run. */
export function trainsWith(tuner: string, values: TunerSettings): Required<Pick<Tuner, 'training'>> {
  return {
    training: (settings) => {
      for (const [key, value] of Object.entries(values)) oneOf(tuner, settings, key, [value]);
      return {};
    },
  };
}
