/** @file Public API of the speech package. */

export {
  type Audio,
  type AudioReader,
  type AudioSource,
  type AudioSpan,
  type AudioStream,
  monoAt,
  monoStreamAt,
  toMono,
} from './audio/audio.ts';
export type { ByteCursor } from './audio/byteCursor.ts';
export { audioFormats } from './audio/formats/index.ts';
export type { OpenAudio, AudioFormat } from './audio/formats/audioFormat.ts';
export { resample, resamplePoly, resampleStream } from './audio/resample.ts';
export { toWave } from './audio/wave.ts';
export {
  augmentWave,
  type WaveAugmentation,
  standardWaveAugmentations,
  strongWaveAugmentations,
  waveAugmentationPresets,
  waveAugmentSetting,
} from './augment/augmentWave.ts';
export {
  background,
  type Background,
  type BackgroundOptions,
  loadClips,
  noise,
  type Noise,
  type NoiseColor,
  type NoiseOptions,
} from './augment/noise.ts';
export {
  gain,
  type Gain,
  type GainOptions,
  speedPerturbation,
  type SpeedPerturbation,
  type SpeedPerturbationOptions,
} from './augment/perturb.ts';
export { reverb, type Reverb, type ReverbOptions } from './augment/reverb.ts';
export { audioSpectrogramTransformer } from './families/audioSpectrogramTransformer.ts';
export { speechFamilies } from './families/index.ts';
export { wav2vec2 } from './families/wav2vec2.ts';
export { whisper } from './families/whisper.ts';
export { LogMel, type LogMelOptions, melFilters } from './features/logMel.ts';
export { openTranscriber } from './generation/openTranscriber.ts';
export type {
  ClipOptions,
  HeardLanguage,
  Transcriber,
  TranscriberOptions,
  SpokenWord,
  TranscribeOptions,
  Transcript,
  TranscriptSegment,
} from './generation/transcriber.ts';
export { speechPlugin, AUDIO_READER, AUDIO_FORMAT } from './plugin.ts';
export { type FeatureExtractor, openExtractor, type SoundFrames } from './features/featureExtractor.ts';
export { FeatureExtractorFactory } from './features/featureExtractorFactory.ts';
export { specAugment, type SpecAugmentOptions } from './features/specAugment.ts';
export { batchWaveforms, normalise, type WaveformBatchOptions } from './features/waveform.ts';
export { AudioFileReader } from './audio/audioFileReader.ts';
export { openSpeechTokenizer, type SpeechTokenizerOptions } from './text/openSpeechTokenizer.ts';
export type { SpeechTokenizer } from './text/subwordTokenizer.ts';
export { clipLengths } from './data/clipLengths.ts';
export { speechDataSettings } from './data/dataSettings.ts';
export { readSpeechData, splitSpeech } from './data/readSpeechData.ts';
export { SpeechDataset, type SpeechExample, type SpeechLoading, type LoadedSound } from './data/speechDataset.ts';
export type {
  SpeechData,
  SpeechRecord,
  GivenSpeechRecord,
  SpeechColumns,
  SpeechDataOptions,
  SpeechSource,
  SplitBy,
} from './data/speechRecord.ts';
export { type ReportUtterance, type TranscriptReport, transcriptSections } from './report/transcriptSections.ts';
export { ctcVocabulary, newVocabularyTokens } from './text/ctcVocabulary.ts';
export { basicNormaliser, type BasicNormaliserOptions, type TextNormaliser } from './text/normalise/basicNormaliser.ts';
export { englishNormaliser } from './text/normalise/englishNormaliser.ts';
export type { ContextSeconds } from './features/audioContext.ts';
export {
  type RecognitionScores,
  speechRecognition,
  type SpeechRecognitionOptions,
} from './tasks/recognition/speechRecognition.ts';
export {
  SpeechRecognitionFactory,
  type SpeechRecognitionFactoryOptions,
} from './tasks/recognition/speechRecognitionFactory.ts';
export type { ScoringOptions } from './tasks/scoring.ts';
export type { TranscriptOptions } from './tasks/recognition/transcriptLabels.ts';
export {
  audioClassification,
  type AudioClassificationOptions,
  audioRegression,
  type AudioRegressionOptions,
  type AudioTaggingOptions,
  audioTagging,
  audioClassifier,
} from './tasks/classification/audioClassification.ts';
export { AudioClassificationFactory, AudioTaggingFactory } from './tasks/classification/audioClassificationFactory.ts';
export { audioExamples, type AudioTaskOptions } from './tasks/classification/audioExamples.ts';
export { ctcRecognition, type CtcRecognitionOptions } from './tasks/ctc/ctcRecognition.ts';
export type { CtcScores } from './tasks/ctc/ctcMetrics.ts';
export type { CtcTarget } from './tasks/ctc/ctcLoss.ts';
export type { CtcWordsOptions } from './tasks/ctc/ctcWords.ts';
export { type AudioEmbedder, type AudioEmbedderOptions, openAudioEmbedder } from './tasks/embedding/audioEmbedder.ts';
export { AudioEmbeddingFactory, AudioRetrievalFactory } from './tasks/embedding/audioEmbeddingFactory.ts';
export { type AudioGroup, audioRetrieval, type AudioRetrievalOptions } from './tasks/embedding/audioRetrieval.ts';
export type { AudioReading, SoundTaskOptions } from './tasks/soundTask.ts';
