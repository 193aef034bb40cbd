/** @file What a report shows of classes of residues: against guessing, class by class, and along sequences. */

import {
  type Batch,
  batchesOf,
  type ReportLetters,
  type ReportRequest,
  type ReportSection,
} from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import type { SequenceDataset } from '../sequenceTask.ts';
import { ClassCells } from './classCells.ts';
import { classLetters } from './classesText.ts';
import type { ResidueAnswer } from './joinedWindows.ts';
import { bestOf, ResidueClassMetrics } from './residueClassMetrics.ts';
import type { ResidueExample } from './residueTargets.ts';
import { perLetter } from './residueValues.ts';

/** Counts of classes by token. */
export class LetterClasses {
  readonly #classes: number;
  readonly #all: number[];
  readonly #byToken = new Map<number, number[]>();

  constructor(classes: number) {
    this.#classes = classes;
    this.#all = Array.from({ length: classes }, () => 0);
  }

  /** Takes in a sequence: its tokens and the class of each, NaN where it is not known. */
  learn(ids: readonly number[], classes: readonly number[]): void {
    for (const [token, id] of ids.entries()) {
      const found = classes[token]!;
      if (Number.isNaN(found)) continue;
      const counts = this.#byToken.get(id) ?? Array.from({ length: this.#classes }, () => 0);
      counts[found]!++;
      this.#byToken.set(id, counts);
      this.#all[found]!++;
    }
  }

