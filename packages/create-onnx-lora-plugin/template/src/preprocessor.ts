/** @file From a file to what the model is fed, as the `preprocessor_config.json` beside the model says. */

import path from 'node:path';
import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { isObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { Preprocessor, PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import { readNumbers } from './numbers.ts';

/** Fields of `preprocessor_config.json`. Change: what your models were trained with. */
interface NumbersConfig {
  /** Numbers per file. */
  readonly length: number;
  /** Their mean, which becomes 0. */
  readonly mean: number;
  /** Their standard deviation, which becomes 1. */
  readonly std: number;
}

/** By which `preprocessor_config.json` is recognised. Change: its `processor_class` in your models. */
const PROCESSOR_CLASS = '{{family}}';
const FILE = 'preprocessor_config.json';
/** No config that is meant is larger. */
const MAX_BYTES = 1 << 20;

class NumbersPreprocessor implements Preprocessor {
  readonly #config: NumbersConfig;

  constructor(config: NumbersConfig) {
    this.#config = config;
  }

  /** `[length]` */
  async preprocess(file: string): Promise<Tensor> {
    const { length, mean, std } = this.#config;
    const numbers = await readNumbers(file, length);
    return float32(
      numbers.map((number) => (number - mean) / std),
      [length],
    );
  }
}

/** Makes the preprocessor of a model that has one of ours. */
export class NumbersPreprocessorFactory implements PreprocessorFactory {
  readonly domain = '{{domain}}';
  readonly fileEndings: readonly string[] = ['.txt'];

  recognises(config: Readonly<Record<string, unknown>>): boolean {
    return config['processor_class'] === PROCESSOR_CLASS;
  }

  create(config: Readonly<Record<string, unknown>>, file: string): Preprocessor {
    const number = (key: keyof NumbersConfig): number => {
      const value = config[key];
      if (typeof value === 'number' && Number.isFinite(value)) return value;
      throw new OnnxLoraError('CONFIG_INVALID', `"${file}": "${key}" must be a number. Correct it.`);
    };
    const [length, mean, std] = [number('length'), number('mean'), number('std')];
    if (Number.isInteger(length) && length > 0 && std > 0) return new NumbersPreprocessor({ length, mean, std });
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${file}": "length" must be a whole number above 0, and "std" above 0. Correct them.`,
    );
  }
}

/**
 * The preprocessor that lies beside a model.
 * @throws OnnxLoraError `CONFIG_INVALID` without one of ours
 */
export async function preprocessorOf(model: TaskModel): Promise<Preprocessor> {
  const file = path.join(model.folder ?? '.', FILE);
  const config = await readJsonObject(file, MAX_BYTES, 'a preprocessor');
  const factory = new NumbersPreprocessorFactory();
  if (isObject(config) && factory.recognises(config)) return factory.create(config, file);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${model.name}" needs a ${FILE} with "processor_class": "${PROCESSOR_CLASS}". Put it beside the model.`,
  );
}
