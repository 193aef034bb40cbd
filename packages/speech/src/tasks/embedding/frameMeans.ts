/** @file Means over frames that are sound, of tensors and inside a graph, where targets say how many there are. */

import { type EmbeddingsOf, type GraphBuilder, OnnxLoraError, type Value } from '@onnx-lora/sdk';
import { frameLengths, framesOf } from '../frameTargets.ts';
import { meanOfFrames } from './meanOfFrames.ts';

/** Embeddings of a batch whose targets are those of `frameTargets`. */
export function embeddingsFrom(output: string): EmbeddingsOf {
  return (outputs, targets) => meanOfFrames(outputs[output], (row, frames) => framesOf(targets, frames)[row]!);
}

/**
 * The same as a graph fragment: `[batch, width]`.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph does not say the shape
 */
export function embeddingValue(g: GraphBuilder, states: Value, targets: Readonly<Record<string, Value>>): Value {
  const { shape } = states;
  if (shape?.length === 2) return states;
  const [batch, frames] = shape ?? [];
  if (shape?.length !== 3 || typeof batch !== 'number' || typeof frames !== 'number') {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The shape of "${states.name}" is not known from the graph, so no mean over its frames can be taken. Name an output [batch, width] or [batch, frames, width].`,
    );
  }
  const lengths = g.Max(g.Cast(frameLengths(g, targets, states), FLOAT), 1);
  const numbers = g.Cast(g.ints(Array.from({ length: frames }, (_, i) => i)), FLOAT);
  const isSound = g.Less(g.Reshape(numbers, [1, frames]), g.Reshape(lengths, [batch, 1]));
  const mask = g.Reshape(g.Cast(isSound, FLOAT), [batch, frames, 1]);
  const sum = g.ReduceSum(g.Mul(states, mask), [1], false);
  return g.Div(sum, g.Reshape(g.Min(lengths, frames), [batch, 1]));
}

/** ONNX's number of float32. */
const FLOAT = 1;
