/** @file How well classes of residues are named. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { type MetricCollector, softmaxRows, type MetricsNamed } from '@onnx-lora/sdk/tasks';
import { ClassCells, type ResidueClassScores } from './classCells.ts';
import type { EnsembleCollector } from '../../ensemble/measureEnsemble.ts';
import type { ResidueAnswer } from './joinedWindows.ts';
import { ResidueCollector } from './residueCollector.ts';

/** What a collector must know of the task. */
export interface ResidueClassMetricsOptions {
  /** The output `[batch, tokens, classes]`. */
  readonly output: string;
  readonly labels: readonly string[];
  /** Of the bootstrap. */
  readonly seed: number;
  /** Hears of the answers about each record. */
  readonly onRecord?: (record: number, answers: readonly ResidueAnswer[]) => void;
}

/** Sums up batches. Targets are `labels`, int64 `[batch, tokens]`, −100 where nothing is known, and those of `placeTargets`. */
export class ResidueClassMetrics implements EnsembleCollector {
  readonly #cells: ClassCells;
  readonly #labels: readonly string[];
  readonly #seed: number;
  readonly #collector: ResidueCollector;
  #loss = 0;
  #count = 0;

  constructor({ output, labels, seed, onRecord }: ResidueClassMetricsOptions) {
    this.#cells = new ClassCells(labels.length);
    this.#labels = labels;
    this.#seed = seed;
    const valuesOf = (scores: Float32Array): Float64Array => softmaxRows(scores, labels.length);
    this.#collector = new ResidueCollector({ output, width: labels.length, valuesOf, truthsOf }, (record, answers) => {
      for (const { truth, values } of answers) {
        this.#cells.add(record, truth, bestOf(values));
        this.#loss -= Math.log(values[truth]!);
        this.#count++;
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

  /** Counts of all that came. */
  get cells(): ClassCells {
    this.#collector.finish();
    return this.#cells;
  }

  /** `accuracy`, `macroF1`, `balancedAccuracy`, `mcc` (Matthews' correlation) and `loss`, over all residues with a known class. */
  result(): ResidueClassScores & MetricsNamed<'loss'> {
    return { ...this.cells.scores(this.#seed).scores, loss: this.#loss / this.#count };
  }

  intervals(): ReturnType<NonNullable<MetricCollector['intervals']>> {
    return this.cells.scores(this.#seed).intervals();
  }

  /** In residues, of the classes that occur or were named. */
  confusion(): ReturnType<NonNullable<MetricCollector['confusion']>> {
    const counts = this.cells.counts();
    const seen = [...counts.keys()].filter((c) => counts[c]!.some((count, other) => count + counts[other]![c]! > 0));
    return {
      labels: seen.map((c) => this.#labels[c]!),
      counts: seen.map((truth) => seen.map((named) => counts[truth]![named]!)),
    };
  }
}

/** The most probable class; of equal ones the first. */
export function bestOf(probabilities: ArrayLike<number>): number {
  let best = 0;
  for (let c = 1; c < probabilities.length; c++) if (probabilities[c]! > probabilities[best]!) best = c;
  return best;
}

/** Label of residues whose class is not known: torch's `ignore_index`. */
export const UNKNOWN = -100;

function truthsOf({ labels }: Feeds): number[] {
  return Array.from(labels!.data as BigInt64Array, (label) => (Number(label) === UNKNOWN ? Number.NaN : Number(label)));
}
