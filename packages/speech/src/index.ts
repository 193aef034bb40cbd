/** @file Public API of the speech package. */

export { toMono, type Audio, type AudioReader } from './audio.ts';
export { audioSpectrogramTransformer } from './families/audioSpectrogramTransformer.ts';
export { speechFamilies } from './families/index.ts';
export { wav2vec2 } from './families/wav2vec2.ts';
export { whisper } from './families/whisper.ts';
export { LogMel, type LogMelOptions } from './logMel.ts';
export { melFilters } from './melFilters.ts';
export { speechModule } from './module.ts';
export { Wav2Vec2PreprocessorFactory, WhisperPreprocessorFactory } from './preprocessor.ts';
export { resample } from './resample.ts';
export { AUDIO_READER } from './tokens.ts';
export { batchWaveforms, normalise, type WaveformBatchOptions } from './waveform.ts';
export { WavefileReader } from './wavefileReader.ts';
