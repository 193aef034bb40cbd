/** @file The task: how files become feeds, which head answers, what is measured, and what an output means. */

import { int64, OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import {
  balancedWeights,
  chooseHead,
  type ClassifierOptions,
  classifierParts,
  type Dataset,
  decodeClasses,
  differentLabels,
  filePredictor,
  type HeadChoice,
  type HeadPort,
  labelsOrNumbers,
  headSetting,
  type Predictor,
  type PreparedTask,
  type Processor,
  type RunnableModel,
  type Task,
  type TaskModel,
  temperatureOf,
  unknownLabel,
} from '@onnx-lora/sdk/tasks';
import {
  type PredictorOptions,
  type Preprocessor,
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
/** What samples are called in messages. Change: `spectra`, `cells` … */
const NOUN = 'files';

/** What is held out, which head answers, and how classes count in the loss. */
export interface ClassificationSettings extends ClassifierOptions {
  /** A table of its own, or a fraction of the data, of each class its share; 0.2 by default. */
  readonly validation?: string | number;
  /** Seeds the choice; 0 by default. */
  readonly seed?: number;
  /** `auto` (the default) makes a new head where the model's own does not know the labels, `new` always, `keep` never. */
  readonly head?: HeadChoice['mode'] | undefined;
}

interface Example {
  /** `[length]` */
  readonly numbers: Tensor;
  /** Number of the class. */
  readonly target: number;
}

/** Learns a label for each file of a table. */
export function classification(
  table: string,
  { validation = 0.2, seed = 0, head: mode = 'auto', ...options }: ClassificationSettings = {},
): Task<Example> {
  return {
    name: NAME,
    prepare: async (model): Promise<PreparedTask<Example>> => {
      const own = headOf(model);
      const preprocessor = await preprocessorOf(model);
      const split = await readSplit(table, validation, seed);
      const names = differentLabels(
        split.train.map(({ label }) => label),
        { root: table, noun: NOUN },
      );
      // Change: where your models give features and no scores, pass undefined for `own`, and `attach`, which makes a head.
      const { output, labels, head } = chooseHead(model, own, names, { root: table, mode });
      const train = datasetOf(split.train, labels, preprocessor);
      const heldOut = split.validation && datasetOf(split.validation, labels, preprocessor);
      const collate: PreparedTask<Example>['collate'] = (examples) =>
        Promise.resolve({
          inputs: { [INPUT]: stack(examples.map(({ numbers }) => numbers)) },
          targets: {
            labels: int64(
              examples.map(({ target }) => target),
              [examples.length],
            ),
          },
        });
      return {
        train,
        ...(heldOut && { validation: heldOut }),
        ...(head && { head }),
        collate,
        // Cross-entropy; accuracy and macro F1; answers { label, score }. Change: what you name after it takes its place.
        ...classifierParts({
          ...options,
          model,
          output,
          labels,
          targets: train.targets,
          validation: heldOut && { dataset: heldOut, collate, truths: heldOut.targets },
          noun: NOUN,
        }),
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
    const { output, outputs: classes } = headOf(model);
    const labels = labelsOrNumbers(model, classes);
    const preprocessor = await preprocessorOf(model);
    const processor: Processor = {
      feeds: async (files) => ({
        [INPUT]: stack(await Promise.all(files.map((file) => preprocessor.preprocess(file)))),
      }),
      decode: (outputs) => decodeClasses(outputs, output, labels, temperatureOf(model)),
    };
    return filePredictor(model, processor, options);
  }
}

/** Files, and the numbers of their classes. */
interface LabelledDataset extends Dataset<Example> {
  readonly targets: readonly number[];
}

/**
 * Files are read when an example is asked for, the next batch while a step computes.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a label that is none of `labels`
 */
function datasetOf(samples: readonly Sample[], labels: readonly string[], preprocessor: Preprocessor): LabelledDataset {
  const numbers = new Map(labels.map((label, number) => [label, number]));
  const targets = samples.map(({ label, place }) => {
    const number = numbers.get(label);
    if (number === undefined) throw unknownLabel(place, label, labels);
    return number;
  });
  return {
    length: samples.length,
    isDeterministic: true,
    targets,
    // For `sampling: 'balanced'`, which draws rare classes as often as frequent ones.
    weights: balancedWeights(samples.map(({ label }) => [label])),
    nameOf: (index) => samples[index]!.file,
    get: async (index) => ({
      numbers: await preprocessor.preprocess(samples[index]!.file),
      target: targets[index]!,
    }),
  };
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
