/** @file Examples, batches of them, and what is measured on them. */

import type { Draws } from '../statistics/bootstrap.ts';
import type { Metrics } from '../statistics/measure.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';

/** A finite list of examples, each loaded when asked for. */
export interface Dataset<Example> {
  /** How many examples there are. */
  readonly length: number;
  /**
   * Loads example `index`, from 0 to `length − 1`.
   *
   * @param draw in training, how many examples were drawn before this one: what is random about an example, such as an
   *   augmentation, is seeded by it, so that each time differs and a run that goes on after an interruption sees the same.
   *   Absent where nothing may be random, as in evaluation.
   */
  get(index: number, draw?: number): Promise<Example>;
  /** What an example is called in messages, such as the path of its file. */
  nameOf?(index: number): string;
  /**
   * What tells an example from all others, wherever it lies and whatever it is called, such as the content of its file
   * (`contentKey`); of an example that is put together of several, such as a group of one kind, what tells each of these. By it
   * a run knows later what it was trained on. Nothing is known of datasets without it.
   */
  keyOf?(index: number): Promise<string | readonly string[]>;
  /**
   * True when an example never changes, as there is no random augmentation: the same index always means the same row of
   * `inputs` in every batch of the same shape, whatever else is in the batch. What frozen layers make of it may then be kept
   * and used again. False when left out.
   */
  readonly isDeterministic?: boolean;
  /** Inputs that differ from draw to draw even so, such as prompts for an image that itself stays the same. */
  readonly changingInputs?: readonly string[];
  /**
   * How often each example is drawn, compared with others, in training with `sampling: 'balanced'`: 1 over the number of
   * examples of its class, where it has a class.
   */
  readonly weights?: readonly number[] | undefined;
  /**
   * How long each example is, in any unit, for training with `sampling: 'length'`, whose batches are of examples of about one
   * length, so that little of a batch is padding.
   */
  readonly lengths?: readonly number[] | undefined;
}

/** One batch: what the graph is fed, and what the loss compares its outputs with. */
export interface Batch {
  /** One tensor `[batch, …]` per input of the graph. */
  readonly inputs: Feeds;
  /** Tensors for the loss and the metrics, by names that the task chooses. */
  readonly targets: Feeds;
}

/** Collects outputs batch by batch and sums them up. */
export interface MetricCollector<Result extends Metrics = Metrics> {
  /** Takes in one batch: what the model gave, and what `collate` gave beside its feeds. */
  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void;
  /** The metrics over all batches seen. The first entry is the one by which runs are compared. */
  result(): Result;
  /**
   * The metrics on sets of examples that are drawn with replacement, as `bootstrapDraws` gives them. By them metrics have
   * intervals, and two measurements of the same examples are compared.
   */
  draws?(): Draws;
  /** For the report: counts `[true class, predicted class]` with the classes' names, where the task has classes. */
  confusion?(): { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] };
}
