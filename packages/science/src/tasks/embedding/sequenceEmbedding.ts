/** @file Embeddings of sequences: the embedder, metric learning, and both tasks of the command line. */

import {
  type AnsweringFactory,
  predictOnlyTask,
  type RetrievalScores,
  retrievalSettings,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import {
  embeddingPredictor,
  openEmbedderOf,
  retrieval,
  type RetrievalOptions,
  type SequenceEmbedder,
  type SequenceEmbedderOptions,
  type SequenceEmbeddingOptions as Asked,
  sequenceFactory,
  type SequenceGroup,
} from '@onnx-lora/sequences';
import { sequenceDomain, sequenceSettings, type SequenceTaskOptions } from '../../domain.ts';
import type { SequenceDataOptions, SequenceRecord, SequenceSource } from '../../data/sequenceRecord.ts';

/**
 * Loads a model of proteins, nucleotides or molecules as an embedder.
 * @example
 * ```ts
 * const embedder = await openSequenceEmbedder(model);
 * const vectors = await embedder.embed(['MKTAYIAK', 'MKLLV']);
 * await embedder.release();
 * ```
 * @throws OnnxLoraError `CONFIG_INVALID`, `FILE_NOT_FOUND` of the tokenizer; `MODEL_UNSUPPORTED` for a model without
 * token inputs or features; others as `model.session`
 */
export function openSequenceEmbedder(
  model: RunnableModel,
  options?: SequenceEmbedderOptions,
): Promise<SequenceEmbedder> {
  return openEmbedderOf(sequenceDomain, model, options);
}

/** Options of {@link sequenceRetrieval}. */
export interface SequenceRetrievalOptions extends SequenceTaskOptions, RetrievalOptions {}

/**
 * Metric learning: sequences of one kind are drawn together, others pushed apart. Kinds are labels, or groups where
 * labels are missing; the two of a pair belong together. An example is a group of `perGroup` sequences of one kind.
 * Held-out sequences, whose kinds may be unseen in training, search each other.
 * @example
 * ```ts
 * const run = await train(model, { task: sequenceRetrieval('families.csv', { validation: 0.2 }), lora: { r: 8 } });
 * ```
 */
export function sequenceRetrieval(
  source: SequenceSource,
  options: SequenceRetrievalOptions = {},
): Task<SequenceGroup<SequenceRecord>, RetrievalScores> {
  return retrieval(sequenceDomain, source, options);
}

type SequenceEmbeddingOptions = Asked & SequenceDataOptions;

const embeddingSettings: SettingRows<SequenceEmbeddingOptions> = {
  pool: {
    kind: 'choice',
    of: ['mean', 'first', 'residues'],
    description:
      'mean (of all residues), first (the state of <cls>), or when predicting residues (one for each). By default as modules.json says, else mean.',
  },
  output: {
    kind: 'text',
    description:
      'The graph output that is the feature; before-head is what a head reads. sentence_embedding by default, else last_hidden_state.',
  },
  normalize: {
    kind: 'flag',
    description: 'Divides every embedding by its length; by default where modules.json says so.',
  },
  ...sequenceSettings,
};

/** Predicts `{ id, embedding }`, or `{ id, position, residue, embedding }` per residue; nothing is trained. */
export const sequenceEmbeddingTask: AnsweringFactory = sequenceFactory<SequenceEmbeddingOptions>(sequenceDomain, {
  name: 'sequence-embedding',
  description:
    'One vector per sequence, or per residue, written to .npz, .safetensors or .csv; to predict with, not to train.',
  settings: embeddingSettings,
  task: () =>
    predictOnlyTask(
      'sequence-embedding',
      'To train or measure embeddings on sequences with labels, groups or partners, take the task sequence-retrieval',
    ),
  predictor: (model, options, given) => embeddingPredictor(sequenceDomain, model, options, given),
});

/** The task `sequence-retrieval` and its predictor of embeddings. */
export const sequenceRetrievalTask: AnsweringFactory = sequenceFactory<
  Omit<SequenceRetrievalOptions, 'pool'> & SequenceEmbeddingOptions
>(sequenceDomain, {
  name: 'sequence-retrieval',
  description:
    'Embeddings in which sequences of one label or group, or the two of a pair, lie together; data as for sequence-classification.',
  // An example is a group of sequences, and the loss needs them all at once.
  defaults: { batchSize: 16, epochs: 10, lr: 1e-3, warmupSteps: 0.1 },
  settings: { ...retrievalSettings('Sequences of one kind'), ...embeddingSettings },
  task: (data, { pool, ...options }) => {
    if (pool !== 'residues') return sequenceRetrieval(data, { ...options, pool });
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'The setting pool is "residues", so predictors answer with a vector per residue. To train, take mean or first.',
    );
  },
  predictor: (model, options, given) => embeddingPredictor(sequenceDomain, model, options, given),
});
