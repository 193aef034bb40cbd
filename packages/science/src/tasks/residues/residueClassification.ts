/** @file Teaches and tests models that give every residue of a sequence a class. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  chooseHead,
  type ClassWeighting,
  crossEntropy,
  listed,
  type PreparedTask,
  type Task,
  type TaskModel,
  weightsOf,
  type MetricsNamed,
} from '@onnx-lora/sdk/tasks';
import { telling } from '@onnx-lora/sdk/data';
import { heldOutNote } from '../../data/heldOutNote.ts';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceSource } from '../../data/sequenceSource.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import type { SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceTaskOptions } from '../sequenceTask.ts';
import { ResidueClassMetrics, UNKNOWN } from './residueClassMetrics.ts';
import { classReport } from './residueClassReport.ts';
import { type LabelledRecords, labelledRecords } from './labelledRecords.ts';
import { headOnEachToken, ownTokenHead } from './residueHead.ts';
import { knownTokens, placeTargets, type ResidueExample } from './residueTargets.ts';
import { requireLetters, tokenValues } from './residueValues.ts';
import type { ResidueClassScores } from './classCells.ts';

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
  return { name: 'residue-classification', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: SequenceSource,
  { head: mode = 'auto', unknown = [], classWeights, labelSmoothing, ...options }: ResidueClassificationOptions,
): Promise<PreparedTask<ResidueExample, ResidueClassScores & MetricsNamed<'loss'>>> {
  const task = await openSequenceTask(model, source, {
    needs: ['residues'],
    ...options,
    tooLong: options.tooLong ?? 'windows',
  });
  const { tokenizer, data, ports } = task;
  const { seed = 0 } = options;
  requireLetters(model.name, tokenizer);
  const isUnknown = new Set(unknown);
  const names = classesOf(telling(data), isUnknown);
  const root = typeof source === 'string' ? source : 'the data';
  const own = ownTokenHead(model, tokenizer);
  const { output, labels, head } = chooseHead(model, own, names, { root, mode, attach: headOnEachToken });
  const numbers = new Map(labels.map((label, id) => [label, id]));
  const numberOf = (record: SequenceRecord, residue: string, letter: number): number => {
    if (isUnknown.has(residue)) return Number.NaN;
    const number = numbers.get(residue);
    if (number === undefined) throw unknownClass(record, { residue, letter, labels });
    return number;
  };
  const labelled = (records: readonly SequenceRecord[]): LabelledRecords =>
    labelledRecords(records, (record) =>
      tokenValues(record, tokenizer, (residue, letter) => numberOf(record, String(residue), letter)),
    );
  const [trained, measured] = [labelled(data.train), data.validation && labelled(data.validation)];
  const train = task.dataset(trained.records, trained.targets, { isTrained: true });
  const validation = measured && task.dataset(measured.records, measured.targets);
  const known = train.targets.flat().filter((target) => !Number.isNaN(target));
  const weights = classWeights && weightsOf(classWeights, known, labels);
  const collate: PreparedTask<ResidueExample>['collate'] = async (examples) => {
    const inputs = task.feeds(
      examples.map(({ row }) => row),
      examples[0]?.draw !== undefined,
    );
    const dims = inputs[ports.ids]!.dims;
    const tokens = knownTokens(examples, dims[1]!).map((number) => (Number.isNaN(number) ? UNKNOWN : number));
    return { inputs, targets: { labels: int64(tokens, dims), ...placeTargets(examples) } };
  };
  return {
    train,
    ...(validation && { validation }),
    notes: [heldOutNote(data)],
    warnings: [...data.warnings, ...gapWarnings(names), ...trained.warnings, ...(measured?.warnings ?? [])],
    ...(head && { head }),
    collate,
    loss: (g, outputs, targets) =>
      crossEntropy(g, outputs[output]!, targets['labels']!, { labelSmoothing, weight: weights }),
    lossWeight: (targets) => weightOf(targets['labels']!.data, weights),
    metrics: () => new ResidueClassMetrics({ output, labels, seed }),
    ...(validation && {
      report: (request) =>
        classReport({ tokenizer, train, validation, collate, output, labels, hasOwnHead: !head, seed }, request),
    }),
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
