/** @file Means over the tokens of sequences, of tensors and inside a graph, where targets say how much each token counts. */

import { type Feeds, float32, OnnxLoraError } from '@onnx-lora/sdk';
import type { EmbeddingsOf, GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { TokenRow } from '../sequenceTask.ts';
import type { SequenceFeature, SequencePooling } from './sequenceFeature.ts';
import { requireFirst } from './tokenStates.ts';

/** The target that holds the weights. */
const WEIGHTS = 'weights';

/**
 * How much each token counts in the embedding of its row: float32 `[batch, 1, tokens]` as a target. Of a mean those of the
 * sequence count alike, and special ones and padding nothing.
 *
 * @param tokens of the padded rows
 * @throws OnnxLoraError `CONFIG_INVALID` where no special token comes first, whose state could stand for the sequence
 */
export function poolingWeights(rows: readonly TokenRow[], tokens: number, pool: SequencePooling): Feeds {
  const data = new Float32Array(rows.length * tokens);
  rows.forEach((row, i) => {
    if (pool === 'first') {
      requireFirst(row);
      data[i * tokens] = 1;
    } else data.fill(1 / row.count, i * tokens + row.at, i * tokens + row.at + row.count);
  });
  return { [WEIGHTS]: float32(data, [rows.length, 1, tokens]) };
}

/** Embeddings `[batch, width]` of a batch whose targets have weights. */
export function embeddingsBy({ output, isPerToken }: SequenceFeature): EmbeddingsOf {
  return (outputs, targets) => {
    const states = outputs[output];
    const data = states?.data;
    if (!(data instanceof Float32Array) || states!.dims.length !== (isPerToken ? 3 : 2)) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Features must be float32 ${isPerToken ? '[batch, tokens, width]' : '[batch, width]'}, but the session gave ${states ? `${states.type} [${states.dims.join(', ')}]` : 'nothing'} as "${output}". Name another output.`,
      );
    }
    if (!data.every(Number.isFinite)) {
      throw new OnnxLoraError(
        'LOSS_NOT_FINITE',
        `The features "${output}" hold values that are no numbers. The adapter has probably diverged: train it again with a lower learning rate.`,
      );
    }
    if (!isPerToken) return float32(data, states!.dims);
    const [batch, tokens, width] = states!.dims as readonly [number, number, number];
    const weights = targets[WEIGHTS]!.data as Float32Array;
    const sums = new Float32Array(batch * width);
    for (let row = 0; row < batch; row++) {
      for (let token = 0; token < tokens; token++) {
        const weight = weights[row * tokens + token]!;
        if (weight === 0) continue;
        const at = (row * tokens + token) * width;
        for (let i = 0; i < width; i++) sums[row * width + i]! += weight * data[at + i]!;
      }
    }
    return float32(sums, [batch, width]);
  };
}

/** The same as a graph fragment. */
export function embeddingValue(
  g: GraphBuilder,
  outputs: Readonly<Record<string, Value>>,
  targets: Readonly<Record<string, Value>>,
  { output, isPerToken }: SequenceFeature,
): Value {
  const states = outputs[output]!;
  return isPerToken ? g.Squeeze(g.MatMul(targets[WEIGHTS]!, states), [1]) : states;
}
