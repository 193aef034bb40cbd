/** @file Regression for any domain. */

import { OnnxLoraError } from '../../errors.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { PreparedTask, Task } from '../../plugin/preparedTask.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { withTargets, type Examples, type HeadOption, type Labelled } from '../examples.ts';
import { measure } from '../batches.ts';
import { missingHeadError } from '../classification/chooseHead.ts';
import { valueNames } from '../decodeAnswers.ts';
import { regressionHead, type RegressionOptions, regressionParts, valueTargets } from './regressionParts.ts';
import { ridgeProbe } from '../probe/ridgeProbe.ts';
import { RegressionMetrics, type RegressionScores } from './regressionMetrics.ts';
import { paritySection, residualSection } from './numberSections.ts';

/**
 * Regression of one or several numbers. The model gets a new head, unless its own gives as many numbers (`problem_type:
 * "regression"`). Missing numbers are masked in loss and metrics. The loss is on standardised targets, and the finished
 * head answers in the data's units. Targets are `{ values: float32 [batch, numbers] }`, and the mask `known` if some
 * are missing.
 * @param examples the domain's data
 * @throws OnnxLoraError, by `prepare`: `DATA_INVALID` for data without numbers or of differing counts; `CONFIG_INVALID`
 *   for an unknown loss; as {@link Examples.open} and {@link regressionHead}
 */
export function regression<Item extends object, Record, Scores extends Metrics = RegressionScores>(
  name: string,
  examples: Examples<Item, Record>,
  options: RegressionOptions & HeadOption = {},
): Task<Labelled<Item, readonly number[]>, Scores> {
  return { name, prepare: (model) => prepare(model, examples, options) };
}

async function prepare<Item extends object, Record, Scores extends Metrics>(
  model: TaskModel,
  examples: Examples<Item, Record>,
  { head: mode = 'auto', loss }: RegressionOptions & HeadOption,
): Promise<PreparedTask<Labelled<Item, readonly number[]>, Scores>> {
  const { noun, one, root } = examples;
  const opened = await examples.open(model, 'numbers');
  const { data, known } = opened;
  const measured = (records: readonly Record[]): Record[] =>
    records.filter((record) => known(record).values?.some((value) => !Number.isNaN(value)));
  const [train, held] = [measured(data.train), data.validation && measured(data.validation)];
  const [some] = train.length > 0 ? train : (held ?? []);
  if (some === undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The ${noun} of "${root}" have no values to predict. Give each ${one} a number, and name the column that has them.`,
    );
  }
  const count = known(some).values!.length;
  const names = data.valueNames?.length === count ? data.valueNames : valueNames(count);
  const head = regressionHead(model, opened.own, names, {
    mode,
    attach: opened.attach ?? ((own) => { throw missingHeadError(own, 'It gives no numbers'); }), // prettier-ignore
    noun,
  });
  const left = data.train.length - train.length + (data.validation?.length ?? 0) - (held?.length ?? 0);
  const warnings = [
    ...(data.warnings ?? []),
    ...(left > 0 ? [`${left} ${noun} without a measured number are left out.`] : []),
  ];
  const hasGaps = [...train, ...(held ?? [])].some((record) => known(record).values!.some(Number.isNaN));
  const valuesOf = (record: Record): readonly number[] => {
    const { place, values = [] } = known(record);
    if (values.length === count && values.every((value) => Math.abs(value) !== Infinity)) return values;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place} has the values ${values.join(', ')}, and each ${one} needs ${count} finite ${count === 1 ? 'number' : 'numbers'}. Correct it, or leave the ${one} out.`,
    );
  };
  const bound = await withTargets(
    { ...opened, data: { train, ...(held && { validation: held }), ...(warnings.length > 0 && { warnings }) } },
    valuesOf,
    (rows) => valueTargets(rows, count, hasGaps),
  );
  const { validation, collate, shared } = bound;
  const metrics = (): RegressionMetrics<Scores> =>
    new RegressionMetrics(head.output, count, { metrics: opened.metrics?.numbers });
  return {
    ...shared,
    ...regressionParts({
      head,
      targets: bound.train.targets,
      loss,
      probe: (features, standardised) => ridgeProbe(features, (example) => standardised(bound.targetOf(example))),
    }),
    metrics,
    ...(validation && {
      report: async (request) => {
        const rows: number[] = [];
        const truths: (readonly number[])[] = [];
        const collected = metrics();
        collected.onRecord = (_, [answer]) => {
          rows.push(...answer!.values);
          truths.push(answer!.truth);
        };
        await measure(collected, { dataset: validation, collate }, request);
        const { columns } = collected.tally;
        const answers = Float64Array.from(rows);
        const found = { kind: 'numbers', labels: names, train: bound.train, validation, collate, answers, truths, numbersOf: (target: readonly number[]) => target } as const; // prettier-ignore
        const { first = [], last = [] } = (await opened.sections?.(found, request)) ?? {};
        const each = names.flatMap((name, i) => {
          const { predicted, truths: measuredValues } = columns[i]!;
          const pairs = { name, measured: measuredValues, predicted, noun };
          return predicted.length === 0 ? [] : [paritySection(pairs), residualSection(pairs)];
        });
        return [...first, ...each, ...last];
      },
    }),
  };
}
