/** @file The plugin of this package. */

import type { ClassPrediction, EmbeddingPrediction, LabelsPrediction, NumberPrediction } from '@onnx-lora/sdk';
import {
  token,
  type Token,
  tokenList,
  type TokenList,
  definePlugin,
  type Plugin,
  binding,
} from '@onnx-lora/sdk/plugin';
import type { AudioReader } from './audio/audio.ts';
import { audioFormats, AudioFileReader } from './audio/audioFileReader.ts';
import type { AudioFormat } from './audio/formats/audioFormat.ts';
import { speechFamilies } from './families/index.ts';
import { FeatureExtractorFactory } from './features/featureExtractorFactory.ts';
import {
  audioClassificationTask,
  audioRegressionTask,
  audioTaggingTask,
} from './tasks/classification/audioClassification.ts';
import { audioEmbeddingTask } from './tasks/embedding/audioEmbedder.ts';
import { audioRetrievalTask } from './tasks/embedding/audioRetrieval.ts';
import type { TranscriptPrediction } from './tasks/recognition/transcriptionPredictor.ts';
import { speechRecognitionTask } from './tasks/recognition/speechRecognition.ts';

declare module '@onnx-lora/sdk' {
  interface TaskPredictions {
    'speech-recognition': TranscriptPrediction;
    'audio-classification': ClassPrediction;
    'audio-tagging': LabelsPrediction;
    'audio-regression': NumberPrediction;
    'audio-embedding': EmbeddingPrediction;
  }
}

/** The decoder of recordings; this package's reads every {@link AUDIO_FORMAT}. */
export const AUDIO_READER: Token<AudioReader> = token('audio-reader', { usuallyFrom: '@onnx-lora/speech' });

/** Audio formats; provide any number. */
export const AUDIO_FORMAT: TokenList<AudioFormat> = tokenList('audio-format');

/** The speech plugin: families, feature extractors, audio formats and tasks. */
export const speechPlugin: Plugin = definePlugin({
  name: '@onnx-lora/speech',
  description: 'Sound: speech recognition, transcription, classification, tagging, regression, embeddings.',
  bindings: [
    ...audioFormats.map((format) => binding(AUDIO_FORMAT, () => format)),
    binding(AUDIO_READER, ({ formats }) => new AudioFileReader(formats), {
      needs: { formats: AUDIO_FORMAT },
      isDefault: true,
    }),
  ],
  needs: { reader: AUDIO_READER },
  families: speechFamilies,
  preprocessors: ({ reader }) => [new FeatureExtractorFactory(reader)],
  tasks: ({ reader, preprocessors }) =>
    [
      speechRecognitionTask,
      audioClassificationTask,
      audioTaggingTask,
      audioRegressionTask,
      audioEmbeddingTask,
      audioRetrievalTask,
    ].map((task) => task(reader, preprocessors)),
});
