/** @file How far predicted numbers are from the true ones. */

import { type Feeds, type MetricCollector, type Metrics, OnnxLoraError, scoresOf, type Tensor } from '@onnx-lora/sdk';

/** Sums up batches. Targets are `{ values: float32 [batch, outputs] }`. */
export class RegressionMetrics implements MetricCollector {
  readonly #output: string;
  readonly #predicted: number[][];
  readonly #true: number[][];

  /** `output` is a graph output `[batch, outputs]`. */
  constructor(output: string, outputs: number) {
    this.#output = output;
    this.#predicted = Array.from({ length: outputs }, () => []);
    this.#true = Array.from({ length: outputs }, () => []);
  }

  update(results: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const outputs = this.#predicted.length;
    const { data } = scoresOf(results, this.#output, outputs);
    const values = targets['values']?.data;
    if (!(values instanceof Float32Array) || values.length !== data.length) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Targets must hold "values" as float32 [batch, ${outputs}], one row for each of "${this.#output}". Pass those that collate made.`,
      );
    }
    data.forEach((value, i) => {
      this.#predicted[i % outputs]!.push(value);
      this.#true[i % outputs]!.push(values[i]!);
    });
  }

  /** `rmse`, `mae`, `r2` and `spearman`; of several numbers per image the mean over them. */
  result(): Metrics {
    const each = this.perOutput();
    const mean = (name: keyof RegressionResult): number => average(each.map((one) => one[name]));
    return { rmse: mean('rmse'), mae: mean('mae'), r2: mean('r2'), spearman: mean('spearman') };
  }

  /** The same for each number. */
  perOutput(): RegressionResult[] {
    return this.#predicted.map((predicted, i) => compare(predicted, this.#true[i]!));
  }

  /** `[true, predicted]` of one number, image by image. */
  pairs(output: number): (readonly [number, number])[] {
    return this.#true[output]!.map((truth, i) => [truth, this.#predicted[output]![i]!]);
  }
}

/** Metrics of one number. */
export interface RegressionResult {
  /** Root of the mean squared error. */
  readonly rmse: number;
  /** Mean absolute error. */
  readonly mae: number;
  /** 1 − squared errors ÷ squared distances from the mean; NaN where all true values are one. */
  readonly r2: number;
  /** Correlation of ranks; NaN where either has one value only. */
  readonly spearman: number;
}

function compare(predicted: readonly number[], truths: readonly number[]): RegressionResult {
  const errors = predicted.map((value, i) => value - truths[i]!);
  const squares = average(errors.map((error) => error * error));
  const center = average(truths);
  const variance = average(truths.map((value) => (value - center) ** 2));
  return {
    rmse: Math.sqrt(squares),
    mae: average(errors.map(Math.abs)),
    r2: variance === 0 ? Number.NaN : 1 - squares / variance,
    spearman: correlation(ranks(predicted), ranks(truths)),
  };
}

/** Places by size, from 1; equal values share the mean of theirs. */
function ranks(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  const result = values.map(() => 0);
  for (let from = 0; from < order.length;) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) result[order[i]!] = (from + 1 + to) / 2;
    from = to;
  }
  return result;
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [average(a), average(b)];
  const product = (x: readonly number[], mx: number, y: readonly number[], my: number): number =>
    x.reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0);
  const size = Math.sqrt(product(a, meanA, a, meanA) * product(b, meanB, b, meanB));
  return size === 0 ? Number.NaN : product(a, meanA, b, meanB) / size;
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
