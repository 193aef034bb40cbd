/** @file Collects answers record by record, whatever they are about and however many windows and adapters gave them. */

import { OnnxLoraError } from '../../errors.ts';
import { type Feeds, int64 } from '../../runtime/tensor.ts';
import type { MetricCollector } from '../../plugin/dataset.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { Outputs } from '../../plugin/predictor.ts';
import { scoresOf } from '../classification/scores.ts';
import { bootstrapDraws, type Draws, drawsFor } from '../../statistics/bootstrap.ts';
import type { Measure } from '../../statistics/measure.ts';
import { JoinedWindows, type MeanAnswer, meanNumbers, type PartAnswer, type WindowAnswers } from './joinedWindows.ts';

/** Sums up the answers about records. */
export interface Tally<Truth, Scores extends Metrics> {
  /** Takes in the answers about a record: one, or those about its parts. Records come once each. */
  add(record: number, answers: readonly PartAnswer<Truth>[]): void;
  /** The metrics of all that came. */
  result(): Scores;
  /** The same on sets of records that are drawn. */
  draws?(): Draws;
  /** Counts by true and named class, where there are classes. */
  confusion?(): ReturnType<NonNullable<MetricCollector['confusion']>>;
}

/** A tally that is a measure of all answers; draws are of whole records, whose parts are no independent evidence. */
export abstract class MeasuredTally<Truth, Scores extends Metrics> implements Tally<Truth, Scores> {
  abstract add(record: number, answers: readonly PartAnswer<Truth>[]): void;

  /** The metrics, as a bootstrap asks for them. */
  protected abstract measure(): Measure<Scores>;

  /** How many records there are, and cells in the table of their answers. */
  protected abstract get size(): { readonly records: number; readonly cells: number };

  result(): Scores {
    return this.measure()();
  }

  draws(): Draws {
    const { records, cells } = this.size;
    return bootstrapDraws(this.measure(), records, { samples: drawsFor(cells) });
  }
}

/** Reads the answers in a batch, given the outputs of each adapter that answers. */
export type AnswerReader<Truth> = (members: readonly Outputs[], targets: Feeds) => Iterable<WindowAnswers<Truth>>;

/** A collector of answers: it reads them, puts windows and adapters together, and hands them to its tally. */
export class AnswerMetrics<
  Truth,
  Scores extends Metrics,
  Sum extends Tally<Truth, Scores> = Tally<Truth, Scores>,
> implements MetricCollector<Scores> {
  readonly #read: AnswerReader<Truth>;
  readonly #tally: Sum;
  readonly #joined: JoinedWindows<Truth>;

  /** Counts by true and named class, where the tally has them. */
  readonly confusion?: NonNullable<MetricCollector['confusion']>;
  /** Hears of the answers about each record, beside the tally. */
  onRecord?: Tally<Truth, Scores>['add'];

  /**
   * A collector that has seen nothing yet.
   *
   * @param mean what windows say together of what several of them hold
   */
  constructor(read: AnswerReader<Truth>, tally: Sum, mean?: MeanAnswer) {
    this.#read = read;
    this.#tally = tally;
    if (tally.confusion) this.confusion = () => this.tally.confusion!();
    this.#joined = new JoinedWindows((record, answers) => {
      tally.add(record, answers);
      this.onRecord?.(record, answers);
    }, mean);
  }

  update(outputs: Outputs, targets: Feeds): void {
    this.updateTogether([outputs], targets);
  }

  /** Takes in what each adapter gave for one batch, as one answer: the mean of what they say, such as probabilities. */
  updateTogether(members: readonly Outputs[], targets: Feeds): void {
    for (const window of this.#read(members, targets)) this.#joined.add(window);
  }

  /** What all that came adds up to. */
  get tally(): Sum {
    this.#joined.flush();
    return this.#tally;
  }

  /** The metrics of all that came. */
  result(): Scores {
    return this.tally.result();
  }

  /** The same on sets of records that are drawn. */
  draws(): Draws {
    return this.tally.draws?.() ?? {};
  }
}

/** How answers about whole records are read. */
export interface WholeAnswers<Truth> {
  /** The graph output `[batch, width]`. */
  readonly output: string;
  /** Numbers of an answer. */
  readonly width: number;
  /** What is true of each row; it checks the targets. */
  readonly truthsOf: (targets: Feeds, rows: number) => readonly Truth[];
  /** What several adapters say together. */
  readonly mean?: MeanAnswer;
  /** What scores are divided by; 1 by default. */
  readonly temperature?: number;
}

/** Reads one answer a row; rows are windows of records where targets are those of {@link recordTargets}. */
export function wholeAnswers<Truth>({
  output,
  width,
  truthsOf,
  mean = meanNumbers,
  temperature = 1,
}: WholeAnswers<Truth>): AnswerReader<Truth> {
  let next = 0;
  return function* (members, targets): Generator<WindowAnswers<Truth>> {
    const each = members.map((outputs) => scoresOf(outputs, output, width));
    const { rows } = each[0]!;
    const truths = truthsOf(targets, rows);
    const records = targets[RECORDS]?.data;
    for (let row = 0; row < rows; row++) {
      const values = mean(
        each.map(({ data }) =>
          Float64Array.from(data.subarray(row * width, (row + 1) * width), (score) => score / temperature),
        ),
      );
      yield {
        record: records ? Number(records[2 * row]) : next++,
        windows: records ? Number(records[2 * row + 1]) : 1,
        answers: [{ part: 0, truth: truths[row]!, values }],
      };
    }
  };
}

const RECORDS = 'records';

/** Target by which windows of one record are known as such: int64 `[batch, 2]`, of batches that are measured. */
export function recordTargets(
  examples: readonly { readonly index: number; readonly windows: number; readonly draw?: number }[],
): Feeds {
  if (examples[0]?.draw !== undefined) return {};
  const numbers = examples.flatMap(({ index, windows }) => [index, windows]);
  return { [RECORDS]: int64(numbers, [examples.length, 2]) };
}

/** The error, to be thrown, for targets that are not those of a task. */
export function wrongTargets(what: string): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', `Targets must hold ${what}. Pass those that collate made.`);
}
