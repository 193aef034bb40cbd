/** @file Embeddings of sequences for the command line. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { answeringTask, type Predictor, retrievalSettings, type RunnableModel, type Task } from '@onnx-lora/sdk/tasks';
import {
  type PredictorOptions,
  type SettingRows,
  settingsOf,
  type SettingTable,
  type TaskFactory,
  type TaskOptions,
} from '@onnx-lora/sdk/plugin';
import { SequenceTaskFactory, sequenceSettings } from '../sequenceTaskFactory.ts';
import { type SequenceEmbeddingOptions, embeddingPredictor } from './sequenceEmbedder.ts';
import { sequenceRetrieval, type SequenceRetrievalOptions } from './sequenceRetrieval.ts';

const embeddingSettings: SettingRows<SequenceEmbeddingOptions> = {
  pool: {
    kind: 'choice',
    of: ['mean', 'first', 'residues'],
    description:
      'mean (of all residues; default), first (the state of <cls>), or when predicting residues (one for each).',
  },
  output: {
    kind: 'text',
    description:
      'The graph output that is the feature; before-head is what a head reads. last_hidden_state by default.',
  },
  normalize: { kind: 'flag', description: 'Divides every embedding by its length.' },
  ...sequenceSettings,
};

/** The task `sequence-embedding`: it answers with embeddings, and has nothing to learn. */
export class SequenceEmbeddingFactory extends SequenceTaskFactory<SequenceEmbeddingOptions> implements TaskFactory {
  readonly name = 'sequence-embedding';
  readonly description =
    'One vector per sequence, or per residue, written to .npz, .safetensors or .csv; to predict with, not to train.';
  readonly settings: SettingTable<SequenceEmbeddingOptions> = settingsOf(embeddingSettings);

  /** A task that says, when it is prepared, what to take instead. */
  create(_options: TaskOptions): Task {
    return answeringTask(
      this.name,
      'To train or measure embeddings on sequences with labels, groups or partners, take the task sequence-retrieval',
    );
  }

  /** Answers `{ id, embedding }`, or `{ id, position, residue, embedding }` for each residue. */
  predictor(model: RunnableModel, { settings, ...options }: PredictorOptions = {}): Promise<Predictor> {
    return embeddingPredictor(model, options, this.settings.read(settings));
  }
}

/** Options of the task, and of what is answered. */
export type SequenceRetrievalFactoryOptions = Omit<SequenceRetrievalOptions, 'pool'> & SequenceEmbeddingOptions;

/** Makes `sequence-retrieval` tasks, and answers with embeddings. */
export class SequenceRetrievalFactory
  extends SequenceTaskFactory<SequenceRetrievalFactoryOptions>
  implements TaskFactory
{
  readonly name = 'sequence-retrieval';
  readonly description =
    'Embeddings in which sequences of one label or group, or the two of a pair, lie together; data as for sequence-classification.';
  /** Groups, each of several sequences, whose loss needs them all at once. */
  readonly defaults = { batchSize: 16, epochs: 10, lr: 1e-3, warmupSteps: 0.1 } as const;
  readonly settings: SettingTable<SequenceRetrievalFactoryOptions> = settingsOf({
    ...retrievalSettings('Sequences of one kind'),
    ...embeddingSettings,
  });

  /** @throws OnnxLoraError `CONFIG_INVALID` for the pool `residues` */
  create(options: TaskOptions): Task {
    const { pool, ...own } = this.optionsOf(options);
    if (pool !== 'residues') return sequenceRetrieval(options.data, { ...own, pool });
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'The setting pool is "residues", of which predictors answer with a vector for each. To train, take mean or first.',
    );
  }

  /** Answers as `sequence-embedding` does. */
  predictor(model: RunnableModel, { settings, ...options }: PredictorOptions = {}): Promise<Predictor> {
    return embeddingPredictor(model, options, this.settings.read(settings));
  }
}
