/** @file Teaches and tests classifiers, whatever they classify. */

import { OnnxLoraError } from '../../errors.ts';
import { int64 } from '../../runtime/tensor.ts';
import { crossEntropy } from '../../train/losses/index.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { HeadValues, PreparedTask, Task } from '../../plugin/preparedTask.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { settingsOf, type SettingRows } from '../../plugin/settings.ts';
import { telling } from '../../data/splits/splits.ts';
import { heldOut } from '../batches.ts';
import { listed } from '../../data/listed.ts';
import {
  boundExamples,
  type Examples,
  type HeadOption,
  type Labelled,
  type OpenedExamples,
  probedHead,
} from '../examples.ts';
import { softmaxRows } from '../../statistics/classMeasure.ts';
import { alikeHint, alikeWarnings } from './alikeLabels.ts';
import { answersOf, fitTemperature, heldOutScores, type LabelledScores, temperatureOf } from './calibration.ts';
import { chooseHead, type TaskHead } from './chooseHead.ts';
import { ridgeProbe } from '../probe/ridgeProbe.ts';
import { ClassificationMetrics, type ClassificationScores } from './classificationMetrics.ts';
import { calibrationSection, classTable, worstMistakes } from './classificationSections.ts';
import { differentLabels } from './modelLabels.ts';
import { type ClassWeighting, weightOfBatch, weightsOf } from './lossWeights.ts';

/** Options of tasks with one class per example. */
export interface ClassifierOptions {
  /** How much of a label is spread over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
  /** How much each class counts in the loss; all the same by default. */
  readonly classWeights?: ClassWeighting | undefined;
  /** Fits a temperature on the held-out examples, which is saved with the adapter, so that probabilities can be trusted. */
  readonly calibrate?: boolean | undefined;
}

/** Settings of tasks with one class per example; `noun` is what examples are called: `images`. */
export function classifierSettings(noun: string): Required<SettingRows<ClassifierOptions>> {
  return {
    labelSmoothing: {
      kind: 'number',
      min: 0,
      max: 1,
      description: 'How much of a label is spread over all classes, 0 to 1.',
    },
    classWeights: {
      kind: 'choice',
      of: ['balanced', 'effective'],
      description: 'balanced: rare classes count as much as frequent ones; effective: nearly so.',
    },
    calibrate: { kind: 'flag', description: `Fits a temperature on held-out ${noun}, for probabilities to trust.` },
  };
}

const settings = settingsOf<ClassifierOptions>(classifierSettings('examples'));

/** Of many classes a wrong start must not be a sure one. */
const MOST_SLOPE = 10;

/**
 * One class per example: cross-entropy; accuracy, macro-F1 and a confusion matrix; a temperature where it is asked for; and a
 * report of mistakes and classes. Where the model does not know the classes it gets a new head, which is trained in full and
 * saved with the adapter. Targets are `{ labels: int64 [batch] }`, or float32 `[batch, classes]` where examples are blended.
 *
 * @param examples what the domain says of its own
 * @throws OnnxLoraError, by `prepare`: `CONFIG_INVALID` for class weights or a label smoothing that do not fit; `DATA_INVALID`
 *   for examples without one class, and where a temperature is asked for and nothing is held out; as {@link Examples.open} and
 *   {@link chooseHead}
 */
export function classification<Item extends object, Record, Scores extends Metrics = ClassificationScores>(
  name: string,
  examples: Examples<Item, Record>,
  options: ClassifierOptions & HeadOption = {},
): Task<Labelled<Item, number>, Scores> {
  return { name, prepare: (model) => prepare(model, name, examples, options) };
}

