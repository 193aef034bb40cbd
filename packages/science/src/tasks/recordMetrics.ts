/** @file Metrics of answers about whole sequences: windows of one sequence are one answer. */

import { type Feeds, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  bootstrapIntervals,
  drawsFor,
  type Measure,
  type MetricCollector,
  type Metrics,
  scoresOf,
} from '@onnx-lora/sdk/tasks';
import type { SequenceExample } from './sequenceTask.ts';

/** What a collector must know of the task. */
export interface RecordMetricsOptions<Scores extends Metrics = Metrics> {
  /** The graph output `[batch, outputs]`, and what its outputs stand for. */
  readonly output: string;
  readonly labels: readonly string[];
  /** What a row of scores says: probabilities, or numbers. Those of windows are averaged. */
  readonly answerOf: (scores: Float32Array) => ArrayLike<number>;
  /** What is true of a row of the targets. */
  readonly truthOf: (targets: Feeds, row: number) => readonly number[];
  readonly measure: (answers: RecordAnswers) => Measure<Scores>;
  /** Seeds the draws of the intervals. */
  readonly seed: number;
  readonly confusion?: (answers: RecordAnswers) => ReturnType<NonNullable<MetricCollector['confusion']>>;
}

/** Answers about records, and what is true of them. */
export interface RecordAnswers {
  /** `[records, outputs]`, row by row. */
  readonly answers: Float64Array;
  /** One list per record. */
  readonly truths: readonly (readonly number[])[];
}

interface Sum {
  readonly answer: Float64Array;
  readonly truth: readonly number[];
  windows: number;
}

/** Collects answers record by record. */
export class RecordMetrics<Scores extends Metrics = Metrics> implements MetricCollector<Scores> {
  readonly #options: RecordMetricsOptions<Scores>;
  /** By the number of the record, in the order in which they came. */
  readonly #sums = new Map<number, Sum>();
  confusion?: NonNullable<MetricCollector['confusion']>;

  constructor(options: RecordMetricsOptions<Scores>) {
    this.#options = options;
    const { confusion } = options;
    if (confusion) this.confusion = () => confusion(this.collected());
  }

  /** What collectors say together about the same records, such as those of several adapters: the mean of their answers. */
  static mean(members: readonly RecordMetrics[]): RecordMetrics {
    const result = new RecordMetrics(members[0]!.#options);
    for (const member of members) {
      for (const [record, { answer, truth, windows }] of member.#sums) {
        const sum = result.#sums.get(record) ?? { answer: new Float64Array(answer.length), truth, windows: 0 };
        result.#sums.set(record, sum);
        for (let i = 0; i < answer.length; i++) sum.answer[i]! += answer[i]! / windows;
        sum.windows++;
      }
    }
    return result;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { output, labels, answerOf, truthOf } = this.#options;
    const { rows, classes, data } = scoresOf(outputs, output, labels.length);
    const numbers = targets[RECORDS]?.data;
    if (numbers?.length !== rows) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Targets must hold "${RECORDS}" as int64 [${rows}], the number of the record of each row of "${output}". Pass those that collate made of examples that are measured.`,
      );
    }
    for (let row = 0; row < rows; row++) {
      const answer = answerOf(data.subarray(row * classes, (row + 1) * classes));
      const record = Number(numbers[row]);
      const sum = this.#sums.get(record);
      if (sum) {
        for (let i = 0; i < classes; i++) sum.answer[i]! += answer[i]!;
        sum.windows++;
      } else this.#sums.set(record, { answer: Float64Array.from(answer), truth: truthOf(targets, row), windows: 1 });
    }
  }

  result(): Scores {
    return this.#options.measure(this.collected())();
  }

  intervals(): ReturnType<NonNullable<MetricCollector['intervals']>> {
    const { measure, labels, seed } = this.#options;
    const records = this.#sums.size;
    const samples = drawsFor(records * labels.length);
    return bootstrapIntervals(measure(this.collected()), records, { seed, samples });
  }

  /** The answers about all records, in the order in which they came. */
  collected(): RecordAnswers {
    const sums = [...this.#sums.values()];
    const answers = new Float64Array(sums.length * this.#options.labels.length);
    sums.forEach(({ answer, windows }, i) =>
      answers.set(
        answer.map((sum) => sum / windows),
        i * answer.length,
      ),
    );
    return { answers, truths: sums.map(({ truth }) => truth) };
  }
}

const RECORDS = 'records';

/** Target by which windows of one record are known as such, for batches that are measured: the loss does not need it. */
export function recordTargets(examples: readonly SequenceExample<unknown>[]): Feeds {
  if (examples[0]?.draw !== undefined) return {};
  return { [RECORDS]: int64(examples.map(({ index }) => index), [examples.length]) }; // prettier-ignore
}
