/** @file Public API of the speech package. */

export {
  type Audio,
  type AudioReader,
  type AudioSource,
  type AudioSpan,
  type AudioStream,
  toMono,
} from './audio/audio.ts';
export type { ByteCursor } from './audio/byteCursor.ts';
export { soundFormats } from './audio/formats/index.ts';
export type { OpenSound, SoundFormat } from './audio/formats/soundFormat.ts';
export { monoAt, monoStreamAt } from './audio/mono.ts';
export { resamplePoly } from './audio/resamplePoly.ts';
export { toWave } from './audio/wave.ts';
export { waveAugmentSetting } from './augment/augmentSetting.ts';
export { augmentWave, type WaveAugmentation } from './augment/augmentWave.ts';
export { background, type Background, type BackgroundOptions } from './augment/background.ts';
export { gain, type Gain, type GainOptions } from './augment/gain.ts';
export { loadClips } from './augment/loadClips.ts';
export { noise, type Noise, type NoiseColor, type NoiseOptions } from './augment/noise.ts';
export {
  standardWaveAugmentations,
  strongWaveAugmentations,
  waveAugmentationPresets,
} from './augment/augmentSetting.ts';
export { room, type Room, type RoomOptions } from './augment/room.ts';
export { speed, type Speed, type SpeedOptions } from './augment/speed.ts';
export { audioSpectrogramTransformer } from './families/audioSpectrogramTransformer.ts';
export { speechFamilies } from './families/index.ts';
export { wav2vec2 } from './families/wav2vec2.ts';
export { whisper } from './families/whisper.ts';
export { LogMel, type LogMelOptions } from './features/logMel.ts';
export { melFilters } from './features/logMel.ts';
export { openRecogniser } from './generation/openRecogniser.ts';
export type { RecogniserOptions } from './generation/recogniserOptions.ts';
export type {
  ClipOptions,
  HeardLanguage,
  Recogniser,
  SpokenWord,
  TranscribeOptions,
  Transcript,
  TranscriptSegment,
} from './generation/recogniser.ts';
export { speechPlugin } from './plugin.ts';
export type { FeatureExtractor, SoundFrames } from './features/featureExtractor.ts';
export { FeatureExtractorFactory } from './features/featureExtractorFactory.ts';
export { openExtractor } from './features/openExtractor.ts';
export { specAugment, type SpecAugmentOptions } from './features/specAugment.ts';
export { resample, resampleStream } from './audio/resample.ts';
export { AUDIO_READER, SOUND_FORMAT } from './plugin.ts';
export { batchWaveforms, normalise, type WaveformBatchOptions } from './features/waveform.ts';
export { SoundReader } from './audio/soundReader.ts';
export { openSpeechTokenizer, type SpeechTokenizerOptions } from './text/openSpeechTokenizer.ts';
export type { SpeechTokenizer } from './text/speechTokenizer.ts';
export { clipLengths } from './data/clipLengths.ts';
export { speechDataSettings } from './data/dataSettings.ts';
export { readSpeechData } from './data/readSpeechData.ts';
export { splitSpeech } from './data/splitSpeech.ts';
export { SpeechDataset, type SpeechExample, type SpeechLoading } from './data/speechDataset.ts';
export type { SpeechData, SpeechRecord } from './data/speechRecord.ts';
export type {
  GivenSpeechRecord,
  SpeechColumns,
  SpeechDataOptions,
  SpeechSource,
  SplitBy,
} from './data/speechSource.ts';
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
export { SpeechRecognitionFactory } from './tasks/recognition/speechRecognitionFactory.ts';
export type { ScoringOptions } from './tasks/scoring.ts';
export type { TranscriptOptions } from './tasks/recognition/transcriptLabels.ts';
export {
  audioClassification,
  type AudioClassificationOptions,
  type AudioTaggingOptions,
  audioTagging,
  type AudioTaskOptions,
} from './tasks/classification/audioClassification.ts';
export { AudioClassificationFactory, AudioTaggingFactory } from './tasks/classification/audioClassificationFactory.ts';
export { audioClassifier, audioTagger } from './tasks/classification/audioClassifier.ts';
export { ctcRecognition, type CtcRecognitionOptions } from './tasks/ctc/ctcRecognition.ts';
export type { CtcScores } from './tasks/ctc/ctcMetrics.ts';
export type { CtcTarget } from './tasks/ctc/ctcTargets.ts';
export type { CtcWordsOptions } from './tasks/ctc/ctcWords.ts';
export { type AudioEmbedder, type AudioEmbedderOptions, openAudioEmbedder } from './tasks/embedding/audioEmbedder.ts';
export { AudioEmbeddingFactory, AudioRetrievalFactory } from './tasks/embedding/audioEmbeddingFactory.ts';
export { type AudioGroup, audioRetrieval, type AudioRetrievalOptions } from './tasks/embedding/audioRetrieval.ts';
export type { SoundReading, SoundTaskOptions } from './tasks/soundTask.ts';
