/**
 * @file `@onnx-lora/sdk/tasks`: what tasks are made of, such as losses, metrics, heads, predictors and reports. A task of your
 * own begins with {@link Task}.
 */

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
export { filePredictor, fileProcessor } from './predict/filePredictor.ts';
export { type SourceProcessor, sourcePredictor, type SourceRequest } from './predict/sourcePredictor.ts';
export { type BatchLimits, lengthBuckets } from './predict/lengthBuckets.ts';
export { chosenAdapter, requireNamedAdapters, sourcesOf } from './predict/sources.ts';
export { recordPredictor, type RecordPredictorOptions } from './predict/recordPredictor.ts';
export type {
  AnsweredRow,
  Answer,
  AnswerWriter,
  OutputProcessor,
  Outputs,
  Prediction,
  Predictor,
  PredictOptions,
  Processor,
  RecordProcessor,
  Source,
  SourceRecord,
} from './plugin/predictor.ts';
export type {
  BeginRequest,
  HeadFeatures,
  HeadValues,
  MeasureRequest,
  Narrowed,
  Measurement,
  NewHead,
  PreparedTask,
  ReportRequest,
  Task,
} from './plugin/preparedTask.ts';
export type {
  ReportChart,
  ReportClip,
  ReportMark,
  ReportHeatmap,
  ReportHistogram,
  ReportLetters,
  ReportLogoColumn,
  ReportPicture,
  ReportSection,
} from './plugin/reportSection.ts';
export type { InnerFragment, InnerSite } from './train/graph/inside.ts';
export {
  type GraphPort,
  type HeadInput,
  type InnerValue,
  rowsPerRun,
  type RunnableModel,
  type RunnableOptions,
  type RunnableSession,
  type TaskModel,
} from './plugin/taskModel.ts';
export { withLoss, type WithLossOptions } from './tasks/withLoss.ts';
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
export { answeringTask, checkedTask, headSetting } from './tasks/taskSettings.ts';
export {
  type AnsweringFactory,
  type DividedAs,
  fileTaskOf,
  type PredictorFacts,
  type ProcessorFactory,
  type ProcessorFacts,
  type TaskFacts,
  taskOf,
} from './tasks/taskOf.ts';
export { embeddingScatter, type ScatterRequest } from './tasks/embedding/embeddingScatter.ts';
export { type Feature, featureOf, type FeatureRules } from './tasks/embedding/feature.ts';
export { embeddingEndings, embeddingWriter, saveEmbeddings } from './tasks/embedding/files/embeddingWriter.ts';
export type { KindGroup, KindGrouping, KindItems } from './tasks/embedding/pkSampler.ts';
export {
  bestNeighbourCount,
  forNearest,
  type Gallery,
  type Nearest,
  type NeighbourTrials,
} from './tasks/embedding/neighbours.ts';
export {
  featureTensor,
  maxOfPlaces,
  meanOfPlaces,
  type PlacesOf,
  pooledRows,
  pooledValue,
  type PoolOptions,
  type RowPlaces,
} from './tasks/embedding/pooling.ts';
export {
  haveAPair,
  type KindData,
  openFairly,
  type RetrievalData,
  type RetrievalLoss,
  type RetrievalLossOptions,
  type RetrievalRequest,
  retrievalTask,
  retrievalLoss,
  retrievalSettings,
} from './tasks/embedding/retrieval.ts';
export type { RivalSearch } from './tasks/embedding/searchSection.ts';
export {
  type EmbeddingsOf,
  type LabelledMatrix,
  RetrievalMetrics,
  type RetrievalScores,
  retrievalScores,
  type QueryScores,
  scoresByQuery,
} from './tasks/embedding/retrievalScores.ts';
export {
  joinRows,
  joinVectors,
  matrixOf,
  takeRows,
  l2Normalize,
  unitTensor,
  unitVector,
  vectorsOf,
  scaled,
  type Scaling,
  scalingOf,
} from './tasks/embedding/rows.ts';
export { fitRidge, type Ridge, ridgeAnswers, type RidgeOptions } from './tasks/probe/ridge.ts';
export { ridgeProbe } from './tasks/probe/ridgeProbe.ts';
export { listed, listedPorts, shownPort } from './data/listed.ts';
export {
  regressionHead,
  type RegressionHeadChoice,
  type RegressionOptions,
  type RegressionParts,
  regressionParts,
  type RegressionRequest,
  regressionSettings,
  valueTargets,
} from './tasks/regression/regressionParts.ts';
export {
  type NumberColumn,
  NumberTally,
  type NumberTallyOptions,
  RegressionMetrics,
  type RegressionScores,
} from './tasks/regression/regressionMetrics.ts';
export { regression } from './tasks/regression/regression.ts';
export { type NumberPairs, paritySection, residualSection } from './tasks/regression/numberSections.ts';
export { beamPaths, bestPaths } from './tasks/text/ctcDecoding.ts';
export { CtcTokenizer, type CtcTokenizerOptions, type FramesOptions } from './tasks/text/ctcTokenizer.ts';
export { align, type AlignedPiece, countEdits, type EditCounts } from './tasks/text/edits.ts';
export { ErrorCounter, type ErrorRates, wordErrors, wordsOf } from './tasks/text/wordErrors.ts';
export {
  answersOf,
  calibrationError,
  type ClassAnswer,
  type ConfidenceBin,
  fitTemperature,
  type LabelledScores,
  reliability,
  temperatureOf,
  heldOutScores,
  type LabelledExamples,
} from './tasks/classification/calibration.ts';
export {
  chooseHead,
  type HeadChoice,
  type HeadPort,
  noHead,
  replacedHead,
  type TaskHead,
} from './tasks/classification/chooseHead.ts';
export {
  balancedWeights,
  type ClassBalance,
  classWeights,
  type ClassWeighting,
  weightsOf,
} from './tasks/classification/lossWeights.ts';
export {
  ClassificationMetrics,
  type ClassificationMetricsOptions,
  type ClassificationScores,
  type ClassMetricName,
  ClassTally,
  type ClassTallyOptions,
} from './tasks/classification/classificationMetrics.ts';
export {
  calibrationSection,
  classTable,
  mistakeCaption,
  worstMistakes,
} from './tasks/classification/classificationSections.ts';
export {
  classification,
  type ClassifierOptions,
  classifierSettings,
  classProbe,
  unknownLabel,
} from './tasks/classification/classification.ts';
export {
  type DataWords,
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
  type KnownOfRecord,
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
export {
  JoinedWindows,
  type MeanAnswer,
  meanClasses,
  meanLabels,
  meanNumbers,
  type PartAnswer,
  type WindowAnswers,
} from './tasks/answers/joinedWindows.ts';
export {
  labelling,
  type LabellingOptions,
  labellingSettings,
  labelProbe,
  labelVector,
  thresholdsOf,
} from './tasks/classification/labelling.ts';
export {
  averagePrecisions,
  bestThresholds,
  labelCounts,
  type LabelScores,
  LabelTally,
  type LabelTallyOptions,
  type LabelVector,
  MultiLabelMetrics,
  type MultiLabelMetricsOptions,
  type MultiLabelScores,
  probability,
} from './tasks/classification/multiLabelMetrics.ts';
export { logSumExp, type Scores, scoresOf } from './tasks/classification/scores.ts';
export {
  bootstrapDraws,
  bootstrapInterval,
  bootstrapIntervals,
  type BootstrapOptions,
  differenceOf,
  type Drawn,
  type Draws,
  drawsFor,
  type Interval,
  intervalsOf,
  quantileOf,
} from './statistics/bootstrap.ts';
export { type MetricRange, rangeOf } from './statistics/metricChoice.ts';
export { type ClassAnswers, classMeasure, type ClassScores, softmaxRows } from './statistics/classMeasure.ts';
export {
  type ComparedMeasurement,
  FEWEST_SHOWN,
  type Verdict,
  verdictOf,
  type VerdictOptions,
} from './statistics/verdict.ts';
export { kendall } from './statistics/kendall.ts';
export {
  f1,
  type LabelAnswers,
  type LabelCounts,
  labelMeasure,
  type LabelMeasures,
} from './statistics/labelMeasure.ts';
export { type Measure, meanMeasure } from './statistics/measure.ts';
export { numberMeasure, type NumberScores, pearson, spearman } from './statistics/numberMeasure.ts';
export { precisionRecallCurve, rankingMeasure, type RankingScores, rocCurve } from './statistics/rankingMeasure.ts';
