/** @file Teaches and tests models that answer about every residue of a sequence: with a class, or with a number. */

import { type Feeds, int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  chooseHead,
  type ClassWeighting,
  crossEntropy,
  listed,
  type MetricsNamed,
  type NumberScores,
  type PreparedTask,
  regressionHead,
  type RegressionOptions,
  regressionParts,
  type Task,
  type TaskModel,
  valueNames,
  valueTargets,
  weightsOf,
} from '@onnx-lora/sdk/tasks';
import { telling } from '@onnx-lora/sdk/data';
import {
  headOnEachToken,
  heldOutNote,
  openSequenceTask,
  ownHead,
  type SequenceDataset,
  type SequenceHeadOptions,
  type SequenceTask,
} from '@onnx-lora/sequences';
import { type SequenceRecord, type SequenceSource } from '../../data/sequenceRecord.ts';
import { residueClassMetrics, residueNumberMetrics, type ResidueClassScores, UNKNOWN } from './residueAnswers.ts';
import { classReport, numberReport } from './residueReports.ts';
import {
  knownTokens,
  labelledRecords,
  placeTargets,
  requireLetters,
  type ResidueExample,
  tokenValues,
} from './residueTargets.ts';
import { type SequenceTaskOptions, sequenceDomain } from '../../domain.ts';

