/** @file From a file of readings to what a forecaster is fed, as its `preprocessor_config.json` says. */

import path from 'node:path';
import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { isObject, type JsonObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { Preprocessor, PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import { readReadings } from './readings.ts';

/** Fields of `preprocessor_config.json`. */
export interface SeriesConfig {
  /** Rows that the model looks back on. */
  readonly length: number;
  /** Rows that it forecasts. */
  readonly horizon: number;
  /** Columns of the data, in the model's order, each with its mean and standard deviation. */
  readonly variables: Readonly<Record<string, { readonly mean: number; readonly std: number }>>;
}

/** Cuts windows out of series and scales them. */
export class SeriesPreprocessor implements Preprocessor {
  readonly length: number;
  readonly horizon: number;
  /** Names of the variables, in the model's order. */
  readonly names: readonly string[];
  readonly #scales: readonly { readonly mean: number; readonly std: number }[];

  constructor({ length, horizon, variables }: SeriesConfig) {
    this.length = length;
    this.horizon = horizon;
    this.names = Object.keys(variables);
    this.#scales = Object.values(variables);
  }

  /** Readings `[…, variables]` in the unit that the model computes in: mean 0, standard deviation 1. */
  scaled({ data, dims }: Tensor): Tensor {
    return float32(
      (data as Float32Array).map((value, i) => (value - this.#of(i).mean) / this.#of(i).std),
      dims,
    );
  }

  /** Back in the units of the readings. */
  unscaled({ data, dims }: Tensor): Tensor {
    return float32(
      (data as Float32Array).map((value, i) => value * this.#of(i).std + this.#of(i).mean),
      dims,
    );
  }

  /** The last rows of a file: `[length, variables]`. */
  async preprocess(file: string): Promise<Tensor> {
    const all = await readReadings(file, this.names, this.length);
    return this.scaled(rowsOf(all, all.dims[0]! - this.length, this.length));
  }

  #of(at: number): { readonly mean: number; readonly std: number } {
    return this.#scales[at % this.#scales.length]!;
  }
}

/** Rows of a matrix: `[count, columns]`. */
export function rowsOf({ data, dims }: Tensor, from: number, count: number): Tensor {
  const width = dims[1]!;
  return float32((data as Float32Array).slice(from * width, (from + count) * width), [count, width]);
}

// #region factory
/** Recognises `preprocessor_config.json` files with `"processor_class": "SeriesProcessor"`. */
export class SeriesPreprocessorFactory implements PreprocessorFactory {
  readonly domain = 'series';
  readonly fileEndings: readonly string[] = ['.csv', '.tsv'];

  recognises(config: JsonObject): boolean {
    return config['processor_class'] === 'SeriesProcessor';
  }

  create(config: JsonObject, file: string): SeriesPreprocessor {
    const refused = (key: string, wanted: string): OnnxLoraError =>
      new OnnxLoraError('CONFIG_INVALID', `"${file}": "${key}" must be ${wanted}. Download the file again.`);
    const { length, horizon, variables } = config as Partial<SeriesConfig>;
    for (const [key, value] of Object.entries({ length, horizon }))
      if (!Number.isInteger(value) || value! < 1) throw refused(key, 'a whole number above 0');
    if (!isObject(variables) || Object.keys(variables).length === 0) throw refused('variables', 'an object of columns');
    for (const [name, { mean, std } = { mean: NaN, std: NaN }] of Object.entries(variables))
      if (!Number.isFinite(mean) || !(std > 0)) throw refused(`variables.${name}`, 'a mean and an std above 0');
    return new SeriesPreprocessor({ length: length!, horizon: horizon!, variables });
  }
}
// #endregion factory

/**
 * The preprocessor that lies beside a model.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` without one
 */
export async function preprocessorOf(model: TaskModel): Promise<SeriesPreprocessor> {
  const file = path.join(model.folder ?? '.', 'preprocessor_config.json');
  const config = await readJsonObject(file, 1 << 20, 'a preprocessor');
  const factory = new SeriesPreprocessorFactory();
  if (config && factory.recognises(config)) return factory.create(config, file);
  throw new OnnxLoraError('CONFIG_INVALID', `"${file}" describes no SeriesProcessor. Download it with the model.`);
}
