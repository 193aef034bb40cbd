/** @file Embeddings of unlabelled data, in a program or as answers of a predictor. */

import { OnnxLoraError } from '../../errors.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { recordPredictor } from '../../predict/recordPredictor.ts';
import type { EmbeddingPrediction } from '../../plugin/predictions.ts';
import type { RecordProcessor, Source } from '../../plugin/predictor.ts';
import type { RunnableModel, RunnableOptions } from '../../plugin/taskModel.ts';
import { joinVectors, unitTensor, vectorsOf } from './rows.ts';

/** Batches read ahead for items that are loaded on demand, such as files. */
const LOOK_AHEAD = 16;

/** A loaded model that computes embeddings. */
export interface Embedder<Item> extends AsyncDisposable {
  /**
   * Embeddings float32 `[items, width]`, in order.
   * @param adapter name of an adapter that the embedder was opened with; null, the default, is the base
   * @param onEmbedding called after each embedding with the number done
   * @throws OnnxLoraError `INPUT_INVALID` without items; as the processor, naming an item that cannot be read
   */
  embed(items: readonly Item[], adapter?: string | null, onEmbedding?: (done: number) => void): Promise<Tensor>;
  /** Frees the session. */
  release(): Promise<void>;
  /** As {@link Embedder.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of {@link openEmbedder}. */
export interface EmbedderOptions extends RunnableOptions {
  /** Items in the plural: `images`. */
  readonly noun: string;
  /** Largest number of rows in a batch; the processor chooses by default. */
  readonly batchSize?: number | undefined;
}

/** Opens an embedder for a processor whose answers have an `embedding`, a `Float32Array`. @throws as `model.session` */
export async function openEmbedder<From, Item, Row, Found>(
  model: RunnableModel,
  processor: RecordProcessor<Item, Row, Found, From>,
  { noun, batchSize, adapters = {}, ...load }: EmbedderOptions,
): Promise<Embedder<From>> {
  const lookAhead = processor.lengths ? {} : { lookAhead: LOOK_AHEAD };
  // Inputs take the place of a predictor's files.
  const own = { ...lookAhead, ...processor, records: undefined } as unknown as RecordProcessor<Item, Row, Found>;
  const predictor = await recordPredictor(model, own, { adapters, load });
  const size = batchSize === undefined ? {} : { batchSize };
  return {
    embed: async (items, adapter = null, onEmbedding) => {
      if (items.length === 0)
        throw new OnnxLoraError('INPUT_INVALID', `There are no ${noun} to embed. Give at least one.`);
      const rows: Float32Array[] = [];
      for await (const { prediction } of predictor.predict(items as readonly Source[], { adapter, ...size })) {
        const done = rows.push(prediction['embedding'] as Float32Array);
        onEmbedding?.(done);
      }
      return joinVectors(rows);
    },
    release: () => predictor.release(),
    [Symbol.asyncDispose]: () => predictor.release(),
  };
}

/** Answers `{ width, embedding }` per row of `[rows, width]`, optionally L2-normalised. */
export function embeddingAnswers(embeddings: Tensor, normalize: boolean): EmbeddingPrediction[] {
  return vectorsOf(normalize ? unitTensor(embeddings) : embeddings).map((embedding) => ({
    width: embedding.length,
    embedding,
  }));
}
