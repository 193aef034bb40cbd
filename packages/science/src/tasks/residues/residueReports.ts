/** @file Report sections of residues: baselines, metrics by class, and answers along sequences. */

import {
  batchesOf,
  bootstrapDraws,
  type Draws,
  type Metrics,
  classTable,
  heldOut,
  intervalsOf,
  numberMeasure,
  type PartAnswer,
  type ReportLetters,
  type ReportRequest,
  type ReportSection,
  evenlySpaced,
} from '@onnx-lora/sdk/tasks';
import {
  bestOf,
  classComparison,
  type PartReportOptions,
  type SequenceDataset,
  type ShownRecord,
  tokenClassMetrics,
  tokenNumberMetrics,
  worstAndMedian,
} from '@onnx-lora/sequences';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import { classLetters } from './openResidueClassifier.ts';
import { perLetter } from './residueTargets.ts';

type ReportOptions = Omit<PartReportOptions<SequenceRecord>, 'hasOwnHead'>;

const MOST_POINTS = 2000;

/** A comparison with majorities, metrics by class, and sequences with true and predicted classes. */
export async function classReport(
  options: PartReportOptions<SequenceRecord>,
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const { validation, collate, hasOwnHead } = options;
  const found: ShownRecord<number>[] = [];
  const adapted = tokenClassMetrics(options);
  adapted.onRecord = (record, answers) => {
    const right = answers.filter(({ truth, values }) => bestOf(values) === truth).length;
    found.push({ record, score: right / answers.length, answers });
  };
  const base = hasOwnHead ? tokenClassMetrics(options) : undefined;
  for await (const { batch } of batchesOf({ dataset: validation, collate }, request.batchSize)) {
    adapted.update(await request.run(batch.inputs, 'adapted'), batch.targets);
    base?.update(await request.run(batch.inputs, 'base'), batch.targets);
  }
  const { tally } = adapted;
  return [
    classComparison(options, { noun: 'residues', each: 'amino acid or letter' }, tally, base?.tally),
    classTable(tally.confusion(), 'residues'),
    ...letters(options, found),
  ];
}

/** A comparison with means, a scatter plot, and curves along the worst and typical sequences. */
export async function numberReport(options: ReportOptions, request: ReportRequest): Promise<readonly ReportSection[]> {
  const { validation, collate } = options;
  const found: ShownRecord<readonly number[]>[] = [];
  const adapted = tokenNumberMetrics(options);
  adapted.onRecord = (record, answers) => {
    const squares = answers.reduce((sum, { truth, values }) => sum + (values[0]! - truth[0]!) ** 2, 0);
    found.push({ record, score: -Math.sqrt(squares / answers.length), answers });
  };
  for await (const { outputs, targets } of heldOut({ dataset: validation, collate }, request))
    adapted.update(outputs, targets);
  const { truths, predicted } = adapted.tally.columns[0]!;
  return [
    numberComparison(options, adapted),
    {
      kind: 'scatter',
      title: 'Predicted and measured numbers of residues',
      x: 'measured',
      y: 'predicted',
      series: [
        { name: 'residues', points: evenlySpaced(truths.length, MOST_POINTS).map((i) => [truths[i]!, predicted[i]!]) },
      ],
    },
    ...worstAndMedian(found, 2, 1).map((each) => curve(each, validation)),
  ];
}

function letters(
  { tokenizer, validation, labels }: PartReportOptions<SequenceRecord>,
  found: readonly ShownRecord<number>[],
): ReportSection[] {
  const symbols = classLetters(labels);
  if (!symbols || found.length === 0) return [];
  const legend = symbols === labels ? '' : ` ${labels.map((label, c) => `${symbols[c]}: ${label}`).join(', ')}.`;
  const rows = worstAndMedian(found, 3, 2).map(({ kind, record, score, answers }): ReportLetters => {
    const { id, sequence } = validation.records[record]!;
    const byToken = new Map(answers.map((answer) => [answer.part, answer]));
    const each = perLetter(sequence, tokenizer, (token) => byToken.get(token));
    const line = (of: (answer: PartAnswer) => number): string =>
      each.map((answer) => (answer ? symbols[of(answer)]! : '·')).join('');
    return {
      title: `${kind}: ${id}, ${(100 * score).toFixed(0)}% right`,
      text: sequence,
      below: [
        { label: 'true', text: line(({ truth }) => truth) },
        { label: 'found', text: line(({ values }) => bestOf(values)) },
      ],
    };
  });
  return [
    {
      kind: 'letters',
      title: 'True and found classes',
      text: `The held-out sequences with the fewest right answers, and some in the middle; · is where the class is not known.${legend}`,
      rows,
    },
  ];
}

