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
export { audioFormats, AudioFileReader } from './audio/audioFileReader.ts';
export type { OpenAudio, AudioFormat } from './audio/formats/audioFormat.ts';
export { resample, resamplePoly, resampleStream } from './audio/resample.ts';
export { toWave } from './audio/formats/wav.ts';
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
  reverb,
  type Reverb,
  type ReverbOptions,
} from './augment/perturb.ts';
export { audioSpectrogramTransformer, wav2vec2 } from './families/wav2vec2.ts';
export { speechFamilies } from './families/index.ts';
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
export { type FeatureExtractor, openExtractor, type AudioFrames } from './features/featureExtractor.ts';
export { FeatureExtractorFactory } from './features/featureExtractorFactory.ts';
export { specAugment, type SpecAugmentOptions } from './features/specAugment.ts';
export { batchWaveforms, normalise, type WaveformBatchOptions } from './features/waveform.ts';
export { openSpeechTokenizer, type SpeechTokenizerOptions } from './text/openSpeechTokenizer.ts';
export type { SpeechTokenizer } from './text/subwordTokenizer.ts';
export { clipLengths } from './data/clipLengths.ts';
export { speechDataSettings } from './data/manifest.ts';
export { readSpeechData, splitSpeech } from './data/readSpeechData.ts';
export { SpeechDataset, type SpeechExample, type SpeechLoading, type LoadedAudio } from './data/speechDataset.ts';
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
export { ctcVocabulary, newVocabularyTokens, type CtcWordsOptions } from './tasks/ctc/ctcWords.ts';
export { basicNormaliser, type BasicNormaliserOptions, type TextNormaliser } from './text/normalise/basicNormaliser.ts';
export { englishNormaliser, type ScoringOptions } from './text/normalise/englishNormaliser.ts';
export type { ContextSeconds } from './features/audioContext.ts';
export {
  type RecognitionScores,
  speechRecognition,
  type SpeechRecognitionOptions,
  speechRecognitionTask,
  type SpeechRecognitionTaskOptions,
} from './tasks/recognition/speechRecognition.ts';
export type { TranscriptOptions } from './tasks/recognition/transcriptLabels.ts';
export {
  audioClassification,
  type AudioClassificationOptions,
  audioClassificationTask,
  audioClassifier,
  audioRegression,
  type AudioRegressionOptions,
  audioRegressionTask,
  audioTagging,
  type AudioTaggingOptions,
  audioTaggingTask,
} from './tasks/classification/audioClassification.ts';
export { audioExamples, type AudioTaskOptions } from './tasks/classification/audioExamples.ts';
export { ctcRecognition, type CtcRecognitionOptions } from './tasks/ctc/ctcRecognition.ts';
export type { CtcScores, CtcTarget } from './tasks/ctc/ctcLoss.ts';
export {
  type AudioEmbedder,
  type AudioEmbedderOptions,
  audioEmbeddingTask,
  openAudioEmbedder,
} from './tasks/embedding/audioEmbedder.ts';
export {
  type AudioGroup,
  audioRetrieval,
  type AudioRetrievalOptions,
  audioRetrievalTask,
} from './tasks/embedding/audioRetrieval.ts';
export type { AudioReading, AudioTask, AudioTools, AudioTrainingOptions } from './tasks/audioTask.ts';
export type { TranscriptPrediction } from './tasks/recognition/transcriptionPredictor.ts';