/** Options of {@link residueClassification}. */
export interface ResidueClassificationOptions extends SequenceTaskOptions, Pick<SequenceHeadOptions, 'head'> {
  /** Labels that stand for residues of which nothing is known, such as X: they count neither in the loss nor in the metrics. */
  readonly unknown?: readonly string[] | undefined;
  /** How much each class counts in the loss; all the same by default. */
  readonly classWeights?: ClassWeighting | undefined;
  /** How much of a label is spread over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
}

/**
 * A class for each residue, such as its secondary structure, whether it binds, or whether it is modified. The data give a letter
 * or a word for each; residues of which nothing is known do not count. Where the model does not know the classes, it gets a new
 * head on the states of its tokens. A sequence that is longer than the model is read in windows, unless `tooLong` says
 * otherwise; where they overlap, the answer is the mean of their probabilities. Metrics are over all residues, their intervals
 * by a bootstrap over sequences. Targets are `{ labels: int64 [batch, tokens] }`, −100 for what does not count.
 *
 * @example
 * ```ts
 * const task = residueClassification('structure.csv', { columns: { residues: 'structure' }, unknown: ['X'] });
 * const { adapter } = await (await train(esm2, { task })).done;
 * ```
 */
export function residueClassification(
  source: SequenceSource,
  options: ResidueClassificationOptions = {},
): Task<ResidueExample, ResidueClassScores & MetricsNamed<'loss'>> {
  return { name: 'residue-classification', prepare: (model) => prepareClasses(model, source, options) };
}

/** Options of {@link residueRegression}. */
export interface ResidueRegressionOptions
  extends SequenceTaskOptions, Pick<SequenceHeadOptions, 'head'>, RegressionOptions {}

/**
 * A number for each residue, such as its accessibility, its flexibility or a chemical shift; residues without one do not count.
 * The model gets a new head on the states of its tokens, unless its own is one for one number. The loss counts in deviations of
 * the training data; the adapter's head takes its mean and deviation in. Long sequences, windows and intervals are as in
 * {@link residueClassification}. Targets are `values` and `known`, float32 `[batch, tokens, 1]`: where `known` is 0, nothing is.
 *
 * @example
 * ```ts
 * const task = residueRegression('accessibility.csv', { columns: { residues: 'rsa' } });
 * const { adapter } = await (await train(esm2, { task })).done;
 * ```
 */
export function residueRegression(
  source: SequenceSource,
  options: ResidueRegressionOptions = {},
): Task<ResidueExample, NumberScores> {
  return { name: 'residue-regression', prepare: (model) => prepareNumbers(model, source, options) };
}

async function prepareClasses(
  model: TaskModel,
  source: SequenceSource,
  { head: mode = 'auto', unknown = [], classWeights, labelSmoothing, ...options }: ResidueClassificationOptions,
): Promise<PreparedTask<ResidueExample, ResidueClassScores & MetricsNamed<'loss'>>> {
  const task = await openResidues(model, source, options);
  const { tokenizer, data } = task;
  const { seed = 0 } = options;
  const isUnknown = new Set(unknown);
  const names = classesOf(telling(data), isUnknown);
  const root = typeof source === 'string' ? source : 'the data';
  const own = ownHead(model, tokenizer);
  const { output, labels, head } = chooseHead(model, own, names, { root, mode, attach: headOnEachToken });
  const numbers = new Map(labels.map((label, id) => [label, id]));
  const { train, validation, warnings, collate } = boundResidues(
    task,
    (record, residue, letter) => {
      if (isUnknown.has(String(residue))) return Number.NaN;
      const number = numbers.get(String(residue));
      if (number === undefined) throw unknownClass(record, { residue: String(residue), letter, labels });
      return number;
    },
    (tokens, dims) => ({
      labels: int64(tokens.map((number) => (Number.isNaN(number) ? UNKNOWN : number)), dims), // prettier-ignore
    }),
  );
  const known = train.targets.flat().filter((target) => !Number.isNaN(target));
  const weights = classWeights && weightsOf(classWeights, known, labels);
  return {
    train,
    ...(validation && { validation }),
    notes: [heldOutNote(data, 'sequence')],
    warnings: [...data.warnings, ...gapWarnings(names), ...warnings],
    ...(head && { head }),
    collate,
    loss: (g, outputs, targets) =>
      crossEntropy(g, outputs[output]!, targets['labels']!, { labelSmoothing, weight: weights }),
    lossWeight: (targets) => weightOf(targets['labels']!.data, weights),
    metrics: () => residueClassMetrics({ output, labels, seed }),
    ...(validation && {
      report: (request) =>
        classReport({ tokenizer, train, validation, collate, output, labels, hasOwnHead: !head, seed }, request),
    }),
  };
}

async function prepareNumbers(
  model: TaskModel,
  source: SequenceSource,
  { head: mode = 'auto', loss, ...options }: ResidueRegressionOptions,
): Promise<PreparedTask<ResidueExample, NumberScores>> {
  const task = await openResidues(model, source, options);
  const { tokenizer, data } = task;
  const { seed = 0 } = options;
  const { train, validation, warnings, collate } = boundResidues(task, numberOf, (tokens, dims) => {
    const each = valueTargets(tokens.map((value) => [value]), 1, true); // prettier-ignore
    return Object.fromEntries(Object.entries(each).map(([name, tensor]) => [name, { ...tensor, dims: [...dims, 1] }]));
  });
  if (train.records.length === 0 && !validation?.records.length)
    throw new OnnxLoraError('DATA_INVALID', 'No residue of the data has a number. Name the column that has them.');
  const labels = valueNames(1);
  const head = regressionHead(model, ownHead(model, tokenizer), labels, {
    mode,
    attach: headOnEachToken,
    noun: 'residues',
  });
  const { output } = head;
  const known = train.targets.flatMap((target) => target.filter((value) => !Number.isNaN(value)));
  return {
    train,
    ...(validation && { validation }),
    notes: [heldOutNote(data, 'sequence')],
    warnings: [...data.warnings, ...warnings],
    collate,
    ...regressionParts({ head, targets: known.map((value) => [value]), loss }),
    metrics: () => residueNumberMetrics({ output, labels, seed }),
    ...(validation && {
      report: (request) => numberReport({ tokenizer, train, validation, collate, output, labels, seed }, request),
    }),
  };
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model whose tokens are several letters; as {@link openSequenceTask} */
async function openResidues(
  model: TaskModel,
  source: SequenceSource,
  options: SequenceTaskOptions,
): Promise<SequenceTask> {
  const tooLong = options.tooLong ?? 'windows';
  const task = await openSequenceTask(sequenceDomain, model, source, { needs: ['residues'], ...options, tooLong });
  requireLetters(model.name, task.tokenizer);
  return task;
}

interface BoundResidues {
  readonly train: SequenceDataset<readonly number[]>;
  readonly validation: SequenceDataset<readonly number[]> | undefined;
  /** Says what was left out. */
  readonly warnings: readonly string[];
  readonly collate: PreparedTask<ResidueExample>['collate'];
}

/**
 * Binds sequences to what is known of their residues.
 *
 * @param targetsOf targets of a batch, given what is known of each token, NaN where nothing is, and their dims `[batch, tokens]`
 */
function boundResidues(
  task: SequenceTask,
  valueOf: (record: SequenceRecord, residue: string | number, letter: number) => number,
  targetsOf: (tokens: readonly number[], dims: readonly number[]) => Feeds,
): BoundResidues {
  const { data, tokenizer, ports } = task;
  const labelled = (records: readonly SequenceRecord[]) =>
    labelledRecords(records, (record) =>
      tokenValues(record, tokenizer, (residue, letter) => valueOf(record, residue, letter)),
    );
  const [trained, measured] = [labelled(data.train), data.validation && labelled(data.validation)];
  return {
    train: task.dataset(trained.records, trained.targets, { isTrained: true }),
    validation: measured && task.dataset(measured.records, measured.targets),
    warnings: [...trained.warnings, ...(measured?.warnings ?? [])],
    collate: async (examples) => {
      const rows = examples.map(({ row }) => row);
      const inputs = task.feeds(rows, examples[0]?.draw !== undefined);
      const { dims } = inputs[ports.ids]!;
      const tokens = knownTokens(examples, dims[1]!);
      return { inputs, targets: { ...targetsOf(tokens, dims), ...placeTargets(examples) } };
    },
  };
}

/** The classes of the data, in the order of their code units. */
function classesOf(records: readonly SequenceRecord[], isUnknown: ReadonlySet<string>): readonly string[] {
  const found = new Set<string>();
  for (const { residues = [] } of records)
    for (const residue of residues) if (residue !== null && !isUnknown.has(String(residue))) found.add(String(residue));
  const names = [...found].sort();
  if (names.length >= 2) return names;
  throw new OnnxLoraError(
    'DATA_INVALID',
    names.length === 0
      ? 'No residue of the data has a class. Name the column that has a letter or a word for each residue (--set residueColumn=structure).'
      : `All residues have the class "${names[0]}". A classifier needs at least two: add sequences with others.`,
  );
}

/** In most tables of structures and sites these stand for residues that nobody could see. */
function gapWarnings(classes: readonly string[]): string[] {
  return classes.flatMap((name) =>
    name === 'X' || name === '?'
      ? [
          `The class "${name}" is learned as any other. If it says that nothing is known of a residue, leave such residues out: unknown: ['${name}'], on the command line --set unknown=${name}.`,
        ]
      : [],
  );
}

function unknownClass(
  { where, id }: SequenceRecord,
  {
    residue,
    letter,
    labels,
  }: { readonly residue: string; readonly letter: number; readonly labels: readonly string[] },
): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${where}: residue ${letter + 1} of "${id}" has the class "${residue}", which is none of those that are trained on: ${listed(labels, 30)}. Correct it; or name it as one that stands for residues of which nothing is known (unknown: ['${residue}'], --set unknown=${residue}).`,
  );
}

/** How many residues count, or what they weigh together. */
function weightOf(classes: ArrayLike<number | bigint>, weights: readonly number[] | undefined): number {
  let sum = 0;
  for (let i = 0; i < classes.length; i++) {
    const number = Number(classes[i]);
    if (number !== UNKNOWN) sum += weights ? weights[number]! : 1;
  }
  return sum;
}

/** @throws OnnxLoraError `DATA_INVALID`, naming the residue */
function numberOf({ where, id }: SequenceRecord, residue: string | number, letter: number): number {
  const number = typeof residue === 'string' && residue.trim() !== '' ? Number(residue) : residue;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: residue ${letter + 1} of "${id}" has the label ${JSON.stringify(residue)}, which is no number. Correct it, leave it empty where nothing is known, or take the task residue-classification for classes.`,
  );
}
