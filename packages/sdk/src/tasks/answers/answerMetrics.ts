/** @file Collects answers per record, over windows and ensembles of adapters. */

import { OnnxLoraError } from '../../errors.ts';
import { type Feeds, int64 } from '../../runtime/tensor.ts';
import type { MetricCollector } from '../../plugin/dataset.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { Outputs } from '../../plugin/predictor.ts';
import { scoresOf } from '../classification/scores.ts';
import { bootstrapDraws, type Draws, drawsFor } from '../../statistics/bootstrap.ts';
import type { Measure } from '../../statistics/measure.ts';
import { JoinedWindows, type MeanAnswer, meanNumbers, type PartAnswer, type WindowAnswers } from './joinedWindows.ts';

/** Accumulates the answers about records. */
export interface Tally<Truth, Scores extends Metrics> {
  /** Adds the answers about a record or its parts. Each record is added once. */
  add(record: number, answers: readonly PartAnswer<Truth>[]): void;
  /** The metrics over all records so far. */
  result(): Scores;
  /** The metrics of bootstrap resamples of records. */
  draws?(): Draws;
  /** The confusion matrix, for classes. */
  confusion?(): ReturnType<NonNullable<MetricCollector['confusion']>>;
}

/** A tally computed over all answers. Resamples are of whole records, since parts of a record are not independent. */
export abstract class MeasuredTally<Truth, Scores extends Metrics> implements Tally<Truth, Scores> {
  abstract add(record: number, answers: readonly PartAnswer<Truth>[]): void;

  /** The measure over all answers so far. */
  protected abstract measure(): Measure<Scores>;

  /** Number of records, and of cells in the table of their answers. */
  protected abstract get size(): { readonly records: number; readonly cells: number };

  result(): Scores {
    return this.measure()();
  }

  draws(): Draws {
    const { records, cells } = this.size;
    return bootstrapDraws(this.measure(), records, { samples: drawsFor(cells) });
  }
}

/** Decodes a batch, given the outputs of each adapter of an ensemble. */
export type AnswerReader<Truth> = (members: readonly Outputs[], targets: Feeds) => Iterable<WindowAnswers<Truth>>;

/** A collector that decodes batches, averages windows and adapters, and adds the answers to a tally. */
export class AnswerMetrics<
  Truth,
  Scores extends Metrics,
  Sum extends Tally<Truth, Scores> = Tally<Truth, Scores>,
> implements MetricCollector<Scores> {
  readonly #read: AnswerReader<Truth>;
  readonly #tally: Sum;
  readonly #joined: JoinedWindows<Truth>;

  /** The confusion matrix, if the tally has one. */
  readonly confusion?: NonNullable<MetricCollector['confusion']>;
  /** Called with the answers about each record, besides the tally. */
  onRecord?: Tally<Truth, Scores>['add'];

  /** `mean` averages windows that overlap. */
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

  /** Adds a batch as an ensemble of adapters: the mean of their answers, such as of probabilities. */
  updateTogether(members: readonly Outputs[], targets: Feeds): void {
    for (const window of this.#read(members, targets)) this.#joined.add(window);
  }

  /** The tally of everything added so far. */
  get tally(): Sum {
    this.#joined.flush();
    return this.#tally;
  }

  result(): Scores {
    return this.tally.result();
  }

  draws(): Draws {
    return this.tally.draws?.() ?? {};
  }
}

/** How to decode answers about whole records. */
export interface WholeAnswers<Truth> {
  /** The graph output `[batch, width]`. */
  readonly output: string;
  /** Numbers per answer. */
  readonly width: number;
  /** The truth of each row; checks the targets. */
  readonly truthsOf: (targets: Feeds, rows: number) => readonly Truth[];
  /** Averages several adapters. */
  readonly mean?: MeanAnswer;
  /** Divisor of the scores; 1 by default. */
  readonly temperature?: number;
}

/** Decodes one answer per row; with targets of {@link recordTargets}, rows are windows of records. */
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

/** Targets that identify the windows of a record in evaluation: int64 `[batch, 2]`. */
export function recordTargets(
  examples: readonly { readonly index: number; readonly windows: number; readonly draw?: number }[],
): Feeds {
  if (examples[0]?.draw !== undefined) return {};
  const numbers = examples.flatMap(({ index, windows }) => [index, windows]);
  return { [RECORDS]: int64(numbers, [examples.length, 2]) };
}

/** The error for targets that are not the task's. */
export function targetsError(what: string): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', `Targets must hold ${what}. Pass those that collate made.`);
}
