/** @file The task of the example: from the readings so far to the next ones. */

import { OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import { type Dataset, filePredictor, heldOut, meanSquaredError, type Prediction, type Predictor, type PreparedTask, type Processor, type RunnableModel, type Task, type TaskModel } from '@onnx-lora/sdk/tasks'; // prettier-ignore
import { type PredictorOptions, settingsOf, type SettingTable, type TaskFactory, type TaskOptions } from '@onnx-lora/sdk/plugin'; // prettier-ignore
import { ForecastErrors } from './errors.ts';
import { preprocessorOf, rowsOf, type SeriesPreprocessor } from './preprocessor.ts';
import { readReadings } from './readings.ts';

/** Readings, and those that followed them; both scaled. */
export interface ForecastExample {
  /** `[length, variables]` */
  readonly window: Tensor;
  /** `[horizon, variables]` */
  readonly future: Tensor;
}

/** How a series is used. */
export interface ForecastOptions {
  /** How much of the series, from its end, is for evaluation; 0.2 by default. */
  readonly heldOut?: number | undefined;
  /** Rows after which readings repeat, for the seasonal naive forecast beside the model's. */
  readonly season?: number | undefined;
}

/** Forecasting on a CSV file with a column for each variable. */
export function forecast(file: string, options: ForecastOptions = {}): Task<ForecastExample> {
  return { name: 'forecast', prepare: (model) => prepare(file, options, model) };
}

// #region prepare
async function prepare(
  file: string,
  { heldOut: share = 0.2, season }: ForecastOptions,
  model: TaskModel,
): Promise<PreparedTask<ForecastExample>> {
  const preprocessor = await preprocessorOf(model);
  const { names, length, horizon } = preprocessor;
  if (season !== undefined && !(Number.isInteger(season) && season > 0 && season <= length))
    throw new OnnxLoraError('CONFIG_INVALID', `season is ${season}. Give whole rows, ${length} at most.`);
  const fewest = Math.ceil((length + horizon + 1) / Math.min(share, 1 - share));
  const all = preprocessor.scaled(await readReadings(file, names, fewest));
  const split = Math.floor(all.dims[0]! * (1 - share));
  const validation = windows(rowsOf(all, split, all.dims[0]! - split), preprocessor);
  const collate: PreparedTask<ForecastExample>['collate'] = (examples) => {
    const window = stack(examples.map((each) => each.window));
    const future = stack(examples.map((each) => each.future));
    return Promise.resolve({ inputs: { readings: window }, targets: { future, window } });
  };
  return {
    train: windows(rowsOf(all, 0, split), preprocessor),
    validation,
    notes: [`held out: the last ${all.dims[0]! - split} of ${all.dims[0]} rows`],
    collate,
    loss: (g, outputs, targets) => meanSquaredError(g, outputs['forecast']!, targets['future']!),
    lossWeight: ({ future }) => future!.data.length,
    metrics: () => new ForecastErrors(preprocessor, season),
    report: async (request) => {
      const errors = new ForecastErrors(preprocessor, season);
      for await (const { outputs, targets } of heldOut({ dataset: validation, collate }, request))
        errors.update(outputs, targets);
      return names.map((name, variable) => ({
        kind: 'lines',
        title: `Errors of ${name} by step`,
        x: 'rows ahead',
        y: 'mean absolute error',
        series: Object.entries(errors.bySteps(variable)).map(([method, steps]) => ({
          name: method,
          points: steps.map((error, step) => [step + 1, error] as const),
        })),
      }));
    },
  };
}
// #endregion prepare

/** Every place in the series where the model can be asked and the answer is known. */
function windows(rows: Tensor, { length, horizon }: SeriesPreprocessor): Dataset<ForecastExample> {
  return {
    length: rows.dims[0]! - length - horizon + 1,
    isDeterministic: true,
    get: (i) => Promise.resolve({ window: rowsOf(rows, i, length), future: rowsOf(rows, i + length, horizon) }),
  };
}

/** For each row of a batch a list per variable, a number per step: `{ temperature: [21.5, 22.1, …] }`. */
export function decodeForecasts(
  outputs: Readonly<Record<string, Tensor>>,
  preprocessor: SeriesPreprocessor,
): Prediction[] {
  const { data, dims } = preprocessor.unscaled(outputs['forecast']!);
  const [batch, horizon, width] = dims as [number, number, number];
  return Array.from({ length: batch }, (_, row) =>
    Object.fromEntries(
      preprocessor.names.map((name, v) => [
        name,
        Float32Array.from({ length: horizon }, (__, step) => Number(data[(row * horizon + step) * width + v])),
      ]),
    ),
  );
}

// #region factory
/** Makes the task for the command line, and forecasts for files. */
export class ForecastFactory implements TaskFactory {
  readonly name = 'forecast';
  readonly description = 'The next readings of a series; the data is a CSV file with a column for each variable.';
  readonly settings: SettingTable<ForecastOptions> = settingsOf({
    season: {
      kind: 'number',
      whole: true,
      min: 1,
      description: 'rows after which readings repeat, for the seasonal naive forecast',
    },
  });

  create({ data, validation, settings }: TaskOptions): Task {
    if (typeof validation !== 'string') return forecast(data, { ...this.settings.read(settings), heldOut: validation });
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `Forecasts are measured at the end of the series itself, but "${validation}" is a path. Give a fraction such as 0.2.`,
    );
  }

  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    const preprocessor = await preprocessorOf(model);
    const processor: Processor = {
      feeds: async (files) => ({
        readings: stack(await Promise.all(files.map((file) => preprocessor.preprocess(file)))),
      }),
      decode: (outputs) => decodeForecasts(outputs, preprocessor),
    };
    return filePredictor(model, processor, options);
  }
}
// #endregion factory
