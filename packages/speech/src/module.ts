/** @file Binds what this package brings. */

import {
  MODEL_FAMILY,
  PREPROCESSOR_FACTORY,
  type PreprocessorFactory,
  TASK_FACTORY,
  type TaskFactory,
} from '@onnx-lora/sdk';
import { ContainerModule } from 'inversify';
import type { AudioReader } from './audio/audio.ts';
import { soundFormats } from './audio/formats/index.ts';
import type { SoundFormat } from './audio/formats/soundFormat.ts';
import { SoundReader } from './audio/soundReader.ts';
import { speechFamilies } from './families/index.ts';
import { FeatureExtractorFactory } from './features/featureExtractorFactory.ts';
import { AudioClassificationFactory, AudioTaggingFactory } from './tasks/classification/audioClassificationFactory.ts';
import { AudioEmbeddingFactory, AudioRetrievalFactory } from './tasks/embedding/audioEmbeddingFactory.ts';
import { SpeechRecognitionFactory } from './tasks/recognition/speechRecognitionFactory.ts';
import { AUDIO_READER, SOUND_FORMAT } from './tokens.ts';

/** Speech: the families, the preprocessors of Whisper and wav2vec2, and a reader of sound files. */
export const speechModule: ContainerModule = new ContainerModule(({ bind }) => {
  for (const format of soundFormats) bind(SOUND_FORMAT).toConstantValue(format);
  bind(AUDIO_READER)
    .toResolvedValue(
      // A mutable array, since inversify's types do not match a readonly one.
      (formats: SoundFormat[]) => new SoundReader(formats),
      [{ isMultiple: true, serviceIdentifier: SOUND_FORMAT }],
    )
    .inSingletonScope();
  for (const family of speechFamilies) bind(MODEL_FAMILY).toConstantValue(family);
  bind(PREPROCESSOR_FACTORY)
    .toResolvedValue((reader: AudioReader) => new FeatureExtractorFactory(reader), [AUDIO_READER])
    .inSingletonScope();
  for (const Factory of [
    SpeechRecognitionFactory,
    AudioClassificationFactory,
    AudioTaggingFactory,
    AudioEmbeddingFactory,
    AudioRetrievalFactory,
  ]) {
    bind<TaskFactory>(TASK_FACTORY)
      .toResolvedValue(
        (reader: AudioReader, preprocessors: PreprocessorFactory[]) => new Factory(reader, preprocessors),
        [AUDIO_READER, { isMultiple: true, serviceIdentifier: PREPROCESSOR_FACTORY }],
      )
      .inSingletonScope();
  }
});
