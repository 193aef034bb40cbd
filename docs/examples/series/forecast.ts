/** @file The task of the example: from the readings so far to the next one. */

import {
  type Dataset,
  float32,
  meanSquaredError,
  type MetricCollector,
  OnnxLoraError,
  type Predictor,
  type PreparedTask,
  stack,
  type Task,
  type TaskFactory,
  type TaskModel,
  type TaskOptions,
  type Tensor,
} from '@onnx-lora/sdk';
import { preprocessorOf, type SeriesPreprocessor } from './preprocessor.ts';
import { readReadings } from './readings.ts';

/** Readings, and the one that followed them; both scaled. */
export interface ForecastExample {
  /** `[length]` */
  readonly window: Tensor;
  /** `[1]` */
  readonly next: Tensor;
}

/**
 * Forecasting on a file with one reading in each line.
 *
 * @param heldOut how much of the series, from its end, is for evaluation
 */
export function forecast(file: string, heldOut = 0.2): Task<ForecastExample> {
  return { name: 'forecast', prepare: (model) => prepare(file, heldOut, model) };
}

async function prepare(file: string, heldOut: number, model: TaskModel): Promise<PreparedTask<ForecastExample>> {
  const preprocessor = await preprocessorOf(model);
  const readings = preprocessor.scaled(await readReadings(file, 10 * preprocessor.length));
  const split = Math.floor(readings.length * (1 - heldOut));
  return {
    train: windows(readings.subarray(0, split), preprocessor.length),
    validation: windows(readings.subarray(split), preprocessor.length),
    collate: (examples) =>
      Promise.resolve({
        inputs: { readings: stack(examples.map(({ window }) => window)) },
        targets: { next: stack(examples.map(({ next }) => next)) },
      }),
    loss: (g, outputs, targets) => meanSquaredError(g, outputs['forecast']!, targets['next']!),
    lossWeight: ({ next }) => next!.data.length,
    metrics: () => meanAbsoluteError(preprocessor),
    decode: (outputs) => decode(outputs, preprocessor),
  };
}

function windows(readings: Float32Array, length: number): Dataset<ForecastExample> {
  return {
    length: readings.length - length,
    get: (i) =>
      Promise.resolve({
        window: float32(readings.slice(i, i + length), [length]),
        next: float32(readings.slice(i + length, i + length + 1), [1]),
      }),
  };
}

/** How far forecasts are off on average, in the unit of the readings. */
function meanAbsoluteError(preprocessor: SeriesPreprocessor): MetricCollector {
  let [sum, count] = [0, 0];
  return {
    update: (outputs, targets) => {
      const found = outputs['forecast']!.data as Float32Array;
      const truth = targets['next']!.data as Float32Array;
      found.forEach((value, i) => (sum += Math.abs(preprocessor.unscaled(value) - preprocessor.unscaled(truth[i]!))));
      count += found.length;
    },
    result: () => ({ meanAbsoluteError: sum / count }),
  };
}

function decode(
  outputs: Readonly<Record<string, Tensor>>,
  preprocessor: SeriesPreprocessor,
): { readonly forecast: number }[] {
  return Array.from(outputs['forecast']!.data as Float32Array, (value) => ({
    forecast: preprocessor.unscaled(value),
  }));
}

/** Makes the task for the command line, and forecasts for files. */
export class ForecastFactory implements TaskFactory {
  readonly name = 'forecast';
  readonly description = 'The next reading of a series; the data is a file with one reading in each line.';

  create({ data, validation }: TaskOptions): Task {
    if (typeof validation !== 'string') return forecast(data, validation);
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `Forecasts are measured at the end of the series itself, but "${validation}" is a path. Give a fraction such as 0.2.`,
    );
  }

  async predictor(model: TaskModel): Promise<Predictor> {
    const preprocessor = await preprocessorOf(model);
    return {
      feeds: async (files) => ({
        readings: stack(await Promise.all(files.map((file) => preprocessor.preprocess(file)))),
      }),
      decode: (outputs) => decode(outputs, preprocessor),
    };
  }
}
