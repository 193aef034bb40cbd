/** @file From a file of readings to what a forecaster is fed, as its `preprocessor_config.json` says. */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  float32,
  OnnxLoraError,
  type Preprocessor,
  type PreprocessorFactory,
  type TaskModel,
  type Tensor,
} from '@onnx-lora/sdk';
import { readReadings } from './readings.ts';

/** Cuts windows out of series and scales them. */
export class SeriesPreprocessor implements Preprocessor {
  /** Readings that the model looks back on. */
  readonly length: number;
  readonly #mean: number;
  readonly #deviation: number;

  constructor(length: number, mean: number, deviation: number) {
    this.length = length;
    this.#mean = mean;
    this.#deviation = deviation;
  }

  /** In the unit that the model computes in: mean 0, standard deviation 1. */
  scaled(readings: Float32Array): Float32Array {
    return readings.map((value) => (value - this.#mean) / this.#deviation);
  }

  /** Back in the unit of the readings. */
  unscaled(value: number): number {
    return value * this.#deviation + this.#mean;
  }

  /** The last readings of a file: `[length]`. */
  async preprocess(file: string): Promise<Tensor> {
    const readings = await readReadings(file, this.length);
    return float32(this.scaled(readings.slice(-this.length)), [this.length]);
  }
}

/** Recognises `preprocessor_config.json` files with `"processor_class": "SeriesProcessor"`. */
export class SeriesPreprocessorFactory implements PreprocessorFactory {
  readonly domain = 'series';
  readonly fileEndings: readonly string[] = ['.txt', '.csv'];

  recognises(config: Readonly<Record<string, unknown>>): boolean {
    return config['processor_class'] === 'SeriesProcessor';
  }

  create(config: Readonly<Record<string, unknown>>, file: string): SeriesPreprocessor {
    const number = (key: string): number => {
      const value = config[key];
      if (typeof value === 'number' && Number.isFinite(value)) return value;
      throw new OnnxLoraError('CONFIG_INVALID', `"${file}": "${key}" must be a number. Download the file again.`);
    };
    return new SeriesPreprocessor(number('length'), number('mean'), number('std'));
  }
}

/**
 * The preprocessor that lies beside a model.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` without a readable one
 */
export async function preprocessorOf(model: TaskModel): Promise<SeriesPreprocessor> {
  const file = path.join(model.folder ?? '.', 'preprocessor_config.json');
  try {
    const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    return new SeriesPreprocessorFactory().create(config, file);
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${file}" cannot be read: ${(cause as Error).message}. Download it with the model.`,
      { cause },
    );
  }
}