  /** The most frequent class. */
  get majority(): number {
    return most(this.#all);
  }

  /** The most frequent class of a token; of all where the token never came. */
  of(id: number): number {
    return most(this.#byToken.get(id) ?? this.#all);
  }
}

function most(counts: readonly number[]): number {
  return counts.indexOf(Math.max(...counts));
}

/** What a report is made from. */
export interface ClassReportOptions {
  readonly tokenizer: SequenceTokenizer;
  readonly train: SequenceDataset<readonly number[]>;
  readonly validation: SequenceDataset<readonly number[]>;
  readonly collate: (examples: readonly ResidueExample[]) => Promise<Batch>;
  /** The output, and its classes. */
  readonly output: string;
  readonly labels: readonly string[];
  /** Whether the base can answer too. */
  readonly hasOwnHead: boolean;
  readonly seed: number;
}

/** Sequences that are shown: the worst, and those in the middle. */
const WORST = 3;
const MEDIAN = 2;

interface Shown {
  readonly record: number;
  readonly accuracy: number;
  readonly answers: readonly ResidueAnswer[];
}

/** A table beside majorities, one of the classes, and sequences with their true classes and those that were named. */
export async function classReport(
  options: ClassReportOptions,
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const { validation, collate, output, labels, hasOwnHead, seed } = options;
  const found: Shown[] = [];
  const adapted = new ResidueClassMetrics({
    output,
    labels,
    seed,
    onRecord: (record, answers) => {
      const right = answers.filter(({ truth, values }) => bestOf(values) === truth).length;
      found.push({ record, accuracy: right / answers.length, answers });
    },
  });
  const base = hasOwnHead ? new ResidueClassMetrics({ output, labels, seed }) : undefined;
  for await (const { batch } of batchesOf({ dataset: validation, collate }, request.batchSize)) {
    adapted.update(await request.run(batch.inputs, 'adapted'), batch.targets);
    base?.update(await request.run(batch.inputs, 'base'), batch.targets);
  }
  const { cells } = adapted;
  return [comparison(options, cells, base?.cells), classes(labels, cells.counts()), ...letters(options, found)];
}

/** What the sequence around a residue is worth: the adapter beside guesses that know nothing of it. */
function comparison(
  { tokenizer, train, validation, labels, seed }: ClassReportOptions,
  adapted: ClassCells,
  base: ClassCells | undefined,
): ReportSection {
  const guess = new LetterClasses(labels.length);
  train.records.forEach((record, i) => guess.learn(tokenizer.tokens(record.sequence).ids, train.targets[i]!));
  const [majority, byLetter] = [new ClassCells(labels.length), new ClassCells(labels.length)];
  validation.records.forEach(({ sequence }, record) => {
    const { ids } = tokenizer.tokens(sequence);
    validation.targets[record]!.forEach((truth, token) => {
      if (Number.isNaN(truth)) return;
      majority.add(record, truth, guess.majority);
      byLetter.add(record, truth, guess.of(ids[token]!));
    });
  });
  const rows: (readonly [string, ClassCells])[] = [
    [`always ${labels[guess.majority]!}`, majority],
    ['the usual class of each amino acid or letter', byLetter],
    ...(base ? ([['model before', base]] as const) : []),
    ['with the adapter', adapted],
  ];
  return {
    kind: 'table',
    title: 'Against guessing',
    text: `${verdict(
      rows.map(([, cells]) => cells),
      seed,
    )} On all residues with a known class of ${validation.records.length} held-out sequences. Intervals are those of a bootstrap over sequences: whole sequences are drawn, since residues of one are no independent evidence.`,
    columns: ['', 'accuracy', '95% interval', 'macro F1', 'MCC'],
    rows: rows.map(([name, cells]) => {
      const { scores, intervals } = cells.scores(seed);
      const range = intervals()['accuracy'];
      const { accuracy, macroF1, mcc } = scores;
      return [name, rounded(accuracy), range ? `${range[0].toFixed(3)} – ${range[1].toFixed(3)}` : '–', rounded(macroF1), rounded(mcc)]; // prettier-ignore
    }),
  };
}

/** What the accuracies say: those of the two guesses come first, that of the adapter last. */
function verdict(cells: readonly ClassCells[], seed: number): string {
  const [adapted, ...guesses] = [cells.at(-1)!, ...cells.slice(0, 2)].map((each) => each.scores(seed));
  const best = Math.max(...guesses.map(({ scores }) => scores.accuracy));
  const { accuracy } = adapted!.scores;
  if (accuracy <= best)
    return 'The adapter is right no more often than the better guess: it has learned nothing of use yet.';
  const [low = -Infinity] = adapted!.intervals()['accuracy'] ?? [];
  return low > best
    ? 'The adapter is right more often than either guess.'
    : 'The adapter is right more often than either guess, but on so few sequences that may be chance.';
}

function classes(labels: readonly string[], counts: readonly (readonly number[])[]): ReportSection {
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  const rows = labels.flatMap((label, c) => {
    const right = counts[c]![c]!;
    const examples = sum(counts[c]!);
    const named = sum(counts.map((row) => row[c]!));
    if (examples + named === 0) return [];
    const share = (count: number, of: number): number => (of === 0 ? 0 : rounded(count / of));
    return [[label, examples, share(right, named), share(right, examples), share(2 * right, examples + named)]];
  });
  return { kind: 'table', title: 'Classes', columns: ['class', 'residues', 'precision', 'recall', 'F1'], rows };
}

function letters({ tokenizer, validation, labels }: ClassReportOptions, found: Shown[]): ReportSection[] {
  const symbols = classLetters(labels);
  if (!symbols || found.length === 0) return [];
  const sorted = found.sort((a, b) => a.accuracy - b.accuracy);
  const worst = sorted.slice(0, WORST);
  const middle = Math.max(worst.length, Math.floor((sorted.length - MEDIAN) / 2));
  const legend = symbols === labels ? '' : ` ${labels.map((label, c) => `${symbols[c]}: ${label}`).join(', ')}.`;
  const row = (kind: string, { record, accuracy, answers }: Shown): ReportLetters => {
    const { id, sequence } = validation.records[record]!;
    const byToken = new Map(answers.map((answer) => [answer.token, answer]));
    const each = perLetter(sequence, tokenizer, (token) => byToken.get(token));
    const line = (of: (answer: ResidueAnswer) => number): string =>
      each.map((answer) => (answer ? symbols[of(answer)]! : '·')).join('');
    return {
      title: `${kind}: ${id}, ${(100 * accuracy).toFixed(0)}% right`,
      text: sequence,
      below: [
        { label: 'true', text: line(({ truth }) => truth) },
        { label: 'found', text: line(({ values }) => bestOf(values)) },
      ],
    };
  };
  return [
    {
      kind: 'letters',
      title: 'True and found classes',
      text: `The held-out sequences with the fewest right answers, and some in the middle; · is where the class is not known.${legend}`,
      rows: [
        ...worst.map((each) => row('worst', each)),
        ...sorted.slice(middle, middle + MEDIAN).map((each) => row('usual', each)),
      ],
    },
  ];
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}
