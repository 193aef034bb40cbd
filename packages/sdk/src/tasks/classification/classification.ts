/** @file Single-label classification for any domain. */

import { OnnxLoraError } from '../../errors.ts';
import { int64 } from '../../runtime/tensor.ts';
import { crossEntropy } from '../../train/losses/index.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { HeadValues, PreparedTask, Task } from '../../plugin/preparedTask.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { settingsOf, type SettingRows } from '../../plugin/settings.ts';
import { definingRecords } from '../../data/splits/splits.ts';
import { measure } from '../batches.ts';
import { quotedNames } from '../../data/listed.ts';
import {
  withTargets,
  type Examples,
  type HeadOption,
  type Labelled,
  type OpenedExamples,
  probedHead,
} from '../examples.ts';
import { softmaxRows } from '../../statistics/classMeasure.ts';
import { confusableHint, confusableWarnings, differentLabels } from './modelLabels.ts';
import { answersOf, fitTemperature, heldOutScores, type LabelledScores, temperatureOf } from './calibration.ts';
import { chooseHead, type TaskHead } from './chooseHead.ts';
import { ridgeProbe } from '../probe/ridgeProbe.ts';
import { ClassificationMetrics, type ClassificationScores } from './classificationMetrics.ts';
import { calibrationSection, classTable, worstMistakes } from './classificationSections.ts';
import { type ClassWeighting, weightOfBatch, weightsOf } from './lossWeights.ts';

/** Options of single-label classification. */
export interface ClassifierOptions {
  /** Label smoothing, from 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
  /** Weight of each class in the loss; equal by default. */
  readonly classWeights?: ClassWeighting | undefined;
  /** Fits a temperature on held-out examples and saves it with the adapter, to calibrate probabilities. */
  readonly calibrate?: boolean | undefined;
}

/** Settings of single-label classification; `noun` names the examples: `images`. */
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

/** Bounds the initial slope for many classes, so that a wrong start is not a confident one. */
const MOST_SLOPE = 10;

/**
 * Single-label classification: cross-entropy loss; accuracy, macro-F1 and confusion matrix; optional temperature
 * scaling; a report of mistakes and classes. If the model does not know the classes it gets a new head, trained in full
 * and saved with the adapter. Targets are `{ labels: int64 [batch] }`, or float32 `[batch, classes]` for blended
 * examples.
 * @param examples the domain's data
 * @throws OnnxLoraError, by `prepare`: `CONFIG_INVALID` for invalid class weights or label smoothing; `DATA_INVALID`
 *   for examples without exactly one class, and for `calibrate` without held-out data; as {@link Examples.open} and
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
  const bound = await withTargets(opened, classOf, (targets) => ({ labels: int64(targets, [targets.length]) }));
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
    warnings: [...(shared.warnings ?? []), ...confusableWarnings(labels), ...loneClass(train.targets, labels, noun)],
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
        await measure(collected, { dataset: validation, collate }, request);
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
 * The head for the labels of the data. A single class is enough if the model knows more. @throws OnnxLoraError
 * `DATA_INVALID` for a single class; as {@link differentLabels} and {@link chooseHead}
 */
export function labelledHead<Item extends object, Record>(
  model: TaskModel,
  { root, noun }: Examples<Item, Record>,
  { data, known, own, attach }: OpenedExamples<Item, Record>,
  { head: mode = 'auto' }: HeadOption,
): TaskHead {
  const names = differentLabels(
    definingRecords(data).flatMap((record) => known(record).labels ?? []),
    { root, noun },
  );
  const head = chooseHead(model, own, names, { root, mode, attach });
  if (names.length > 1 || (!head.head && head.labels.length > 1)) return head;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${root}" has one class only, "${names[0]}", and the model does not know it among several. A classifier needs at least two: add another class.`,
  );
}

function loneClass(targets: readonly number[], labels: readonly string[], noun: string): readonly string[] {
  if (new Set(targets).size !== 1) return [];
  return [`All training ${noun} are of one class, "${labels[targets[0]!]}": trained on them alone, a model gives no other answer.`]; // prettier-ignore
}

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

/** Turns a probe of class probabilities p into logits: to first order around 1 ÷ count, the logit is count · p. */
export function classProbe({ weight, bias }: HeadValues, count: number): HeadValues {
  const slope = Math.min(count, MOST_SLOPE);
  return { weight: weight.map((value) => slope * value), bias: bias.map((value) => slope * value) };
}

/** The error for an example of an unknown class; `place` starts the sentence: `samples.csv, line 7`. */
export function unknownLabel(place: string, label: string, labels: readonly string[]): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${place} has the class "${label}", but the learned ones are ${quotedNames(labels, 20)}.${confusableHint(label, labels)} Rename it, or remove it.`,
  );
}
