/** @file Datasets, batches and metric collectors. */

import type { Draws } from '../statistics/bootstrap.ts';
import type { Metrics } from '../statistics/measure.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';

/** A finite list of examples, each loaded on demand. */
export interface Dataset<Example> {
  /** Number of examples. */
  readonly length: number;
  /**
   * Loads example `index`, from 0 to `length − 1`.
   * @param draw in training, the number of examples drawn before this one. It seeds augmentation, so that each draw
   *   differs and a resumed run sees the same examples. Absent where nothing may be random, as in evaluation.
   */
  get(index: number, draw?: number): Promise<Example>;
  /** Name of an example in messages, such as the path of its file. */
  nameOf?(index: number): string;
  /**
   * Key that identifies an example by its content (`contentKey`), whatever its path or name; an example made of
   * several, such as a triplet, has a key for each. By it `evaluate` knows which examples an adapter was trained on.
   */
  keyOf?(index: number): Promise<string | readonly string[]>;
  /**
   * True when examples are not augmented: an index gives the same row of `inputs` in every batch of the same shape.
   * Activations of frozen layers may then be cached. False by default.
   */
  readonly isDeterministic?: boolean;
  /** Inputs of a deterministic dataset that still differ from draw to draw, such as prompts for an unchanged image. */
  readonly changingInputs?: readonly string[];
  /** Sampling weight of each example for `sampling: 'balanced'`: 1 / the number of examples of its class. */
  readonly weights?: readonly number[] | undefined;
  /** Length of each example, in any unit, for `sampling: 'length'`: batches of similar lengths have little padding. */
  readonly lengths?: readonly number[] | undefined;
}

/** One batch: the feeds of the graph, and the targets of the loss. */
export interface Batch {
  /** One tensor `[batch, …]` per input of the graph. */
  readonly inputs: Feeds;
  /** Tensors for the loss and the metrics, by names that the task chooses. */
  readonly targets: Feeds;
}

/** Accumulates metrics batch by batch. */
export interface MetricCollector<Result extends Metrics = Metrics> {
  /** Adds a batch: the model's outputs, and the targets that `collate` made. */
  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void;
  /** The metrics over all batches so far. Runs are compared by the first entry. */
  result(): Result;
  /** The metrics of bootstrap resamples (`bootstrapDraws`), for confidence intervals and paired comparisons. */
  draws?(): Draws;
  /** The confusion matrix: counts `[true class, predicted class]` and the names of the classes. */
  confusion?(): { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] };
}
