/** @file The task: how files become feeds, what the loss is, what is measured, and what an output means. */

import { float32, OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import {
  type Dataset,
  decodeValues,
  filePredictor,
  meanSquaredError,
  type Predictor,
  type PreparedTask,
  type Processor,
  RegressionMetrics,
  type RunnableModel,
  type Task,
  type TaskModel,
  valueNames,
} from '@onnx-lora/sdk/tasks';
import type { PredictorOptions, Preprocessor, TaskFactory, TaskOptions } from '@onnx-lora/sdk/plugin';
import { preprocessorOf } from './preprocessor.ts';
import { readSplit, type Sample } from './samples.ts';

/** Change: the names of your models' input `[batch, length]` and output `[batch, 1]`. `onnx-lora inspect MODEL` lists them. */
const [INPUT, OUTPUT] = ['x', 'logits'];

const NAME = '{{task}}';

/** Held-out data, and how it is chosen. */
export interface RegressionSettings {
  /** A table of its own, or a fraction of the data; 0.2 by default. */
  readonly validation?: string | number;
  /** Seeds the choice; 0 by default. */
  readonly seed?: number;
}

interface Example {
  /** `[length]` */
  readonly numbers: Tensor;
  readonly value: number;
}

/** Learns a number for each file of a table. */
export function regression(table: string, { validation = 0.2, seed = 0 }: RegressionSettings = {}): Task<Example> {
  return {
    name: NAME,
    prepare: async (model): Promise<PreparedTask<Example>> => {
      requirePorts(model);
      const preprocessor = await preprocessorOf(model);
      const split = await readSplit(table, validation, seed);
      return {
        train: datasetOf(split.train, preprocessor),
        ...(split.validation ? { validation: datasetOf(split.validation, preprocessor) } : {}),
        collate: (examples) =>
          Promise.resolve({
            inputs: { [INPUT]: stack(examples.map(({ numbers }) => numbers)) },
            targets: {
              values: float32(
                examples.map(({ value }) => value),
                [examples.length, 1],
              ),
            },
          }),
        // Change: the loss. It becomes part of the training graph, so it is made of ONNX operators.
        loss: (g, outputs, targets) => meanSquaredError(g, outputs[OUTPUT]!, targets['values']!),
        lossWeight: ({ values }) => values!.data.length,
        metrics: () => new RegressionMetrics(OUTPUT, 1),
      };
    },
  };
}

/** Makes the task for the command line, and answers for files that nobody has labelled. */
export class RegressionFactory implements TaskFactory {
  readonly name: string = NAME;
  readonly description = 'A number for each file; the data is a table with the columns path and value.';

  create({ data, validation, holdOut = 0, seed }: TaskOptions): Task {
    return regression(data, { validation: validation ?? holdOut, seed });
  }

  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    requirePorts(model);
    const preprocessor = await preprocessorOf(model);
    const processor: Processor = {
      feeds: async (files) => ({
        [INPUT]: stack(await Promise.all(files.map((file) => preprocessor.preprocess(file)))),
      }),
      decode: (outputs) => decodeValues(outputs, OUTPUT, valueNames(1)),
    };
    return filePredictor(model, processor, options);
  }
}

/** Files are read when an example is asked for, the next batch while a step computes. */
function datasetOf(samples: readonly Sample[], preprocessor: Preprocessor): Dataset<Example> {
  return {
    length: samples.length,
    isDeterministic: true,
    nameOf: (index) => samples[index]!.file,
    get: async (index) => {
      const { file, value } = samples[index]!;
      return { numbers: await preprocessor.preprocess(file), value };
    },
  };
}

function requirePorts({ name, inputs, outputs }: TaskModel): void {
  if (INPUT in inputs && OUTPUT in outputs) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" has no input "${INPUT}" or no output "${OUTPUT}". Choose a model of the family {{family}}.`,
  );
}
