/** @file Embeddings of what nobody has labelled: of lists in a program, and as answers of predictors. */

import { OnnxLoraError } from '../../errors.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { recordPredictor } from '../../predict/recordPredictor.ts';
import type { EmbeddingPrediction } from '../../plugin/predictions.ts';
import type { RecordProcessor, Source } from '../../plugin/predictor.ts';
import type { RunnableModel, RunnableOptions } from '../../plugin/taskModel.ts';
import { joinVectors, unitTensor, vectorsOf } from './rows.ts';

/** Batches of what is read when it is fed, such as files, that are waited for together. */
const LOOK_AHEAD = 16;

/** A model with its adapters, ready to embed. */
export interface Embedder<Item> extends AsyncDisposable {
  /**
   * Embeddings float32 `[items, width]`, in their order, whatever was computed together.
   *
   * @param adapter name of the adapter among those that the embedder was opened with; null or absent is the base
   * @param onEmbedding called after each with the number of those that are done
   * @throws OnnxLoraError `INPUT_INVALID` without items; as the processor, naming what cannot be read
   */
  embed(items: readonly Item[], adapter?: string | null, onEmbedding?: (done: number) => void): Promise<Tensor>;
  /** Frees the session. */
  release(): Promise<void>;
  /** As {@link Embedder.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of {@link openEmbedder}. */
export interface EmbedderOptions extends RunnableOptions {
  /** What is embedded, in the plural: `images`. */
  readonly noun: string;
  /** Most rows of a batch; the processor's own choice by default. */
  readonly batchSize?: number | undefined;
}

/**
 * An embedder of whatever the processor reads, one by one: `read` makes an item of each, and each answer has its `embedding`, a
 * `Float32Array`. Its `records` are for predictors alone.
 *
 * @throws OnnxLoraError as `model.session`
 */
export async function openEmbedder<From, Item, Row, Found>(
  model: RunnableModel,
  processor: RecordProcessor<Item, Row, Found, From>,
  { noun, batchSize, adapters = {}, ...load }: EmbedderOptions,
): Promise<Embedder<From>> {
  const lookAhead = processor.lengths ? {} : { lookAhead: LOOK_AHEAD };
  // What is embedded stands where a predictor has files.
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

/** Answers `{ width, embedding }` for each row of embeddings `[rows, width]`, of length 1 where they are normalised. */
export function embeddingAnswers(embeddings: Tensor, normalize: boolean): EmbeddingPrediction[] {
  return vectorsOf(normalize ? unitTensor(embeddings) : embeddings).map((embedding) => ({
    width: embedding.length,
    embedding,
  }));
}
