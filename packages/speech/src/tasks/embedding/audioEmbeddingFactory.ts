/** @file Embeddings of sound for the command line. */

import {
  answersOnly,
  choice,
  type Predictor,
  recordPredictor,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import type {
  PredictorInput,
  PredictorOptions,
  PreprocessorFactory,
  TaskFactory,
  TaskOptions,
  TaskSetting,
} from '@onnx-lora/sdk/plugin';
import type { AudioReader } from '../../audio/audio.ts';
import { soundSettings, soundTaskOptions } from '../soundSettings.ts';
import { embeddingProcessor } from './audioEmbedder.ts';
import { audioRetrieval } from './audioRetrieval.ts';

const outputSetting: TaskSetting = {
  name: 'output',
  kind: 'text',
  description: 'The graph output that is the feature; before-head is what a classifier reads.',
};

/** What answers with embeddings. */
abstract class EmbeddingFactory {
  /** The task's name on the command line. */
  abstract readonly name: string;
  /** Recordings, from files or a stream. */
  readonly input: PredictorInput = { streams: true };
  /** How recordings become features. */
  protected readonly reading: { readonly reader: AudioReader; readonly preprocessors: readonly PreprocessorFactory[] };

  /** `preprocessors` are asked in order. */
  constructor(reader: AudioReader, preprocessors: readonly PreprocessorFactory[]) {
    this.reading = { reader, preprocessors };
  }

  /** Answers `{ width, embedding }`, of length 1. */
  async predictor(model: RunnableModel, { settings, ...options }: PredictorOptions = {}): Promise<Predictor> {
    const output = settings?.['output'];
    const named = output === undefined ? {} : { output: String(output) };
    return recordPredictor(model, await embeddingProcessor(model, { ...this.reading, ...named }), options);
  }
}

/** The task `audio-embedding`: it answers with embeddings, and has nothing to learn. */
export class AudioEmbeddingFactory extends EmbeddingFactory implements TaskFactory {
  readonly name = 'audio-embedding';
  readonly description = 'One vector per recording, from any speech encoder; to predict with, not to train.';
  readonly settings: readonly TaskSetting[] = [outputSetting];

  /** A task that says, when it is prepared, what to take instead. */
  create(_options: TaskOptions): Task {
    return answersOnly(
      this.name,
      'To train or measure embeddings on recordings with labels or speakers, take the task audio-retrieval.',
    );
  }
}

/** Makes `audio-retrieval` tasks, and answers with embeddings. */
export class AudioRetrievalFactory extends EmbeddingFactory implements TaskFactory {
  readonly name = 'audio-retrieval';
  /** Groups, each of several recordings, whose loss needs them all at once. */
  readonly defaults = { batchSize: 8 } as const;
  readonly description =
    'Embeddings in which recordings of one label, or one speaker, lie together; the data is as for audio-classification.';
  readonly settings: readonly TaskSetting[] = [
    outputSetting,
    { name: 'loss', kind: 'text', description: 'contrastive (default), triplet or info-nce.' },
    { name: 'temperature', kind: 'number', description: 'What cosines are divided by; 0.1 by default.' },
    { name: 'margin', kind: 'number', description: 'Of triplets; 0.2 by default.' },
    {
      name: 'perGroup',
      kind: 'number',
      description: 'Recordings of one kind that are trained on together; 2 by default.',
    },
    ...soundSettings,
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { loss, temperature, margin, perGroup, output } = options.settings ?? {};
    const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
    return audioRetrieval(options.data, {
      ...soundTaskOptions(options),
      ...this.reading,
      ...(output === undefined ? {} : { output: String(output) }),
      loss: choice('loss', loss, ['contrastive', 'triplet', 'info-nce']),
      temperature: number(temperature),
      margin: number(margin),
      perGroup: number(perGroup),
    });
  }
}
