/** @file Embedders of sequences and of their residues, in programs and for files. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  type Embedder,
  embeddingEndings,
  embeddingWriter,
  openEmbedder,
  type Outputs,
  type Prediction,
  type Predictor,
  type RunnableModel,
  type RunnableOptions,
  unitVector,
} from '@onnx-lora/sdk/tasks';
import type { PredictorOptions } from '@onnx-lora/sdk/plugin';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { SequenceDomain } from '../../domain.ts';
import type { SequenceRecord } from '../../record.ts';
import { sequencePredictor, sequenceProcessor } from '../records/sequencePredictor.ts';
import { openSequenceInput, type SequenceNames } from '../sequenceInput.ts';
import type { TokenOptions, TokenRow } from '../sequenceTask.ts';
import {
  type FeatureOptions,
  pooledStates,
  requirePerToken,
  type SequencePooling,
  type StateRow,
  tokenStates,
} from './tokenStates.ts';
import { openVectors, type Vectors } from './vectors.ts';

/** Options of an embedder. */
export interface SequenceEmbedderOptions extends RunnableOptions, FeatureOptions, TokenOptions {
  /** Scales embeddings to length 1; by default as in `modules.json`, unless an output or pool is given. */
  readonly normalize?: boolean | undefined;
}

/** A loaded model that embeds sequences and tokens. */
export interface SequenceEmbedder extends Embedder<string | SequenceRecord> {
  /**
   * Embeds the tokens of one sequence, without special ones: float32 `[tokens, width]`.
   * @throws OnnxLoraError `CONFIG_INVALID` if the feature is one vector per sequence
   */
  embedTokens(sequence: string | SequenceRecord, adapter?: string | null): Promise<Tensor>;
}

interface Asked {
  readonly record: SequenceRecord;
  readonly isEach: boolean;
}

/**
 * Loads a model as an embedder.
 * @throws OnnxLoraError `CONFIG_INVALID`, `FILE_NOT_FOUND` for the tokenizer; `MODEL_UNSUPPORTED` for a model that
 * reads no tokens or gives no features; others like `model.session`
 */
export async function openEmbedderOf(
  names: SequenceNames,
  model: RunnableModel,
  options: SequenceEmbedderOptions = {},
): Promise<SequenceEmbedder> {
  const { output, pool, tokenizer, normalize, maxLength, tooLong, overlap, ...load } = options;
  const vectors = await openVectors(model, names, { output, pool, normalize });
  const input = await openSequenceInput(model, { tokenizer, maxLength, tooLong, overlap }, { ...names, embeds: true });
  const processor = sequenceProcessor<Asked>({
    input,
    outputs: [...new Set([vectors.feature.output, vectors.states.output])],
    rows: ({ record }) => input.rows(record),
    answers: ({ isEach }, rows) =>
      (isEach ? eachOf(rows, vectors, normalize) : [wholeOf(rows, vectors)]).map((embedding) => ({ embedding })),
  });
  const embedder = await openEmbedder<Asked, Asked, TokenRow, Outputs>(model, processor, {
    noun: names.noun,
    ...load,
  });
  return {
    ...embedder,
    embed: (sequences, ...rest) =>
      embedder.embed(
        sequences.map((each, i) => ({ record: recordOf(each, i), isEach: false })),
        ...rest,
      ),
    embedTokens: async (sequence, adapter) => {
      requirePerToken(vectors.states);
      return embedder.embed([{ record: recordOf(sequence, 0), isEach: true }], adapter);
    },
  };
}

/** Options of {@link embeddingPredictor}. */
export interface SequenceEmbeddingOptions extends TokenOptions {
  /** Graph output of the feature; the default is that of `openVectors`. */
  readonly output?: string | undefined;
  /** Pooling as in {@link FeatureOptions}; `residues` gives one vector per residue. */
  readonly pool?: SequencePooling | 'residues' | undefined;
  /** Scales embeddings to length 1; by default as in `modules.json`, unless an output or pool is given. */
  readonly normalize?: boolean | undefined;
}

/**
 * Predicts `{ id, embedding }`; with the pool `residues`, one `{ id, position, residue, embedding }` per residue. Also
 * writes .npz and .safetensors files.
 * @throws OnnxLoraError `CONFIG_INVALID` for residues of a model with tokens of several letters; like `openVectors`,
 * `openSequenceInput`, `model.session`
 */
export async function embeddingPredictor<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: RunnableModel,
  options: Omit<PredictorOptions, 'settings'>,
  {
    output,
    pool,
    normalize,
    tokenizer,
    maxLength,
    tooLong,
    overlap,
    ...data
  }: SequenceEmbeddingOptions & Partial<Options>,
): Promise<Predictor> {
  const vectors = await openVectors(model, domain, { output, pool, normalize });
  const { feature } = vectors;
  const input = await openSequenceInput(model, { tokenizer, maxLength, tooLong, overlap }, { ...domain, embeds: true });
  const isEach = pool === 'residues';
  if (isEach) {
    requirePerToken(feature);
    if (!input.tokenizer.isPerLetter) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `Tokens of "${model.name}" stand for several letters, so there is no embedding for each residue. Take the pool mean or first.`,
      );
    }
  }
  return sequencePredictor(domain, {
    ...options,
    model,
    input,
    data: data as Partial<Options>,
    outputs: [feature.output],
    rows: input.rows,
    // Token states are large.
    ...(isEach && { lookAhead: 1, count: (record) => ownTokens(input.rows(record)) }),
    answers: (record, rows) => {
      const { id, sequence } = record;
      if (!isEach) return [{ id, embedding: wholeOf(rows, vectors) }];
      const { starts } = input.tokenizer.tokens(sequence);
      return eachOf(rows, vectors, normalize).map((embedding, i): Prediction => {
        const at = starts[i]!;
        return { id, position: at + 1, residue: sequence[at]!, embedding };
      });
    },
    writer: (path) => embeddingWriter(path, isEach ? 'position' : 'whole'),
    writerEndings: embeddingEndings,
  });
}

function wholeOf(rows: readonly StateRow[], { feature, pool, isNormalized }: Vectors): Float32Array {
  const vector = pooledStates(rows, feature, pool);
  return isNormalized ? unitVector(vector) : vector;
}

function eachOf(rows: readonly StateRow[], { states }: Vectors, normalize = false): readonly Float32Array[] {
  const vectors = tokenStates(rows, states);
  return normalize ? vectors.map(unitVector) : vectors;
}

function ownTokens(rows: readonly StateRow['row'][]): number {
  return Math.max(...rows.map(({ from, count }) => from + count)) - Math.min(...rows.map(({ from }) => from));
}

function recordOf(sequence: string | SequenceRecord, index: number): SequenceRecord {
  if (typeof sequence !== 'string') return sequence;
  return { id: String(index + 1), sequence, where: `sequence ${index + 1}` };
}