function numberComparison(
  { tokenizer, train, validation }: ReportOptions,
  adapted: ReturnType<typeof tokenNumberMetrics>,
): ReportSection {
  const means = new Map<number, { sum: number; count: number }>();
  const all = { sum: 0, count: 0 };
  train.records.forEach(({ sequence }, record) => {
    for (const [token, id] of tokenizer.tokens(sequence).ids.entries()) {
      const value = train.targets[record]![token]!;
      if (Number.isNaN(value)) continue;
      const own = means.get(id) ?? { sum: 0, count: 0 };
      means.set(id, { sum: own.sum + value, count: own.count + 1 });
      all.sum += value;
      all.count++;
    }
  });
  const [truths, guesses, records]: [number[], number[], number[]] = [[], [], []];
  validation.records.forEach(({ sequence }, record) => {
    for (const [token, id] of tokenizer.tokens(sequence).ids.entries()) {
      const value = validation.targets[record]![token]!;
      if (Number.isNaN(value)) continue;
      const { sum, count } = means.get(id) ?? all;
      truths.push(value);
      records.push(record);
      guesses.push(sum / count);
    }
  });
  const mean = all.sum / all.count;
  const guessed = (numbers: readonly number[]): { readonly metrics: Metrics; readonly draws: Draws } => {
    const measure = numberMeasure(numbers, truths);
    return { metrics: measure(), draws: bootstrapDraws(measure, truths.length, { groups: records }) };
  };
  const baselines = {
    'the mean': guessed(truths.map(() => mean)),
    'the mean of each amino acid or letter': guessed(guesses),
  };
  const methods = { ...baselines, 'with the adapter': { metrics: adapted.result(), draws: adapted.draws() } };
  const rows = Object.entries(methods).map(
    ([name, { metrics, draws }]) => [name, metrics, intervalsOf(draws)['spearman']] as const,
  );
  return {
    kind: 'table',
    title: 'Against guessing',
    baselines,
    text: `On all residues with a known number of ${validation.records.length} held-out sequences. Intervals are those of a bootstrap over sequences.`,
    columns: ['', 'Spearman', '95% interval', 'RMSE', 'R²'],
    rows: rows.map(([name, scores, interval]) => [
      name,
      number(scores['spearman']!),
      range(interval),
      number(scores['rmse']!),
      number(scores['r2']!),
    ]),
  };
}

function curve(
  { kind, record, score, answers }: ReturnType<typeof worstAndMedian<readonly number[]>>[number],
  validation: SequenceDataset<readonly number[], SequenceRecord>,
): ReportSection {
  const points = (of: (answer: PartAnswer<readonly number[]>) => number): (readonly [number, number])[] =>
    answers.map((answer) => [answer.part + 1, of(answer)]);
  return {
    kind: 'lines',
    title: `Along a sequence (${kind}): ${validation.records[record]!.id}`,
    text: `RMSE ${(-score).toFixed(3)}.`,
    x: 'residue',
    y: 'number',
    series: [
      { name: 'measured', points: points(({ truth }) => truth[0]!) },
      { name: 'predicted', points: points(({ values }) => values[0]!) },
    ],
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}

function number(value: number): number | string {
  return Number.isNaN(value) ? '–' : rounded(value);
}

function range(interval: readonly [low: number, high: number] | undefined): string {
  return interval ? `${interval[0].toFixed(3)} – ${interval[1].toFixed(3)}` : '–';
}
