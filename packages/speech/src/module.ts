/** @file Binds what this package brings. */

import { MODEL_FAMILY, PREPROCESSOR_FACTORY } from '@onnx-lora/sdk';
import { ContainerModule } from 'inversify';
import type { AudioReader } from './audio/audio.ts';
import { speechFamilies } from './families/index.ts';
import { Wav2Vec2PreprocessorFactory, WhisperPreprocessorFactory } from './features/preprocessor.ts';
import { AUDIO_READER } from './tokens.ts';
import { WavefileReader } from './audio/wavefileReader.ts';

/** Speech: the families, the preprocessors of Whisper and wav2vec2, and a reader of WAV files. */
export const speechModule: ContainerModule = new ContainerModule(({ bind }) => {
  bind(AUDIO_READER)
    .toResolvedValue(() => new WavefileReader(), [])
    .inSingletonScope();
  for (const family of speechFamilies) bind(MODEL_FAMILY).toConstantValue(family);
  bind(PREPROCESSOR_FACTORY)
    .toResolvedValue((reader: AudioReader) => new WhisperPreprocessorFactory(reader), [AUDIO_READER])
    .inSingletonScope();
  bind(PREPROCESSOR_FACTORY)
    .toResolvedValue((reader: AudioReader) => new Wav2Vec2PreprocessorFactory(reader), [AUDIO_READER])
    .inSingletonScope();
});
