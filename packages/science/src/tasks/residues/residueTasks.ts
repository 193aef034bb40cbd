/** @file Classification and regression of residues: tasks and factories. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type AnsweringFactory,
  classifierSettings,
  headSetting,
  type MetricsNamed,
  type NumberScores,
  type PreparedTask,
  regressionHead,
  type RegressionOptions,
  regressionParts,
  regressionSettings,
  type Task,
  type TaskModel,
  valueNames,
  valueTargets,
} from '@onnx-lora/sdk/tasks';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import {
  answeringFactory,
  type AnsweringOptions,
  answeringSettings,
  boundParts,
  headOnEachToken,
  heldOutNote,
  openSequenceTask,
  ownHead,
  type PartClasses,
  type PartClassOptions,
  preparePartClasses,
  type SequenceHeadOptions,
  type SequenceTask,
  type TokenClassScores,
  type TokenExample,
  tokenNumberMetrics,
} from '@onnx-lora/sequences';
import type { SequenceDataOptions, SequenceRecord, SequenceSource } from '../../data/sequenceRecord.ts';
import { sequenceDomain, type SequenceTaskOptions } from '../../domain.ts';
import { classReport, numberReport } from './residueReports.ts';
import { requireLetters, residues } from './residueTargets.ts';
import { openResidueClassifier, openResidueRegressor } from './openResidueClassifier.ts';

/** Options of {@link residueClassification}. */
export interface ResidueClassificationOptions extends SequenceTaskOptions, PartClassOptions {}

/** A sequence and the target of each token; NaN where unknown. */
export type ResidueExample = TokenExample<SequenceRecord>;

/**
 * A class per residue, such as its secondary structure, binding or modification. The data give a letter or a word for
 * each; unknown residues do not count. A model without these classes gets a new head on its token states. Long
 * sequences are read in windows, unless `tooLong` says otherwise; probabilities are averaged where windows overlap.
 * Metrics are over all residues, their intervals by a bootstrap over sequences. Targets are `{ labels: int64 [batch,
 * tokens] }`, −100 where unknown.
 * @example
 * ```ts
 * const task = residueClassification('structure.csv', { columns: { residues: 'structure' }, unknown: ['X'] });
 * const { adapter } = await (await train(esm2, { task })).done;
 * ```
 */
export function residueClassification(
  source: SequenceSource,
  options: ResidueClassificationOptions = {},
): Task<ResidueExample, TokenClassScores & MetricsNamed<'loss'>> {
  return { name: 'residue-classification', prepare: (model) => prepareClasses(model, source, options) };
}

/** Options of {@link residueRegression}. */
export interface ResidueRegressionOptions
  extends SequenceTaskOptions, Pick<SequenceHeadOptions, 'head'>, RegressionOptions {}

/**
 * A number per residue, such as its accessibility, flexibility or chemical shift; residues without one do not count.
 * The model gets a new head on its token states, unless its own has one output. The loss is in standard deviations of
 * the training data; the adapter's head includes mean and deviation. Windows and intervals are as in {@link
 * residueClassification}. Targets are `values` and `known`, float32 `[batch, tokens, 1]`; `known` is 0 for unknown
 * residues.
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
  options: ResidueClassificationOptions,
): Promise<PreparedTask<ResidueExample, TokenClassScores & MetricsNamed<'loss'>>> {
  const task = await openResidues(model, source, options);
  const root = typeof source === 'string' ? source : 'the data';
  return preparePartClasses(sequenceDomain, model, task, classesOfResidues, options, root);
}

const classesOfResidues: PartClasses<SequenceRecord> = {
  parts: residues,
  warningsOf: gapWarnings,
  report: classReport,
};

async function prepareNumbers(
  model: TaskModel,
  source: SequenceSource,
  { head: mode = 'auto', loss, ...options }: ResidueRegressionOptions,
): Promise<PreparedTask<ResidueExample, NumberScores>> {
  const task = await openResidues(model, source, options);
  const { tokenizer, data } = task;
  const { train, validation, warnings, collate } = boundParts(task, residues, numberOf, (tokens, dims) => {
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
    metrics: () => tokenNumberMetrics({ output, labels }),
    ...(validation && {
      report: (request) => numberReport({ tokenizer, train, validation, collate, output, labels }, request),
    }),
  };
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` for tokens of several letters; as {@link openSequenceTask} */
async function openResidues(
  model: TaskModel,
  source: SequenceSource,
  options: SequenceTaskOptions,
): Promise<SequenceTask<SequenceRecord>> {
  const tooLong = options.tooLong ?? 'windows';
  const task = await openSequenceTask(sequenceDomain, model, source, { needs: ['residues'], ...options, tooLong });
  requireLetters(model.name, task.tokenizer);
  return task;
}

/** X and ? mostly mark unresolved residues. */
function gapWarnings(classes: readonly string[]): string[] {
  return classes.flatMap((name) =>
    name === 'X' || name === '?'
      ? [
          `The class "${name}" is learned as any other. If it says that nothing is known of a residue, leave such residues out: unknown: ['${name}'], on the command line --set unknown=${name}.`,
        ]
      : [],
  );
}

/** @throws OnnxLoraError `DATA_INVALID`, naming the residue */
function numberOf({ where, id }: SequenceRecord, residue: string | number, letter: number): number {
  const number = typeof residue === 'string' && residue.trim() !== '' ? Number(residue) : residue;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: residue ${letter + 1} of "${id}" has the label ${JSON.stringify(residue)}, which is not a number. Correct it, leave it empty if it is unknown, or take the task residue-classification for classes.`,
  );
}

/** Settings of both tasks, without a pool: each token has its own answer. */
const residueSettings: SettingRows<Pick<SequenceHeadOptions, 'head'> & AnsweringOptions<SequenceDataOptions>> = {
  head: headSetting,
  ...answeringSettings(sequenceDomain),
  tooLong: {
    kind: 'choice',
    of: ['crop', 'windows', 'error'],
    description: 'For longer sequences: windows (all of it, in pieces; default), crop or error.',
  },
};

/** The task `residue-classification` and its predictor of `{ id, residues, confidence, score }`. */
export const residueClassificationTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'residue-classification',
  description:
    'A class for each residue, such as its secondary structure or whether it binds; the data is a table with a letter per residue, or a list.',
  settings: {
    unknown: { kind: 'texts', description: 'Labels of unknown residues, such as X.' },
    classWeights: classifierSettings('').classWeights,
    labelSmoothing: classifierSettings('').labelSmoothing,
    ...residueSettings,
  },
  task: residueClassification,
  open: openResidueClassifier,
});

/** The task `residue-regression` and its predictor of `{ id, values }`. */
export const residueRegressionTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'residue-regression',
  description:
    'A number for each residue, such as its accessibility or flexibility; the data is a table with a list of numbers per sequence.',
  settings: { ...regressionSettings, ...residueSettings },
  task: residueRegression,
  open: openResidueRegressor,
});
