/** @file NEFTune: noise on token embeddings against memorising answers. */

import { type Feeds, OnnxLoraError } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import { drawSeed, Random } from '@onnx-lora/sdk/data';
import type { PreparedTask, TaskModel } from '@onnx-lora/sdk/tasks';

/** Noise for the batches of a run. */
export interface EmbeddingNoise {
  readonly inside: NonNullable<PreparedTask['inside']>;
  /** The noise of a batch with `length` tokens per row; none outside of training. */
  readonly targets: (
    rows: readonly { readonly segments: readonly number[]; readonly draw?: number | undefined }[],
    length: number,
  ) => Feeds;
}

/**
 * Uniform noise from −a to a, a = `alpha` / √(tokens · width), seeded by a row's draw: independent of its batch, and
 * the same in a resumed run. Padding gets none.
 * @param ids the input with token ids
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model whose embeddings are not found
 */
export function embeddingNoise(model: TaskModel, ids: string, alpha: number, seed = 0): EmbeddingNoise {
  const embeddings = model.lookupOf?.(ids);
  const width = embeddings?.dims?.at(-1);
  if (embeddings?.dims?.length !== 3 || typeof width !== 'number') {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" shows no embeddings [batch, tokens, width] of "${ids}" in its main graph, which get the noise of NEFTune. Leave neftune out, or export the model again as one graph without branches.`,
    );
  }
  return {
    inside: {
      [embeddings.name]: (g, own, { targets: { noise } }) =>
        noise
          ? g.Add(own, noise.type === own.type ? noise : g.Cast(noise, dataTypeNumber(own.type ?? 'float32')))
          : own,
    },
    targets: (rows, length) => {
      if (rows.some(({ draw }) => draw === undefined)) return {};
      const data = new Float32Array(rows.length * length * width);
      for (const [i, { segments, draw }] of rows.entries()) {
        const random = new Random(drawSeed(seed, draw!));
        let at = i * length * width;
        for (const tokens of segments) {
          const most = alpha / Math.sqrt(tokens * width);
          for (const end = at + tokens * width; at < end; at++) data[at] = most * (2 * random.next() - 1);
        }
      }
      return { noise: { type: 'float32', dims: [rows.length, length, width], data } };
    },
  };
}
