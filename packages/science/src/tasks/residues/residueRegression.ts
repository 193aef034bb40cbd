/** @file Teaches and tests models that say a number about every residue of a sequence. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type PreparedTask,
  regressionHead,
  type RegressionOptions,
  regressionParts,
  type Task,
  type TaskModel,
  valueNames,
  valueTargets,
  type NumberScores,
} from '@onnx-lora/sdk/tasks';
import { heldOutNote } from '../../data/heldOutNote.ts';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceSource } from '../../data/sequenceSource.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import type { SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceTaskOptions } from '../sequenceTask.ts';
import { type LabelledRecords, labelledRecords } from './labelledRecords.ts';
import { headOnEachToken, ownTokenHead } from './residueHead.ts';
import { ResidueNumberMetrics } from './residueNumberMetrics.ts';
import { numberReport } from './residueNumberReport.ts';
import { knownTokens, placeTargets, type ResidueExample } from './residueTargets.ts';
import { requireLetters, tokenValues } from './residueValues.ts';

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
  return { name: 'residue-regression', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: SequenceSource,
  { head: mode = 'auto', loss, ...options }: ResidueRegressionOptions,
): Promise<PreparedTask<ResidueExample, NumberScores>> {
  const task = await openSequenceTask(model, source, {
    needs: ['residues'],
    ...options,
    tooLong: options.tooLong ?? 'windows',
  });
  const { tokenizer, data, ports } = task;
  const { seed = 0 } = options;
  requireLetters(model.name, tokenizer);
  const labelled = (records: readonly SequenceRecord[]): LabelledRecords =>
    labelledRecords(records, (record) =>
      tokenValues(record, tokenizer, (residue, letter) => numberOf(record, residue, letter)),
    );
  const [trained, measured] = [labelled(data.train), data.validation && labelled(data.validation)];
  if (trained.records.length === 0 && !measured?.records.length)
    throw new OnnxLoraError('DATA_INVALID', 'No residue of the data has a number. Name the column that has them.');
  const head = regressionHead(model, ownTokenHead(model, tokenizer), valueNames(1), {
    mode,
    attach: headOnEachToken,
    noun: 'residues',
  });
  const { output } = head;
  const train = task.dataset(trained.records, trained.targets, { isTrained: true });
  const validation = measured && task.dataset(measured.records, measured.targets);
  const known = train.targets.flatMap((target) => target.filter((value) => !Number.isNaN(value)));
  const collate: PreparedTask<ResidueExample>['collate'] = async (examples) => {
    const rows = examples.map(({ row }) => row);
    const inputs = task.feeds(rows, examples[0]?.draw !== undefined);
    const [batch, tokens] = inputs[ports.ids]!.dims as [number, number];
    const each = valueTargets(knownTokens(examples, tokens).map((value) => [value]), 1, true); // prettier-ignore
    const targets = Object.fromEntries(
      Object.entries(each).map(([name, tensor]) => [name, { ...tensor, dims: [batch, tokens, 1] }]),
    );
    return { inputs, targets: { ...targets, ...placeTargets(examples) } };
  };
  return {
    train,
    ...(validation && { validation }),
    notes: [heldOutNote(data)],
    warnings: [...data.warnings, ...trained.warnings, ...(measured?.warnings ?? [])],
    collate,
    ...regressionParts({ head, targets: known.map((value) => [value]), loss }),
    metrics: () => new ResidueNumberMetrics({ output, seed }),
    ...(validation && {
      report: (request) => numberReport({ tokenizer, train, validation, collate, output, seed }, request),
    }),
  };
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
