/** @file One vector per sequence, or one per residue, from any model of sequences. */

import { type AdapterSession, float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { lengthBuckets, type RunnableModel, type RunnableOptions, unitTensor } from '@onnx-lora/sdk/tasks';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import { rowOfOutputs } from '../records/rowOfOutputs.ts';
import { openSequenceInput, type SequenceInput } from '../sequenceInput.ts';
import type { LengthOptions } from '../sequenceTask.ts';
import { type FeatureOptions, type SequenceFeature, sequenceFeature } from './sequenceFeature.ts';
import { pooledStates, type StateRow, tokenStates } from './tokenStates.ts';

/** Rows of a batch, and most of its tokens: attention takes memory by their square. */
const BATCH_ROWS = 32;
const BATCH_TOKENS = 8192;

/** Options of {@link openSequenceEmbedder}. */
export interface SequenceEmbedderOptions extends RunnableOptions, FeatureOptions, LengthOptions {
  /** The tokenizer of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
  /** Divides every embedding by its length; false by default. */
  readonly normalize?: boolean | undefined;
}

/** A model with its adapters, ready to embed. */
export interface SequenceEmbedder extends AsyncDisposable {
  /**
   * Embeddings float32 `[sequences, width]`, in their order.
   *
   * @param adapter name of the adapter among those that the embedder was opened with; null or absent is the base
   * @throws OnnxLoraError `INPUT_INVALID` without sequences; `DATA_INVALID` for one that is too long, where such are refused
   */
  embed(sequences: readonly (string | SequenceRecord)[], adapter?: string | null): Promise<Tensor>;
  /**
   * Embeddings of the tokens of one sequence, special ones left out: float32 `[tokens, width]`. For a model whose tokens are single
   * residues that is one per residue.
   *
   * @throws OnnxLoraError `CONFIG_INVALID` where the feature has one vector for the whole sequence
   */
  embedTokens(sequence: string | SequenceRecord, adapter?: string | null): Promise<Tensor>;
  /** Frees the session. */
  release(): Promise<void>;
  /** As {@link SequenceEmbedder.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Loads a model of proteins, nucleotides or molecules as one that makes embeddings.
 *
 * @example
 * ```ts
 * const embedder = await openSequenceEmbedder(model);
 * const vectors = await embedder.embed(['MKTAYIAK', 'MKLLV']);
 * await embedder.release();
 * ```
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, `FILE_NOT_FOUND` of the tokenizer; `MODEL_UNSUPPORTED` for a model that reads no tokens or
 *   gives no features; others as `model.session`
 */
export async function openSequenceEmbedder(
  model: RunnableModel,
  options: SequenceEmbedderOptions = {},
): Promise<SequenceEmbedder> {
  const { output, pool = 'mean', tokenizer, normalize = false, maxLength, tooLong, overlap, ...load } = options;
  const feature = sequenceFeature(model, output);
  const input = await openSequenceInput(model, { tokenizer, maxLength, tooLong, overlap });
  const whole = feature.inner.length > 0 ? model.withOutputs(feature.inner) : model;
  const session = await whole.session(load);
  return {
    embed: async (sequences, adapter = null) => {
      if (sequences.length === 0) {
        throw new OnnxLoraError('INPUT_INVALID', 'There are no sequences to embed. Give at least one.');
      }
      const vectors = new Array<Float32Array>(sequences.length);
      for await (const { record, rows } of statesOf({ input, feature, session }, sequences, adapter))
        vectors[record] = pooledStates(rows, feature, pool);
      const width = vectors[0]!.length;
      const data = new Float32Array(sequences.length * width);
      vectors.forEach((vector, i) => data.set(vector, i * width));
      const all = float32(data, [sequences.length, width]);
      return normalize ? unitTensor(all) : all;
    },
    embedTokens: async (sequence, adapter = null) => {
      requirePerToken(feature);
      for await (const { rows } of statesOf({ input, feature, session }, [sequence], adapter)) {
        const { count, width, data } = tokenStates(rows, feature);
        const all = float32(data, [count, width]);
        return normalize ? unitTensor(all) : all;
      }
      throw new RangeError('A sequence has at least one row.');
    },
    release: () => session.release(),
    [Symbol.asyncDispose]: () => session.release(),
  };
}

/** @throws OnnxLoraError `CONFIG_INVALID` where the feature has one vector for the whole sequence */
export function requirePerToken({ output, isPerToken }: SequenceFeature): void {
  if (isPerToken) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${output}" has one vector per sequence and none for its residues. Name an output of [batch, tokens, width].`,
  );
}

interface Parts {
  readonly input: SequenceInput;
  readonly feature: SequenceFeature;
  readonly session: AdapterSession;
}

/** What the model gives for each record, as soon as its last row is computed. */
async function* statesOf(
  { input, feature, session }: Parts,
  sequences: readonly (string | SequenceRecord)[],
  adapter: string | null,
): AsyncGenerator<{ readonly record: number; readonly rows: readonly StateRow[] }> {
  const own = sequences.map((each, i) => input.rows(typeof each === 'string' ? recordOf(each, i) : each));
  const all = own.flatMap((rows, record) => rows.map((row, place) => ({ row, record, place })));
  const found = own.map((rows) => new Array<StateRow>(rows.length));
  const missing = own.map((rows) => rows.length);
  const lengths = all.map(({ row }) => row.ids.length);
  const isPadded = input.ports.mask !== undefined || input.ports.length !== undefined;
  for (const batch of lengthBuckets(lengths, { rows: BATCH_ROWS, tokens: BATCH_TOKENS, isPadded })) {
    const feeds = input.feeds(batch.map((i) => all[i]!.row));
    const outputs = await session.run(feeds, { adapter, fetches: [feature.output] });
    for (const [at, i] of batch.entries()) {
      const { row, record, place } = all[i]!;
      found[record]![place] = { row, found: rowOfOutputs(outputs, at) };
      missing[record]!--;
      if (missing[record]! > 0) continue;
      yield { record, rows: found[record]! };
      found[record] = [];
    }
  }
}

function recordOf(sequence: string, index: number): SequenceRecord {
  return { id: String(index + 1), sequence, where: `sequence ${index + 1}` };
}
