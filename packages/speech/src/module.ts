/** @file Binds what this package brings. */

import { MODEL_FAMILY, PREPROCESSOR_FACTORY } from '@onnx-lora/sdk';
import { ContainerModule } from 'inversify';
import type { AudioReader } from './audio.ts';
import { whisper } from './families/whisper.ts';
import { Wav2Vec2PreprocessorFactory, WhisperPreprocessorFactory } from './preprocessor.ts';
import { AUDIO_READER } from './tokens.ts';
import { WavefileReader } from './wavefileReader.ts';

/** Speech: Whisper's family, the preprocessors of Whisper and wav2vec2, and a reader of WAV files. */
export const speechModule: ContainerModule = new ContainerModule(({ bind }) => {
  bind(AUDIO_READER)
    .toResolvedValue(() => new WavefileReader(), [])
    .inSingletonScope();
  bind(MODEL_FAMILY)
    .toResolvedValue(() => whisper, [])
    .inSingletonScope();
  bind(PREPROCESSOR_FACTORY)
    .toResolvedValue((reader: AudioReader) => new WhisperPreprocessorFactory(reader), [AUDIO_READER])
    .inSingletonScope();
  bind(PREPROCESSOR_FACTORY)
    .toResolvedValue((reader: AudioReader) => new Wav2Vec2PreprocessorFactory(reader), [AUDIO_READER])
    .inSingletonScope();
});