async function prepare<Item extends object, Record, Scores extends Metrics>(
  model: TaskModel,
  name: string,
  examples: Examples<Item, Record>,
  options: ClassifierOptions & HeadOption,
): Promise<PreparedTask<Labelled<Item, number>, Scores>> {
  const { noun } = examples;
  const { labelSmoothing = 0, classWeights, calibrate = false } = options;
  settings.checkOptions(options);
  const opened = await examples.open(model, 'classes');
  const { output, labels, head } = labelledHead(model, examples, opened, options);
  const classOf = classes(name, examples, opened, labels);
  const bound = await boundExamples(opened, classOf, (targets) => ({ labels: int64(targets, [targets.length]) }));
  const { train, validation, collate, heldTruths, shared } = bound;
  if (calibrate && !validation) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `calibrate fits a temperature on held-out ${noun}, and none are held out. Hold some out (validation: 0.2), or leave calibrate out.`,
    );
  }
  const weights = classWeights && weightsOf(classWeights, train.targets, labels);
  let temperature = temperatureOf(model);
  const metrics = (divisor: number): ClassificationMetrics<Scores> =>
    new ClassificationMetrics({
      output,
      labels,
      temperature: divisor,
      metrics: opened.metrics?.classes,
      present: new Set([...train.targets, ...heldTruths]),
    });
  const { blend } = opened;
  const isClass = (example: number): number[] => labels.map((_, c) => Number(bound.targetOf(example) === c));
  const blended: typeof collate = async (batch) => {
    const draw = batch[0]?.draw;
    const { inputs, targets } = await collate(batch);
    return draw === undefined ? { inputs, targets } : blend!(inputs, batch.map(({ target }) => target), labels.length, draw); // prettier-ignore
  };
  return {
    ...shared,
    warnings: [...(shared.warnings ?? []), ...alikeWarnings(labels), ...loneClass(train.targets, labels, noun)],
    ...(blend && { collate: blended }),
    ...probedHead(head, (features) => classProbe(ridgeProbe(features, isClass), labels.length)),
    loss: (g, outputs, { labels: truths }) =>
      crossEntropy(g, outputs[output]!, truths!, { labelSmoothing, weight: weights }),
    lossWeight: (batch) => weightOfBatch(batch, weights),
    metrics: () => metrics(temperature),
    ...(calibrate && {
      finish: async (finished) => {
        const held = { dataset: validation!, collate, truths: heldTruths };
        temperature = fitTemperature(await heldOutScores(held, finished, { output, labels }));
        return { temperature };
      },
    }),
    ...(validation && {
      report: async (request) => {
        const { records } = validation;
        const count = labels.length;
        const data = new Float32Array(records.length * count);
        const truths: number[] = [];
        const collected = metrics(1);
        collected.onRecord = (_, [answer]) => {
          data.set(answer!.values, truths.length * count);
          truths.push(answer!.truth);
        };
        for await (const batch of heldOut({ dataset: validation, collate }, request))
          collected.update(batch.outputs, batch.targets);
        const confusion = collected.confusion();
        const scores: LabelledScores = { rows: truths.length, classes: count, data, truths };
        const fitted = calibrate ? temperature : undefined;
        const { worst, text } = worstMistakes(answersOf(scores, fitted), noun);
        const found = {
          kind: 'classes',
          labels,
          train,
          validation,
          collate,
          get answers() {
            return softmaxRows(data, count);
          },
          truths: truths.map((truth) => [truth]),
          numbersOf: (target: number) => [target],
        } as const;
        const { first = [], last = [] } = (await opened.sections?.(found, request)) ?? {};
        const mistakes = worst.length > 0 ? await opened.mistakes?.(worst, { labels, records, text }) : undefined;
        return [
          ...first,
          ...(mistakes ? [mistakes] : []),
          classTable(confusion, noun),
          ...(fitted === undefined ? [] : [calibrationSection(scores, fitted, noun)]),
          ...last,
        ];
      },
    }),
  };
}

/**
 * The head for the labels that the data have, those that are trained on where there are some. One class is enough where the
 * model knows others.
 *
 * @throws OnnxLoraError `DATA_INVALID` for one class alone; as {@link differentLabels} and {@link chooseHead}
 */
export function labelledHead<Item extends object, Record>(
  model: TaskModel,
  { root, noun }: Examples<Item, Record>,
  { data, known, own, attach }: OpenedExamples<Item, Record>,
  { head: mode = 'auto' }: HeadOption,
): TaskHead {
  const names = differentLabels(
    telling(data).flatMap((record) => known(record).labels ?? []),
    { root, noun },
  );
  const head = chooseHead(model, own, names, { root, mode, attach });
  if (names.length > 1 || (!head.head && head.labels.length > 1)) return head;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${root}" has one class only, "${names[0]}", which is none of several that the model knows. A classifier needs at least two: add another class.`,
  );
}

/** The warning about examples that are all of one class. */
function loneClass(targets: readonly number[], labels: readonly string[], noun: string): readonly string[] {
  if (new Set(targets).size !== 1) return [];
  return [`All ${noun} to train on are of one class, "${labels[targets[0]!]}": who trains on them alone teaches the model to say nothing else.`]; // prettier-ignore
}

/** The number of a record's class among the labels. */
function classes<Item extends object, Record>(
  name: string,
  { one, tagging }: Examples<Item, Record>,
  { known }: Pick<OpenedExamples<Item, Record>, 'known'>,
  labels: readonly string[],
): (record: Record) => number {
  const numbers = new Map(labels.map((label, id) => [label, id]));
  return (record) => {
    const { place, labels: own = [] } = known(record);
    const [label, ...more] = own;
    if (label === undefined || more.length > 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        more.length > 0
          ? `${place} has ${own.length} labels (${own.slice(0, 5).join(', ')}), and the task ${name} gives one per ${one}.${tagging === undefined ? '' : ` Take the task ${tagging}.`}`
          : `${place} has no label. Give it one, or leave the ${one} out.`,
      );
    }
    const number = numbers.get(label);
    if (number === undefined) throw unknownLabel(place, label, labels);
    return number;
  };
}

/**
 * A probe that says about the probability p of each class as scores of the classes: count · p has that probability at first order
 * around 1 ÷ count.
 */
export function classProbe({ weight, bias }: HeadValues, count: number): HeadValues {
  const slope = Math.min(count, MOST_SLOPE);
  return { weight: weight.map((value) => slope * value), bias: bias.map((value) => slope * value) };
}

/**
 * The error, to be thrown, for an example whose class is none of the task's labels.
 *
 * @param place where the example is, at the beginning of a sentence: `samples.csv, line 7`
 * @param labels those of the head that answers, as {@link chooseHead} gives them
 */
export function unknownLabel(place: string, label: string, labels: readonly string[]): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${place} has the class "${label}", which is none of those that are learned: ${listed(labels, 20)}.${alikeHint(label, labels)} Rename it, or remove it.`,
  );
}
