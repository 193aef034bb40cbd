/** @file Stretches a language model's context: the same weights with other rotary frequencies. */

import { copyFileSync, existsSync, mkdirSync, path, realpathSync, writeFileSync } from '@onnx-lora/sdk/platform';
import { type Model, OnnxLoraError } from '@onnx-lora/sdk';
import { companionsIn, openOnnx, writeOnnx } from '@onnx-lora/sdk/plugin';
import { isObject, type JsonObject } from '@onnx-lora/sdk/data';
import { type StretchedFrequencies, stretchedFrequencies, type StretchMethod } from './frequencies.ts';
import { rotaryTables, withFrequencies } from './rotaryTables.ts';

/** Options of {@link stretchPositions}. */
export interface StretchOptions {
  /** `yarn` by default, which disturbs a model least. */
  readonly method?: StretchMethod;
  /** The factor by which the context grows; above 1. */
  readonly factor: number;
  /** Context length of pretraining; by default that of config.json. */
  readonly originalLength?: number;
  /** YaRN keeps frequencies with more turns within that length; 32 by default. */
  readonly betaFast?: number;
  /** YaRN divides frequencies with fewer turns by the factor; 1 by default. */
  readonly betaSlow?: number;
}

/**
 * Writes a model for texts `factor` times as long into a new folder: all .onnx files with new rotary frequencies, and
 * the other files, with `rope_scaling` and `max_position_embeddings` in config.json as in transformers. The weights
 * stay the same, so adapters of either model fit the other. Tables of cosines that are weights of the file change its
 * digest; adapters of the other model then need `allowBaseMismatch`. The model reads longer texts best after training
 * on some.
 * @example
 * ```ts
 * const folder = stretchPositions(model, 'models/smollm-long', { factor: 4 });
 * const longer = await openModel(folder, { families: textFamilies });
 * ```
 * @returns the folder
 * @throws OnnxLoraError `CONFIG_INVALID` for options, and a model without config.json; `FILE_INVALID` for an existing
 * folder; `MODEL_UNSUPPORTED` for a graph whose frequencies are not found
 */
export function stretchPositions(model: Model, folder: string, options: StretchOptions): string {
  const { method = 'yarn', factor } = options;
  const { config, folder: source } = model;
  const originalLength = options.originalLength ?? config?.['max_position_embeddings'];
  check(options, originalLength);
  if (!config || source === undefined || !existsSync(path.join(source, 'config.json')))
    throw new OnnxLoraError('CONFIG_INVALID', `"${model.name}" has no config.json, which must say of the longer texts. Open a folder that has one.`); // prettier-ignore
  if (existsSync(folder)) throw new OnnxLoraError('FILE_INVALID', `"${folder}" is there already. Name a new folder.`);
  const files = model.parts.length > 0 ? model.parts.map(({ file }) => file) : [model.file];
  const changed = files.map((file) => {
    const onnx = openOnnx(file);
    const tables = rotaryTables(onnx.model, file);
    const stretched = stretchedFrequencies(tables.frequencies, { ...options, method, originalLength });
    return { file, stretched, model: withFrequencies(onnx.model, tables, stretched, factor) };
  });
  for (const each of changed) {
    const place = path.join(folder, path.relative(realpathSync(source), realpathSync(each.file)));
    mkdirSync(path.dirname(place), { recursive: true });
    writeOnnx(place, each.model);
  }
  for (const name of companionsIn(source)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    copyFileSync(path.join(source, name), path.join(folder, name));
  }
  const longer = longerConfig(config, { method, factor, originalLength }, changed[0]!.stretched);
  writeFileSync(path.join(folder, 'config.json'), `${JSON.stringify(longer, undefined, 2)}\n`);
  return folder;
}

function check(
  { method = 'yarn', factor, betaFast = 32, betaSlow = 1 }: StretchOptions,
  length: unknown,
): asserts length is number {
  // prettier-ignore
  const wrong = (option: string, expected: string, found: unknown): OnnxLoraError =>
    new OnnxLoraError('CONFIG_INVALID', `The option "${option}" must be ${expected}, but it is ${String(found)}.`);
  if (!['linear', 'ntk', 'yarn'].includes(method)) throw wrong('method', '"linear", "ntk" or "yarn"', method);
  if (!(factor > 1 && factor < Infinity)) throw wrong('factor', 'a number above 1', factor);
  if (!(Number.isInteger(length) && (length as number) > 0)) throw wrong('originalLength', 'a whole number above 0, as config.json has it in max_position_embeddings', length); // prettier-ignore
  if (!(betaSlow > 0 && betaFast > betaSlow)) throw wrong('betaFast', `above betaSlow, ${betaSlow}`, betaFast);
}

/** config.json of the longer model: transformers expresses NTK as a base, the other methods as `rope_scaling`. */
function longerConfig(
  config: JsonObject,
  { method, factor, originalLength }: { readonly method: StretchMethod; readonly factor: number; readonly originalLength: number }, // prettier-ignore
  { base }: StretchedFrequencies,
): JsonObject {
  const before = config['rope_parameters'];
  const scaling =
    method === 'ntk' ? {} : { rope_type: method, factor, original_max_position_embeddings: originalLength };
  const theta = base === undefined ? {} : { rope_theta: base };
  return {
    ...config,
    max_position_embeddings: Math.round(originalLength * factor),
    ...(isObject(before)
      ? { rope_parameters: { ...before, ...scaling, ...theta } }
      : { ...theta, rope_scaling: method === 'ntk' ? null : scaling }),
  };
}
