/** @file A rule for what a model may write next. */

/**
 * Changes logits, or log-probabilities, `[vocabulary]` in place: what must not come is −∞.
 *
 * @param written the tokens behind the prompt
 */
export type LogitRule = (logits: Float32Array, written: readonly number[], prompt: readonly number[]) => void;
