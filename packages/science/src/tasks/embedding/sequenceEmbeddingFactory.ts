/** @file Embeddings of sequences for the command line. */

import { answersOnly, choice, type Predictor, type RunnableModel, type Task } from '@onnx-lora/sdk/tasks';
import type { PredictorInput, PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { dataSettings } from '../../data/dataSettings.ts';
import { lengthSettings, sequenceOptions, sequenceSettings } from '../sequenceSettings.ts';
import { sequenceFiles } from '../records/sequencePredictor.ts';
import { embeddingPredictor } from './sequenceEmbedder.ts';
import { sequenceRetrieval } from './sequenceRetrieval.ts';

const outputSetting: TaskSetting = {
  name: 'output',
  kind: 'text',
  description: 'The graph output that is the feature; before-head is what a head reads. last_hidden_state by default.',
};
const normalizeSetting: TaskSetting = {
  name: 'normalize',
  kind: 'flag',
  description: 'Divides every embedding by its length.',
};
const poolSetting: TaskSetting = {
  name: 'pool',
  kind: 'text',
  description:
    'mean (of all residues; default), first (the state of <cls>), or when predicting residues (one for each).',
};

/** The task `sequence-embedding`: it answers with embeddings, and has nothing to learn. */
export class SequenceEmbeddingFactory implements TaskFactory {
  readonly name = 'sequence-embedding';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'One vector per sequence, or per residue, written to .npz, .safetensors or .csv; to predict with, not to train.';
  readonly settings: readonly TaskSetting[] = [
    poolSetting,
    outputSetting,
    normalizeSetting,
    ...lengthSettings,
    ...dataSettings,
  ];

  /** A task that says, when it is prepared, what to take instead. */
  create(_options: TaskOptions): Task {
    return answersOnly(
      this.name,
      'To train or measure embeddings on sequences with labels, groups or partners, take the task sequence-retrieval.',
    );
  }

  /** Answers `{ id, embedding }`, or `{ id, position, residue, embedding }` for each residue. */
  predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return embeddingPredictor(model, options);
  }
}

/** Makes `sequence-retrieval` tasks, and answers with embeddings. */
export class SequenceRetrievalFactory implements TaskFactory {
  readonly name = 'sequence-retrieval';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'Embeddings in which sequences of one label or group, or the two of a pair, lie together; data as for sequence-classification.';
  /** Groups, each of several sequences, whose loss needs them all at once. */
  readonly defaults = { batchSize: 16, epochs: 10, lr: 1e-3, warmupSteps: 0.1 } as const;
  readonly settings: readonly TaskSetting[] = [
    { name: 'loss', kind: 'text', description: 'contrastive (default), triplet or info-nce.' },
    { name: 'temperature', kind: 'number', description: 'What cosines are divided by; 0.1 by default.' },
    { name: 'margin', kind: 'number', description: 'Of triplets; 0.2 by default.' },
    {
      name: 'perGroup',
      kind: 'number',
      description: 'Sequences of one kind that are trained on together; 2 by default.',
    },
    poolSetting,
    outputSetting,
    normalizeSetting,
    ...sequenceSettings,
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { loss, temperature, margin, perGroup, output, pool } = options.settings ?? {};
    const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
    return sequenceRetrieval(options.data, {
      ...sequenceOptions(options),
      ...(output === undefined ? {} : { output: String(output) }),
      pool: choice('pool', pool, ['mean', 'first']),
      loss: choice('loss', loss, ['contrastive', 'triplet', 'info-nce']),
      temperature: number(temperature),
      margin: number(margin),
      perGroup: number(perGroup),
    });
  }

  /** Answers as `sequence-embedding` does. */
  predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return embeddingPredictor(model, options);
  }
}
