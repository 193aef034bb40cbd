/** @file What a report shows of numbers of residues: predicted beside true ones, and along sequences. */

import {
  type Batch,
  heldOut,
  numberMeasure,
  type ReportRequest,
  type ReportSection,
  evenlySpaced,
} from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import type { SequenceDataset } from '../sequenceTask.ts';
import type { ResidueAnswer } from './joinedWindows.ts';
import { ResidueNumberMetrics } from './residueNumberMetrics.ts';
import type { ResidueExample } from './residueTargets.ts';

/** What a report is made from. */
export interface NumberReportOptions {
  readonly tokenizer: SequenceTokenizer;
  readonly train: SequenceDataset<readonly number[]>;
  readonly validation: SequenceDataset<readonly number[]>;
  readonly collate: (examples: readonly ResidueExample[]) => Promise<Batch>;
  readonly output: string;
  readonly seed: number;
}

/** Points of the scatter plot, and sequences with curves. */
const MOST_POINTS = 2000;
const WORST = 2;
const MEDIAN = 1;

interface Shown {
  readonly record: number;
  readonly rmse: number;
  readonly answers: readonly ResidueAnswer[];
}

/** A table beside means, a scatter plot, and curves along the worst sequences and usual ones. */
export async function numberReport(
  options: NumberReportOptions,
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const { validation, collate, output, seed } = options;
  const found: Shown[] = [];
  const adapted = new ResidueNumberMetrics({
    output,
    seed,
    onRecord: (record, answers) => {
      const squares = answers.reduce((sum, { truth, values }) => sum + (values[0]! - truth) ** 2, 0);
      found.push({ record, rmse: Math.sqrt(squares / answers.length), answers });
    },
  });
  for await (const { outputs, targets } of heldOut({ dataset: validation, collate }, request))
    adapted.update(outputs, targets);
  const pairs = adapted.pairs();
  const sorted = found.sort((a, b) => b.rmse - a.rmse);
  const middle = Math.max(Math.min(WORST, sorted.length), Math.floor((sorted.length - MEDIAN) / 2));
  return [
    comparison(options, adapted),
    {
      kind: 'scatter',
      title: 'Predicted and measured numbers of residues',
      x: 'measured',
      y: 'predicted',
      series: [{ name: 'residues', points: evenlySpaced(pairs.length, MOST_POINTS).map((i) => pairs[i]!) }],
    },
    ...sorted.slice(0, WORST).map((each) => curve('worst', each, validation)),
    ...sorted.slice(middle, middle + MEDIAN).map((each) => curve('usual', each, validation)),
  ];
}

/** What the sequence around a residue is worth: the adapter beside the mean of all, and of each letter. */
function comparison(
  { tokenizer, train, validation, seed }: NumberReportOptions,
  adapted: ResidueNumberMetrics,
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
  const [truths, guesses]: [number[], number[]] = [[], []];
  validation.records.forEach(({ sequence }, record) => {
    for (const [token, id] of tokenizer.tokens(sequence).ids.entries()) {
      const value = validation.targets[record]![token]!;
      if (Number.isNaN(value)) continue;
      const { sum, count } = means.get(id) ?? all;
      truths.push(value);
      guesses.push(sum / count);
    }
  });
  const mean = all.sum / all.count;
  const rows = [
    ['the mean', numberMeasure(truths.map(() => mean), truths)(), undefined],
    ['the mean of each amino acid or letter', numberMeasure(guesses, truths)(), undefined],
    ['with the adapter', adapted.result(), adapted.intervals()['spearman']],
  ] as const; // prettier-ignore
  return {
    kind: 'table',
    title: 'Against guessing',
    text: `On all residues with a known number of ${validation.records.length} held-out sequences. The interval is that of a bootstrap over sequences (seed ${seed}).`,
    columns: ['', 'Spearman', '95% interval', 'RMSE', 'R²'],
    rows: rows.map(([name, scores, interval]) => [
      name,
      shown(scores['spearman']!),
      interval ? `${interval[0].toFixed(3)} – ${interval[1].toFixed(3)}` : '–',
      shown(scores['rmse']!),
      shown(scores['r2']!),
    ]),
  };
}

function curve(
  kind: string,
  { record, rmse, answers }: Shown,
  validation: SequenceDataset<readonly number[]>,
): ReportSection {
  const points = (of: (answer: ResidueAnswer) => number): (readonly [number, number])[] =>
    answers.map((answer) => [answer.token + 1, of(answer)]);
  return {
    kind: 'lines',
    title: `Along a sequence (${kind}): ${validation.records[record]!.id}`,
    text: `RMSE ${rmse.toFixed(3)}.`,
    x: 'residue',
    y: 'number',
    series: [
      { name: 'measured', points: points(({ truth }) => truth) },
      { name: 'predicted', points: points(({ values }) => values[0]!) },
    ],
  };
}

function shown(value: number): number | string {
  return Number.isNaN(value) ? '–' : Number(value.toFixed(4));
}
