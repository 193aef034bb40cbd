/** @file The task: how files become feeds, and which head answers. */

import { OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import {
  classification as classifier,
  type ClassifierOptions,
  type Examples,
  filePredictor,
  headDecoder,
  type HeadOption,
  type HeadPort,
  headSetting,
  type Labelled,
  type Predictor,
  type Processor,
  RecordDataset,
  type RunnableModel,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import {
  type PredictorOptions,
  settingsOf,
  type SettingTable,
  type TaskFactory,
  type TaskOptions,
} from '@onnx-lora/sdk/plugin';
import { preprocessorOf } from './preprocessor.ts';
import { readSplit, type Sample } from './samples.classification.ts';

/** Change: the names of your models' input `[batch, length]` and output `[batch, classes]`. `onnx-lora inspect MODEL` lists them. */
const [INPUT, OUTPUT] = ['x', 'logits'];

const NAME = '{{task}}';

/** Held-out data, the head, and weights of classes in the loss. */
export interface ClassificationSettings extends ClassifierOptions, HeadOption {
  /** A table of its own, or a fraction of the data, of each class its share; 0.2 by default. */
  readonly validation?: string | number;
  /** Seeds the choice; 0 by default. */
  readonly seed?: number;
}

/** Learns a label for each file of a table. */
export function classification(
  table: string,
  { validation = 0.2, seed = 0, ...options }: ClassificationSettings = {},
): Task<Labelled<Numbers, number>> {
  // Labels, a new head where the model does not know them, loss, metrics and report. `labelling` gives any number of labels.
  return classifier(NAME, samplesOf(table, validation, seed), options);
}

interface Numbers {
  /** `[length]` */
  readonly numbers: Tensor;
}

/** The plugin's part: how samples are read and fed. */
function samplesOf(table: string, validation: string | number, seed: number): Examples<Numbers, Sample> {
  return {
    // Change: what samples are called in messages, `spectra` and `spectrum`, `cells` and `cell` …
    noun: 'files',
    one: 'file',
    root: table,
    open: async (model) => {
      // Change: where your models give features and no scores, leave it out, and give `attach`, which makes a head.
      const own = headOf(model);
      const preprocessor = await preprocessorOf(model);
      return {
        data: await readSplit(table, validation, seed),
        known: ({ place, label }) => ({ place, labels: [label] }),
        own,
        // Files are read when an example is asked for, the next batch while a step computes.
        dataset: (samples, targets) =>
          new RecordDataset(samples, targets, {
            nameOf: ({ file }) => file,
            labelsOf: ({ label }) => [label],
            load: async ({ file }) => ({ numbers: await preprocessor.preprocess(file) }),
          }),
        feeds: (examples) => ({ [INPUT]: stack(examples.map(({ numbers }) => numbers)) }),
      };
    },
  };
}

/** Makes the task for the command line, and answers for files that nobody has labelled. */
export class ClassificationFactory implements TaskFactory {
  readonly name: string = NAME;
  readonly description = 'A label for each file; the data is a table with the columns path and label.';
  /** Change: add what users may set, `--set head=new`. */
  readonly settings: SettingTable<ClassificationSettings> = settingsOf({ head: headSetting });

  create({ data, validation, holdOut = 0, seed, settings }: TaskOptions): Task {
    return classification(data, { ...this.settings.read(settings), validation: validation ?? holdOut, seed });
  }

  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    const preprocessor = await preprocessorOf(model);
    const processor: Processor = {
      feeds: async (files) => ({
        [INPUT]: stack(await Promise.all(files.map((file) => preprocessor.preprocess(file)))),
      }),
      decode: headDecoder(model, headOf(model), 'classes'),
    };
    return filePredictor(model, processor, options);
  }
}

/** The model's own head: the output, and how many classes it has scores for. */
function headOf({ name, inputs, outputs }: TaskModel): HeadPort {
  const classes = outputs[OUTPUT]?.dims?.[1];
  if (INPUT in inputs && typeof classes === 'number') return { output: OUTPUT, outputs: classes };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" has no input "${INPUT}" or no output "${OUTPUT}" [batch, classes]. Choose a model of the family {{family}}.`,
  );
}
