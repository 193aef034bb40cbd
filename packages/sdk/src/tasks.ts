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
export type { Batch, Dataset, MetricCollector, Metrics, MetricsNamed } from './plugin/dataset.ts';
export { filePredictor, fileProcessor } from './plugin/predict/filePredictor.ts';
export { type SourceProcessor, sourcePredictor, type SourceRequest } from './plugin/predict/sourcePredictor.ts';
export { type BatchLimits, lengthBuckets } from './plugin/predict/lengthBuckets.ts';
export { chosenAdapter, requireNamedAdapters, sourcesOf } from './plugin/predict/sources.ts';
export { recordPredictor, type RecordPredictorOptions } from './plugin/predict/recordPredictor.ts';
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
export { withLoss, type WithLossOptions } from './plugin/withLoss.ts';
export {
  type BadExample,
  batchesOf,
  type BatchSource,
  evenlySpaced,
  heldOut,
  type HeldOutBatch,
  bucketLength,
} from './plugin/tasks/batches.ts';
export {
  type Embedder,
  embeddingAnswers,
  type EmbedderOptions,
  openEmbedder,
} from './plugin/tasks/embedding/embedder.ts';
export { answeringTask, checkedTask, headSetting } from './plugin/tasks/taskSettings.ts';
export {
  type AnsweringFactory,
  type DividedAs,
  fileTaskOf,
  type PredictorFacts,
  type ProcessorFactory,
  type ProcessorFacts,
  type TaskFacts,
  taskOf,
} from './plugin/tasks/taskOf.ts';
export { embeddingScatter, type ScatterRequest } from './plugin/tasks/embedding/embeddingScatter.ts';
export { type Feature, featureOf, type FeatureRules } from './plugin/tasks/embedding/feature.ts';
export { embeddingEndings, embeddingWriter, saveEmbeddings } from './plugin/tasks/embedding/files/embeddingWriter.ts';
export type { KindGroup, KindGrouping, KindItems } from './plugin/tasks/embedding/pkSampler.ts';
export {
  bestNeighbourCount,
  forNearest,
  type Gallery,
  type Nearest,
  type NeighbourTrials,
} from './plugin/tasks/embedding/neighbours.ts';
export {
  featureTensor,
  maxOfPlaces,
  meanOfPlaces,
  type PlacesOf,
  pooledRows,
  pooledValue,
  type PoolOptions,
  type RowPlaces,
} from './plugin/tasks/embedding/pooling.ts';
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
} from './plugin/tasks/embedding/retrieval.ts';
export type { RivalSearch } from './plugin/tasks/embedding/searchSection.ts';
export {
  type EmbeddingsOf,
  type LabelledMatrix,
  RetrievalMetrics,
  type RetrievalScores,
  retrievalScores,
  type QueryScores,
  scoresByQuery,
} from './plugin/tasks/embedding/retrievalScores.ts';
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
} from './plugin/tasks/embedding/rows.ts';
export { fitRidge, type Ridge, ridgeAnswers, type RidgeOptions } from './plugin/tasks/probe/ridge.ts';
export { ridgeProbe } from './plugin/tasks/probe/ridgeProbe.ts';
export { listed, listedPorts, shownPort } from './plugin/tasks/listed.ts';
export {
  regressionHead,
  type RegressionHeadChoice,
  type RegressionOptions,
  type RegressionParts,
  regressionParts,
  type RegressionRequest,
  regressionSettings,
  valueTargets,
} from './plugin/tasks/regression/regressionParts.ts';
export {
  type NumberColumn,
  NumberTally,
  type NumberTallyOptions,
  RegressionMetrics,
  type RegressionScores,
} from './plugin/tasks/regression/regressionMetrics.ts';
export { regression } from './plugin/tasks/regression/regression.ts';
export { type NumberPairs, paritySection, residualSection } from './plugin/tasks/regression/numberSections.ts';
export { beamPaths, bestPaths } from './plugin/tasks/text/ctcDecoding.ts';
export { CtcTokenizer, type CtcTokenizerOptions, type FramesOptions } from './plugin/tasks/text/ctcTokenizer.ts';
export { align, type AlignedPiece, countEdits, type EditCounts } from './plugin/tasks/text/edits.ts';
export { ErrorCounter, type ErrorRates, wordErrors, wordsOf } from './plugin/tasks/text/wordErrors.ts';
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
} from './plugin/tasks/classification/calibration.ts';
export {
  chooseHead,
  type HeadChoice,
  type HeadPort,
  noHead,
  replacedHead,
  type TaskHead,
} from './plugin/tasks/classification/chooseHead.ts';
export {
  balancedWeights,
  type ClassBalance,
  classWeights,
  type ClassWeighting,
  weightsOf,
} from './plugin/tasks/classification/lossWeights.ts';
export {
  ClassificationMetrics,
  type ClassificationMetricsOptions,
  type ClassificationScores,
  type ClassMetricName,
  ClassTally,
  type ClassTallyOptions,
} from './plugin/tasks/classification/classificationMetrics.ts';
export {
  calibrationSection,
  classTable,
  mistakeCaption,
  worstMistakes,
} from './plugin/tasks/classification/classificationSections.ts';
export {
  classification,
  type ClassifierOptions,
  classifierSettings,
  classProbe,
  unknownLabel,
} from './plugin/tasks/classification/classification.ts';
export {
  type DataWords,
  differentLabels,
  knownLabels,
  labelsOrNumbers,
  matchLabels,
} from './plugin/tasks/classification/modelLabels.ts';
export { decodeClasses, decodeLabels, decodeValues, headDecoder, valueNames } from './plugin/tasks/decodeAnswers.ts';
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
} from './plugin/tasks/examples.ts';
export {
  AnswerMetrics,
  type AnswerReader,
  recordTargets,
  type Tally,
  type WholeAnswers,
  wholeAnswers,
  MeasuredTally,
} from './plugin/tasks/answers/answerMetrics.ts';
export {
  JoinedWindows,
  type MeanAnswer,
  meanClasses,
  meanLabels,
  meanNumbers,
  type PartAnswer,
  type WindowAnswers,
} from './plugin/tasks/answers/joinedWindows.ts';
export {
  labelling,
  type LabellingOptions,
  labellingSettings,
  labelProbe,
  labelVector,
  thresholdsOf,
} from './plugin/tasks/classification/labelling.ts';
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
} from './plugin/tasks/classification/multiLabelMetrics.ts';
export { logSumExp, type Scores, scoresOf } from './plugin/tasks/classification/scores.ts';
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
} from './plugin/tasks/statistics/bootstrap.ts';
export { type MetricRange, rangeOf } from './plugin/tasks/statistics/metricChoice.ts';
export {
  type ClassAnswers,
  classMeasure,
  type ClassScores,
  softmaxRows,
} from './plugin/tasks/statistics/classMeasure.ts';
export {
  type ComparedMeasurement,
  FEWEST_SHOWN,
  type Verdict,
  verdictOf,
  type VerdictOptions,
} from './plugin/tasks/statistics/verdict.ts';
export { kendall } from './plugin/tasks/statistics/kendall.ts';
export {
  f1,
  type LabelAnswers,
  type LabelCounts,
  labelMeasure,
  type LabelMeasures,
} from './plugin/tasks/statistics/labelMeasure.ts';
export { type Measure, meanMeasure } from './plugin/tasks/statistics/measure.ts';
export { numberMeasure, type NumberScores, pearson, spearman } from './plugin/tasks/statistics/numberMeasure.ts';
export {
  precisionRecallCurve,
  rankingMeasure,
  type RankingScores,
  rocCurve,
} from './plugin/tasks/statistics/rankingMeasure.ts';
