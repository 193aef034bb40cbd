/** @file NEFTune: noise on the embeddings of tokens, so that answers are learned by heart less. */

import { type Feeds, OnnxLoraError } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/core';
import { drawSeed } from '@onnx-lora/sdk/data';
import type { PreparedTask, TaskModel } from '@onnx-lora/sdk/tasks';

/** Noise for the batches of a run. */
export interface EmbeddingNoise {
  /** The value that it is added to. */
  readonly added: NonNullable<PreparedTask['added']>;
  /** The noise of a batch of so many tokens per row; none of what was not drawn in training. */
  readonly targets: (
    rows: readonly { readonly tokens: number; readonly draw?: number | undefined }[],
    length: number,
  ) => Feeds;
}

const NOISE = 'noise';

/**
 * Noise that is drawn for each row by its draw, so that it is the same whatever else is in the batch, and where a run goes on: evenly
 * distributed from −a to a, a = `alpha` / √(tokens · width). Padding gets none.
 *
 * @param ids the input with the ids of tokens
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model whose embeddings are not found
 */
export function embeddingNoise(model: TaskModel, ids: string, alpha: number, seed = 0): EmbeddingNoise {
  const embeddings = model.lookupOf?.(ids);
  const width = embeddings?.dims?.at(-1);
  if (embeddings?.dims?.length !== 3 || typeof width !== 'number') {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" shows no embeddings [batch, tokens, width] of "${ids}" in its main graph, which get the noise of NEFTune. Leave neftune out, or export the model anew as one graph without branches.`,
    );
  }
  return {
    added: { [NOISE]: embeddings.name },
    targets: (rows, length) => {
      if (rows.some(({ draw }) => draw === undefined)) return {};
      const data = new Float32Array(rows.length * length * width);
      for (const [i, { tokens, draw }] of rows.entries()) {
        const random = new Random(drawSeed(seed, draw!));
        const most = alpha / Math.sqrt(tokens * width);
        const from = i * length * width;
        for (let at = 0; at < tokens * width; at++) data[from + at] = most * (2 * random.next() - 1);
      }
      return { [NOISE]: { type: 'float32', dims: [rows.length, length, width], data } };
    },
  };
}
