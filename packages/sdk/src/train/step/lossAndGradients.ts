/** @file What a batch comes to: its loss and gradients. */

/** One batch's loss and gradients, in the graph's layout, by adapter input name. */
export interface LossAndGradients {
  /** The loss of the batch. */
  readonly loss: number;
  /** One array per trained tensor, of its shape. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** How much the batch counts in a mean over batches: its `lossWeight`, or 1 where there is none. */
  readonly weight: number;
  /** Why there is no loss, where nothing of the batch counts. */
  readonly nothing?: string | undefined;
}
