/** @file `@onnx-lora/sdk/tasks`: losses, metrics, heads, predictors, reports, for tasks that implement {@link Task}. */

export { type BuilderOptions, GraphBuilder, type InferNode, type Operand, type Value } from './graph/builder.ts';
export { fromHalves, toHalf, toShorts } from './runtime/halfFloat.ts';
export { arrayOf, sizeOf, type TensorDataConstructor } from './runtime/tensor.ts';
export type { LossFragment } from './train/graph/addLoss.ts';
export { type BatchPart, type ComparingLoss, comparingLoss, type Comparison } from './train/graph/comparingLoss.ts';
export { requireExamples } from './model/training/phases/prepare.ts';
export { worseMetric, type WorseMetric, requireMetric } from './model/training/objective.ts';
export type { BadSample } from './plugin/events.ts';
export * from './train/losses/index.ts';
export type { Batch, Dataset, MetricCollector } from './plugin/dataset.ts';
export type { Metrics, MetricsNamed } from './statistics/measure.ts';
export * from './predict/filePredictor.ts';
export { type BatchLimits, lengthBuckets } from './predict/lengthBuckets.ts';
export { chosenAdapter, requireNamedAdapters, sourcesOf } from './predict/sources.ts';
export { recordPredictor, type RecordPredictorOptions } from './predict/recordPredictor.ts';
export type * from './plugin/predictor.ts';
export type {
  BeginRequest,
  HeadFeatures,
  HeadValues,
  MeasureRequest,
  ReducedEvaluation,
  Measurement,
  NewHead,
  PreparedTask,
  ReportRequest,
  Task,
} from './plugin/preparedTask.ts';
export type * from './plugin/reportSection.ts';
export type { InnerFragment, InnerSite } from './train/graph/innerFragments.ts';
export * from './plugin/taskModel.ts';
export * from './tasks/withLoss.ts';
export {
  type BadExample,
  batchesOf,
  type BatchSource,
  evenlySpaced,
  heldOut,
  type HeldOutBatch,
  bucketLength,
} from './tasks/batches.ts';
export { type Embedder, embeddingAnswers, type EmbedderOptions, openEmbedder } from './tasks/embedding/embedder.ts';
export * from './tasks/taskOf.ts';
export { embeddingScatter, type ScatterRequest } from './tasks/embedding/embeddingScatter.ts';
export { type Feature, featureOf, type FeatureRules } from './tasks/embedding/feature.ts';
export { embeddingEndings, embeddingWriter, saveEmbeddings } from './tasks/embedding/files/embeddingWriter.ts';
export type { KindGroup, KindGrouping, KindItems } from './tasks/embedding/pkSampler.ts';
export * from './tasks/embedding/neighbours.ts';
export * from './tasks/embedding/pooling.ts';
export * from './tasks/embedding/retrieval.ts';
export type { BaselineSearch } from './tasks/embedding/searchSection.ts';
export {
  type EmbeddingsOf,
  type LabelledMatrix,
  RetrievalMetrics,
  type RetrievalScores,
  retrievalScores,
  type QueryScores,
  scoresByQuery,
} from './tasks/embedding/retrievalScores.ts';
export * from './tasks/embedding/rows.ts';
export { fitRidge, type Ridge, ridgeAnswers, type RidgeOptions } from './tasks/probe/ridge.ts';
export { ridgeProbe } from './tasks/probe/ridgeProbe.ts';
export { quotedNames, describedPorts, describedPort } from './data/listed.ts';
export * from './tasks/regression/regressionParts.ts';
export * from './tasks/regression/regressionMetrics.ts';
export { regression } from './tasks/regression/regression.ts';
export { type NumberPairs, paritySection, residualSection } from './tasks/regression/numberSections.ts';
export { beamPaths, bestPaths } from './tasks/text/ctcDecoding.ts';
export { CtcTokenizer, type CtcTokenizerOptions, type FramesOptions } from './tasks/text/ctcTokenizer.ts';
export { align, type AlignedPiece, countEdits, type EditCounts } from './tasks/text/edits.ts';
export { ErrorCounter, type ErrorRates, wordErrors, wordsOf } from './tasks/text/wordErrors.ts';
export * from './tasks/classification/calibration.ts';
export * from './tasks/classification/chooseHead.ts';
export {
  balancedWeights,
  type ClassBalance,
  classWeights,
  type ClassWeighting,
  weightsOf,
} from './tasks/classification/lossWeights.ts';
export * from './tasks/classification/classificationMetrics.ts';
export * from './tasks/classification/classificationSections.ts';
export {
  classification,
  type ClassifierOptions,
  classifierSettings,
  classProbe,
  unknownLabel,
} from './tasks/classification/classification.ts';
export {
  type DataNames,
  differentLabels,
  knownLabels,
  labelsOrNumbers,
  matchLabels,
} from './tasks/classification/modelLabels.ts';
export { decodeClasses, decodeLabels, decodeValues, headDecoder, valueNames } from './tasks/decodeAnswers.ts';
export {
  type AnswerKind,
  type DomainSections,
  type Examples,
  type FoundAnswers,
  type HeadOption,
  headSetting,
  type RecordTruth,
  type Labelled,
  type LabelledDataset,
  type OpenedExamples,
  RecordDataset,
  type RecordLoading,
  type ShownMistakes,
} from './tasks/examples.ts';
export {
  AnswerMetrics,
  type AnswerReader,
  recordTargets,
  type Tally,
  type WholeAnswers,
  wholeAnswers,
  MeasuredTally,
} from './tasks/answers/answerMetrics.ts';
export * from './tasks/answers/joinedWindows.ts';
export * from './tasks/classification/labelling.ts';
export * from './tasks/classification/multiLabelMetrics.ts';
export { logSumExp, type Scores, scoresOf } from './tasks/classification/scores.ts';
export * from './statistics/bootstrap.ts';
export { type MetricRange, rangeOf } from './statistics/metricChoice.ts';
export { type ClassAnswers, classMeasure, type ClassScores, softmaxRows } from './statistics/classMeasure.ts';
export * from './statistics/verdict.ts';
export { kendall } from './statistics/numberMeasure.ts';
export * from './statistics/labelMeasure.ts';
export { type Measure, meanMeasure } from './statistics/measure.ts';
export { numberMeasure, type NumberScores, pearson, spearman } from './statistics/numberMeasure.ts';
export { precisionRecallCurve, rankingMeasure, type RankingScores, rocCurve } from './statistics/rankingMeasure.ts';
