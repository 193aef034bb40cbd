/** @file What this package brings, as any plugin would. */

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
import { soundFormats } from './audio/formats/index.ts';
import type { SoundFormat } from './audio/formats/soundFormat.ts';
import { SoundReader } from './audio/soundReader.ts';
import { speechFamilies } from './families/index.ts';
import { FeatureExtractorFactory } from './features/featureExtractorFactory.ts';
import { AudioClassificationFactory, AudioTaggingFactory } from './tasks/classification/audioClassificationFactory.ts';
import { AudioEmbeddingFactory, AudioRetrievalFactory } from './tasks/embedding/audioEmbeddingFactory.ts';
import { SpeechRecognitionFactory } from './tasks/recognition/speechRecognitionFactory.ts';

/** Decodes recordings. That of this package reads every {@link SOUND_FORMAT}. */
export const AUDIO_READER: Token<AudioReader> = token('audio-reader', { usuallyFrom: '@onnx-lora/speech' });

/** A kind of sound file that can be decoded; provide as many as there are. */
export const SOUND_FORMAT: TokenList<SoundFormat> = tokenList('sound-format');

/** Speech: the families, the preprocessors of Whisper and wav2vec2, a reader of sound files, and the tasks. */
export const speechPlugin: Plugin = definePlugin({
  name: '@onnx-lora/speech',
  description: 'Sound: speech recognition, transcription, classification, tagging, embeddings.',
  bindings: [
    ...soundFormats.map((format) => binding(SOUND_FORMAT, () => format)),
    binding(AUDIO_READER, ({ formats }) => new SoundReader(formats), {
      needs: { formats: SOUND_FORMAT },
      isDefault: true,
    }),
  ],
  needs: { reader: AUDIO_READER },
  families: speechFamilies,
  preprocessors: ({ reader }) => [new FeatureExtractorFactory(reader)],
  tasks: ({ reader, preprocessors }) =>
    [
      SpeechRecognitionFactory,
      AudioClassificationFactory,
      AudioTaggingFactory,
      AudioEmbeddingFactory,
      AudioRetrievalFactory,
    ].map((Factory) => new Factory(reader, preprocessors)),
});
