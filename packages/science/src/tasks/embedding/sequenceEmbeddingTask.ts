/** @file Embeddings of sequences for the command line. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type AnsweringFactory, answeringTask, retrievalSettings } from '@onnx-lora/sdk/tasks';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { embeddingPredictor, type SequenceEmbeddingOptions as Asked, sequenceFactory } from '@onnx-lora/sequences';
import type { SequenceDataOptions } from '../../data/sequenceRecord.ts';

import { sequenceRetrieval, type SequenceRetrievalOptions } from './sequenceRetrieval.ts';
import { sequenceDomain, sequenceSettings } from '../../domain.ts';

/** What files are answered about with. */
type SequenceEmbeddingOptions = Asked & SequenceDataOptions;

const embeddingSettings: SettingRows<SequenceEmbeddingOptions> = {
  pool: {
    kind: 'choice',
    of: ['mean', 'first', 'residues'],
    description:
      'mean (of all residues), first (the state of <cls>), or when predicting residues (one for each). What modules.json says by default, else mean.',
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

/**
 * The task `sequence-embedding`: it answers with `{ id, embedding }`, or `{ id, position, residue, embedding }` for each residue, and
 * has nothing to learn.
 */
export const sequenceEmbeddingTask: AnsweringFactory = sequenceFactory<SequenceEmbeddingOptions>(sequenceDomain, {
  name: 'sequence-embedding',
  description:
    'One vector per sequence, or per residue, written to .npz, .safetensors or .csv; to predict with, not to train.',
  settings: embeddingSettings,
  task: () =>
    answeringTask(
      'sequence-embedding',
      'To train or measure embeddings on sequences with labels, groups or partners, take the task sequence-retrieval',
    ),
  predictor: (model, options, given) => embeddingPredictor(sequenceDomain, model, options, given),
});

/** Makes `sequence-retrieval` tasks, and answers with embeddings. */
export const sequenceRetrievalTask: AnsweringFactory = sequenceFactory<
  Omit<SequenceRetrievalOptions, 'pool'> & SequenceEmbeddingOptions
>(sequenceDomain, {
  name: 'sequence-retrieval',
  description:
    'Embeddings in which sequences of one label or group, or the two of a pair, lie together; data as for sequence-classification.',
  // Groups, each of several sequences, whose loss needs them all at once.
  defaults: { batchSize: 16, epochs: 10, lr: 1e-3, warmupSteps: 0.1 },
  settings: { ...retrievalSettings('Sequences of one kind'), ...embeddingSettings },
  task: (data, { pool, ...options }) => {
    if (pool !== 'residues') return sequenceRetrieval(data, { ...options, pool });
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'The setting pool is "residues", of which predictors answer with a vector for each. To train, take mean or first.',
    );
  },
  predictor: (model, options, given) => embeddingPredictor(sequenceDomain, model, options, given),
});
