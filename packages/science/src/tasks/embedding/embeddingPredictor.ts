/** @file Embeddings of the records of files, for `predict`. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Prediction, Predictor, RunnableModel } from '@onnx-lora/sdk/tasks';
import type { PredictorOptions } from '@onnx-lora/sdk/plugin';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import { sequencePredictor } from '../records/sequencePredictor.ts';
import { openSequenceInput } from '../sequenceInput.ts';
import type { SequenceTaskOptions } from '../sequenceTask.ts';
import { embeddingEndings, embeddingWriter } from './files/embeddingWriter.ts';
import { requirePerToken } from './sequenceEmbedder.ts';
import { sequenceFeature } from './sequenceFeature.ts';
import { pooledStates, tokenStates } from './tokenStates.ts';

/** What is answered with. */
export interface EmbeddingOptions extends SequenceTaskOptions {
  /** The graph output that is the feature; that of `sequenceFeature` by default. */
  readonly output?: string | undefined;
  /** `mean` by default; `residues` answers with one vector for each. */
  readonly pool?: 'mean' | 'first' | 'residues' | undefined;
  /** Divides every embedding by its length; false by default. */
  readonly normalize?: boolean | undefined;
}

/**
 * Answers `{ id, embedding }`; with the pool `residues` one answer per residue, `{ id, position, residue, embedding }`.
 * They are written to .npz and .safetensors files too.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for residues of a model whose tokens are several letters; as `sequenceFeature`,
 *   `openSequenceInput`, `model.session`
 */
export async function embeddingPredictor(
  model: RunnableModel,
  options: Omit<PredictorOptions, 'settings'>,
  { output, pool = 'mean', normalize = false, maxLength, tooLong, overlap, ...data }: EmbeddingOptions,
): Promise<Predictor> {
  const feature = sequenceFeature(model, output);
  const input = await openSequenceInput(model, { maxLength, tooLong, overlap });
  const shown = (vector: Float32Array): Float32Array => (normalize ? unit(vector) : vector);
  const request = {
    ...options,
    model,
    input,
    data,
    outputs: [feature.output],
    rows: input.rows,
    writerEndings: embeddingEndings,
  };
  if (pool !== 'residues') {
    return sequencePredictor({
      ...request,
      answers: ({ id }, rows) => [{ id, embedding: shown(pooledStates(rows, feature, pool)) }],
      writer: (path) => embeddingWriter(path, 'sequence'),
    });
  }
  requirePerToken(feature);
  if (!input.tokenizer.isPerLetter) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `Tokens of "${model.name}" stand for several letters, so there is no embedding for each residue. Take the pool mean or first.`,
    );
  }
  return sequencePredictor({
    ...request,
    // States of all tokens are large.
    lookAhead: 1,
    count: (record) => {
      const rows = input.rows(record);
      return Math.max(...rows.map(({ from, count }) => from + count)) - Math.min(...rows.map(({ from }) => from));
    },
    answers: (record, rows) => {
      const { count, width, data } = tokenStates(rows, feature);
      const { starts } = input.tokenizer.tokens(record.sequence);
      return Array.from({ length: count }, (_, at) =>
        residueAnswer(record, starts[at]!, shown(data.slice(at * width, (at + 1) * width))),
      );
    },
    writer: (path) => embeddingWriter(path, 'residue'),
  });
}

function residueAnswer({ id, sequence }: SequenceRecord, at: number, embedding: Float32Array): Prediction {
  return { id, position: at + 1, residue: sequence[at]!, embedding };
}

/** Of length 1; zeros stay. */
function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}
