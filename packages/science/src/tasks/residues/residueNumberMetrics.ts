/** @file How far numbers of residues are from the true ones. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { bootstrapIntervals, type MetricCollector, numberMeasure, type NumberScores } from '@onnx-lora/sdk/tasks';
import type { EnsembleCollector } from '../../ensemble/measureEnsemble.ts';
import type { ResidueAnswer } from './joinedWindows.ts';
import { ResidueCollector } from './residueCollector.ts';

/** What a collector must know of the task. */
export interface ResidueNumberMetricsOptions {
  /** The output `[batch, tokens, 1]`. */
  readonly output: string;
  /** Of the bootstrap. */
  readonly seed: number;
  /** Hears of the answers about each record. */
  readonly onRecord?: (record: number, answers: readonly ResidueAnswer[]) => void;
}

/** Sums up batches. Targets are `values` and `known`, float32 `[batch, tokens, 1]`, and those of `placeTargets`. */
export class ResidueNumberMetrics implements EnsembleCollector {
  readonly #seed: number;
  readonly #collector: ResidueCollector;
  readonly #records: number[] = [];
  readonly #predicted: number[] = [];
  readonly #truths: number[] = [];

  constructor({ output, seed, onRecord }: ResidueNumberMetricsOptions) {
    this.#seed = seed;
    const valuesOf = (numbers: Float32Array): Float64Array => Float64Array.from(numbers);
    this.#collector = new ResidueCollector({ output, width: 1, valuesOf, truthsOf }, (record, answers) => {
      for (const { truth, values } of answers) {
        this.#records.push(record);
        this.#predicted.push(values[0]!);
        this.#truths.push(truth);
      }
      onRecord?.(record, answers);
    });
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    this.updateTogether([outputs], targets);
  }

  updateTogether(members: readonly Readonly<Record<string, Tensor>>[], targets: Feeds): void {
    this.#collector.update(members, targets);
  }

  /** `spearman`, `pearson`, `rmse`, `mae` and `r2` over all residues with a known number. */
  result(): NumberScores {
    this.#collector.finish();
    return numberMeasure(this.#predicted, this.#truths)();
  }

  /** By a bootstrap over records: residues of one protein are no independent evidence. */
  intervals(): ReturnType<NonNullable<MetricCollector['intervals']>> {
    this.#collector.finish();
    const measure = numberMeasure(this.#predicted, this.#truths);
    return bootstrapIntervals(measure, this.#truths.length, { seed: this.#seed, groups: this.#records });
  }

  /** `[true, predicted]` of each residue. */
  pairs(): (readonly [number, number])[] {
    this.#collector.finish();
    return this.#truths.map((truth, i) => [truth, this.#predicted[i]!]);
  }
}

function truthsOf({ values, known }: Feeds): Float64Array {
  const counts = known!.data as Float32Array;
  return Float64Array.from(values!.data as Float32Array, (value, i) => (counts[i] === 0 ? Number.NaN : value));
}
