/** @file Metrics of question answering, collected over the windows of each text. */

import { int64, type Feeds, type Tensor } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  type Draws,
  drawsFor,
  logSumExp,
  type MetricCollector,
  type Metrics,
} from '@onnx-lora/sdk/tasks';
import { type SequenceTokenizer, type SequenceExample, tokenOutput } from '@onnx-lora/sequences';
import type { QuestionRecord } from '../../data/readQuestions.ts';
import { squadWords, wordF1 } from '../../metrics/textScores.ts';
import { bestSpan, lettersOf, type Span, type SpanRules, type SpanWindow } from './answerSpans.ts';

/** Scores from 0 to 1; the last two only if texts may lack the answer. */
export type AnswerScores = Metrics & {
  readonly f1: number;
  readonly exactMatch: number;
  readonly loss: number;
  readonly answeredF1?: number;
  readonly noAnswerAccuracy?: number;
};

/** The outputs with start and end scores. */
export interface SpanPort {
  /** `start_logits` and `end_logits`, or one output `[batch, tokens, 2]`. */
  readonly outputs: readonly string[];
  /** Columns of a single output. */
  readonly columns?: readonly [start: number, end: number];
}

/** Start and end scores of a batch's row. */
export function spanScores(
  outputs: Readonly<Record<string, Tensor>>,
  { outputs: names, columns }: SpanPort,
  row: number,
): readonly [starts: Float32Array, ends: Float32Array] {
  if (columns) {
    const scores = tokenOutput(outputs, names[0]!, 2);
    const of = (column: number): Float32Array => Float32Array.from({ length: scores.tokens }, (_, token) => scores.at(row, token)[column]!); // prettier-ignore
    return [of(columns[0]), of(columns[1])];
  }
  const [starts, ends] = names.map((name) => {
    // Reshaped as a single column.
    const { dims, ...tensor } = outputs[name]!;
    const scores = tokenOutput({ [name]: { ...tensor, dims: [...dims, 1] } as Tensor }, name, 1);
    return Float32Array.from({ length: scores.tokens }, (_, token) => scores.at(row, token)[0]!);
  });
  return [starts!, ends!];
}

const FIELDS = 6;

/** Targets for joining the windows of measured batches, int64 `[batch, 6]`. */
export function windowTargets(examples: readonly SequenceExample<unknown, QuestionRecord>[]): Feeds {
  if (examples[0]?.draw !== undefined) return {};
  const fields = examples.flatMap(({ index, windows, row: { ids, at, count, from } }) => [index, windows, ids.length, at, count, from]); // prettier-ignore
  return { windows: int64(fields, [examples.length, FIELDS]) };
}

/** A predicted answer. */
export interface FoundAnswer {
  /** Index of the record. */
  readonly record: number;
  /** Empty without an answer. */
  readonly text: string;
  readonly span: Span;
  readonly match: AnswerMatch;
}

export interface SpanMetricsOptions extends SpanRules {
  readonly port: SpanPort;
  readonly records: readonly QuestionRecord[];
  readonly tokenizer: SequenceTokenizer;
}

/** Joins windows, and compares the answers with the right ones. */
export class SpanMetrics implements MetricCollector<AnswerScores> {
  readonly found: FoundAnswer[] = [];
  readonly #open = new Map<number, SpanWindow[]>();
  readonly #options: SpanMetricsOptions;
  readonly #losses: number[] = [];

  constructor(options: SpanMetricsOptions) {
    this.#options = options;
  }

  update(outputs: Readonly<Record<string, Tensor>>, { windows, starts, ends }: Feeds): void {
    const rows = windows!.dims[0]!;
    for (let i = 0; i < rows; i++) {
      const [record, count, length, at, own, from] = Array.from(windows!.data.subarray(i * FIELDS, (i + 1) * FIELDS), Number); // prettier-ignore
      const scores = spanScores(outputs, this.#options.port, i);
      const [start, end] = [starts!, ends!].map(({ data }) => Number(data[i]));
      this.#losses.push((costOf(scores[0], start!) + costOf(scores[1], end!)) / 2);
      const [first, last] = scores.map((each) => each.subarray(0, length));
      const known = this.#open.get(record!) ?? [];
      known.push({ row: { at: at!, count: own!, from: from! }, starts: first!, ends: last! });
      this.#open.set(record!, known);
      if (known.length === count) this.#close(record!);
    }
  }

  result(): AnswerScores {
    // Some texts may be measured in part.
    for (const record of this.#open.keys()) this.#close(record);
    const loss = this.#losses.reduce((sum, each) => sum + each, 0) / this.#losses.length;
    // A kind without questions has no mean.
    const known = Object.entries(this.#measure()).filter(([, value]) => !Number.isNaN(value));
    return { ...Object.fromEntries(known), loss } as AnswerScores;
  }

  draws(): Draws {
    const { length } = this.found;
    return bootstrapDraws((times) => this.#measure(times), length, { samples: drawsFor(length) });
  }

  #close(record: number): void {
    const windows = this.#open.get(record)!;
    this.#open.delete(record);
    const { records, tokenizer } = this.#options;
    const { second, answers = [] } = records[record]!;
    const span = bestSpan(windows, this.#options);
    const text = span.tokens ? second.slice(...lettersOf(second, tokenizer.tokens(second), span.tokens)) : '';
    this.found.push({ record, text, span, match: matchOf(text, answers.map((each) => each.text)) }); // prettier-ignore
  }

  #measure(times?: ArrayLike<number>): Metrics {
    const { records, mayLack } = this.#options;
    const mean = (of: keyof AnswerMatch, counts: (answers: number) => boolean = () => true): number => {
      let [sum, all] = [0, 0];
      this.found.forEach(({ record, match }, i) => {
        if (!counts(records[record]!.answers?.length ?? 0)) return;
        const weight = times?.[i] ?? 1;
        sum += weight * match[of];
        all += weight;
      });
      return sum / all;
    };
    const whole = { f1: mean('f1'), exactMatch: mean('exact') };
    if (!mayLack) return whole;
    return { ...whole, answeredF1: mean('f1', (n) => n > 0), noAnswerAccuracy: mean('exact', (n) => n === 0) };
  }
}

interface AnswerMatch {
  /** 1 if the words are the same. */
  readonly exact: number;
  readonly f1: number;
}

/**
 * Compares an answer with the closest right one, or with an empty answer if there is no right one.
 * @see the evaluation scripts of SQuAD v1.1 and v2.0, https://rajpurkar.github.io/SQuAD-explorer/
 */
export function matchOf(answer: string, right: readonly string[]): AnswerMatch {
  const known = right.filter((each) => squadWords(each).length > 0);
  const all = known.length > 0 ? known : [''];
  const exact = all.some((each) => squadWords(answer).join(' ') === squadWords(each).join(' '));
  return { exact: Number(exact), f1: Math.max(...all.map((each) => wordF1(answer, each))) };
}

/** −log softmax of one score. */
function costOf(scores: Float32Array, target: number): number {
  return logSumExp(Float64Array.from(scores)) - scores[target]!;
}
