/** @file Embeddings of sound for the command line. */

import {
  answeringTask,
  type Predictor,
  recordPredictor,
  retrievalSettings,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import {
  type PredictorInput,
  type PredictorOptions,
  type SettingRow,
  settingsOf,
  type SettingTable,
  type TaskFactory,
  type TaskOptions,
} from '@onnx-lora/sdk/plugin';
import { soundSettings, SoundTaskFactory } from '../soundTaskFactory.ts';
import { type AudioEmbedderOptions, embeddingProcessor } from './audioEmbedder.ts';
import { audioRetrieval, type AudioRetrievalOptions } from './audioRetrieval.ts';

const outputSetting: SettingRow<string> = {
  kind: 'text',
  description: 'The graph output that is the feature; before-head is what a classifier reads.',
};

/** What answers with embeddings. */
abstract class EmbeddingFactory<
  Options extends Pick<AudioEmbedderOptions, 'output'>,
> extends SoundTaskFactory<Options> {
  /** Recordings, from files or a stream. */
  readonly input: PredictorInput = { streams: true };

  /** Answers `{ width, embedding }`, of length 1. */
  async predictor(model: RunnableModel, { settings, ...options }: PredictorOptions = {}): Promise<Predictor> {
    const { output } = this.settings.read(settings);
    return recordPredictor(model, await embeddingProcessor(model, { ...this.reading, output }), options);
  }
}

/** The task `audio-embedding`: it answers with embeddings, and has nothing to learn. */
export class AudioEmbeddingFactory
  extends EmbeddingFactory<Pick<AudioEmbedderOptions, 'output'>>
  implements TaskFactory
{
  readonly name = 'audio-embedding';
  readonly description = 'One vector per recording, from any speech encoder; to predict with, not to train.';
  readonly settings: SettingTable<Pick<AudioEmbedderOptions, 'output'>> = settingsOf({ output: outputSetting });

  /** A task that says, when it is prepared, what to take instead. */
  create(_options: TaskOptions): Task {
    return answeringTask(
      this.name,
      'To train or measure embeddings on recordings with labels or speakers, take the task audio-retrieval',
    );
  }
}

/** Makes `audio-retrieval` tasks, and answers with embeddings. */
export class AudioRetrievalFactory extends EmbeddingFactory<AudioRetrievalOptions> implements TaskFactory {
  readonly name = 'audio-retrieval';
  /** Groups, each of several recordings, whose loss needs them all at once. */
  readonly defaults = { batchSize: 8 } as const;
  readonly description =
    'Embeddings in which recordings of one label, or one speaker, lie together; the data is as for audio-classification.';
  readonly settings: SettingTable<AudioRetrievalOptions> = settingsOf({
    output: outputSetting,
    ...retrievalSettings('Recordings of one kind'),
    ...soundSettings,
  });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return audioRetrieval(options.data, this.optionsOf(options));
  }
}
