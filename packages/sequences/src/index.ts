/** @file Shared code for models of texts, proteins, DNA and molecules: data, tokenizers, tasks and generation. */

export type { BaselineAnswers } from './baselines/answers.ts';
export {
  type BaselineExamples,
  type BaselinesRequest,
  type Comparison,
  frozenBaselines,
  type MethodResult,
  type SequenceBaselines,
} from './baselines/frozenBaselines.ts';
export { ColumnContents, isMissing, numberOf } from './data/columnContents.ts';
export { type OpenBytes, openBytes } from './data/openBytes.ts';
export { openParquet, PARQUET, type ParquetFile, readAnyTable } from './data/parquet.ts';
export {
  foldOf,
  splitColumns,
  splitOf,
  splitWarnings,
  type TargetColumns,
  targetColumns,
  type TargetFinder,
  targetsOf,
} from './data/targetColumns.ts';
export type { SequenceDomain, TargetKind } from './domain.ts';
export { heldOutNote, requireShort, type SequenceData, type SequenceRecord, type StreamedRecord } from './record.ts';
export {
  type EnsembleCalibration,
  ensembleCalibration,
  type EnsembleEvaluation,
  type EnsembleOptions,
  evaluateEnsemble,
  type UncertainAnswers,
  withEnsemble,
} from './ensemble/evaluateEnsemble.ts';
export { bert, classifierNames, encoderModules, roberta } from './families/bert.ts';
export { sequenceTasks } from './families/encoderFamily.ts';
export { encoderFamilies } from './families/index.ts';
export { t5 } from './families/t5.ts';
export { CachedDecoder } from './generation/decoder/cachedDecoder.ts';
export type { Decoding, DecodingOptions, DecodingStart, Past, TokenDecoder } from './generation/decoder/decoding.ts';
export { PLACES, withLogitPlaces } from './generation/decoder/logitPlaces.ts';
export { rowsOfFeeds } from './tasks/embedding/lengthParts.ts';
export { isPast, pastUpTo, takesPast } from './generation/decoder/past.ts';
export { PlainDecoder } from './generation/decoder/plainDecoder.ts';
export { tokenInputs } from './generation/decoder/decoderFeeds.ts';
export {
  adapterOf,
  adaptersOf,
  asPort,
  joinRows,
  logitsAt,
  ones,
  requireEach,
  selectRows,
} from './generation/decoder/rows.ts';
export { GenerationFile, type GenerationFiles, isId, type SearchSettings } from './generation/generationFile.ts';
export { type BeamRequest, beamSearch, type FoundText } from './generation/search/beamSearch.ts';
export { type LogitRule, type LogitRuleOptions, logitRules } from './generation/search/logitRules.ts';
export { type SamplingOptions, samplingRules } from './generation/search/samplingRules.ts';
export { best } from './generation/search/scores.ts';
export {
  type SearchRequest,
  type StepwiseRequest,
  stepwiseSearch,
  type TakenToken,
  takeTokens,
  type WrittenText,
} from './generation/search/search.ts';
export { curveSections, type ScoredClasses } from './report/curveSections.ts';
export {
  type BaselineOptions,
  comparisonSection,
  frozenEmbeddings,
  type FrozenRequest,
} from './report/frozenSections.ts';
export { openClassifier, openLabeller, openRegressor } from './tasks/classification/openClassifier.ts';
export { answersOf, sequenceExamples, type WholeOptions } from './tasks/classification/sequenceExamples.ts';
export {
  embeddingPredictor,
  openEmbedderOf,
  type SequenceEmbedder,
  type SequenceEmbedderOptions,
  type SequenceEmbeddingOptions,
} from './tasks/embedding/sequenceEmbedder.ts';
export {
  type Kinds,
  kindsOf,
  retrieval,
  type RetrievalOptions,
  type SequenceGroup,
} from './tasks/embedding/sequenceRetrieval.ts';
export {
  embeddingsBy,
  type FeatureOptions,
  isPerToken,
  pooledTokens,
  type SequencePooling,
  type TokenPooling,
} from './tasks/embedding/tokenStates.ts';
export { openVectors, sequenceFeature, type VectorOptions, type Vectors } from './tasks/embedding/vectors.ts';
export { type MaskedScorerOptions, maskedFactory, openMaskedScorer } from './tasks/masked/openMaskedScorer.ts';
export type { MaskedScores } from './tasks/masked/maskedMetrics.ts';
export { maskedModelling, type MaskedModellingOptions } from './tasks/masked/maskedModelling.ts';
export type { MaskingOptions } from './tasks/masked/masking.ts';
export { openSequenceTask } from './tasks/openSequenceTask.ts';
export type { RowRules } from './tasks/tokenRows.ts';
export { type TokenOutput, tokenOutput } from './tasks/outputOfTokens.ts';
export type { EnsembleSources } from './tasks/records/answeringAdapters.ts';
export {
  type AveragedAnswer,
  headPredictor,
  openHead,
  type OpenedHead,
  type RecordAnswer,
  sequenceOptionsOf,
  type SequencePredictorOptions,
  type WholeAnswers,
} from './tasks/records/headPredictor.ts';
export {
  type ItemModelOptions,
  notNumbers,
  openItemModel,
  type SequenceAnswers,
  type ItemModel,
  sequencePredictor,
  type SequencePredictorRequest,
  sequenceProcessor,
  type SequenceRow,
} from './tasks/records/sequencePredictor.ts';
export {
  answersByToken,
  bestOf,
  type ShownRecord,
  tokenClassMetrics,
  type TokenClassScores,
  type TokenMetricsOptions,
  tokenNumberMetrics,
  worstAndMedian,
} from './tasks/tokens/tokenAnswers.ts';
export { classComparison } from './tasks/tokens/tokenFrequencies.ts';
export {
  type PartClasses,
  type PartClassOptions,
  type PartReportOptions,
  preparePartClasses,
} from './tasks/tokens/tokenClasses.ts';
export {
  boundParts,
  type BoundParts,
  type PartLabel,
  type Parts,
  type TokenExample,
} from './tasks/tokens/tokenTargets.ts';
export { headOnEachToken, ownHead, type SequenceHeadOptions } from './tasks/sequenceHead.ts';
export { openSequenceInput, type SequenceInput, type SequenceNames } from './tasks/sequenceInput.ts';
export type {
  LengthOptions,
  SequenceDataset,
  SequenceExample,
  SequenceItem,
  SequencePorts,
  SequenceTask,
  TokenOptions,
  TokenRow,
} from './tasks/sequenceTask.ts';
export {
  answeringFactory,
  type AnsweringOptions,
  answeringSettings,
  headSettings,
  lengthSettings,
  type SequenceFactory,
  sequenceFactory,
} from './tasks/sequenceTaskFactory.ts';
export { EsmTokenizer, type EsmTokenizerOptions } from './tokenizers/esmTokenizer.ts';
export { openTokenizer } from './tokenizers/openTokenizer.ts';
export type { DecodeOptions, FramedTokens, SequenceTokenizer, SequenceTokens } from './tokenizers/sequenceTokenizer.ts';
