/** @file Public API of the speech package. */

export { toMono, type Audio, type AudioReader } from './audio/audio.ts';
export { audioSpectrogramTransformer } from './families/audioSpectrogramTransformer.ts';
export { speechFamilies } from './families/index.ts';
export { wav2vec2 } from './families/wav2vec2.ts';
export { whisper } from './families/whisper.ts';
export { LogMel, type LogMelOptions } from './features/logMel.ts';
export { melFilters } from './features/melFilters.ts';
export { speechModule } from './module.ts';
export { Wav2Vec2PreprocessorFactory, WhisperPreprocessorFactory } from './features/preprocessor.ts';
export { resample } from './audio/resample.ts';
export { AUDIO_READER } from './tokens.ts';
export { batchWaveforms, normalise, type WaveformBatchOptions } from './features/waveform.ts';
export { WavefileReader } from './audio/wavefileReader.ts';
