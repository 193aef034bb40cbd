/**
 * @file `@onnx-lora/sdk/tasks`: what tasks are made of, such as losses, metrics, heads, predictors and reports. A task of your
 * own begins with {@link Task}.
 */

export type { GraphBuilder, Operand, Value } from './graph/builder.ts';
export type { LossFragment } from './train/graph/addLoss.ts';
export { requireExamples } from './model/train.ts';
export { worseMetric, type WorseMetric, requireMetric } from './model/training/objective.ts';
export type { BadSample } from './plugin/evaluation.ts';
export {
  batchHardTriplet,
  type BatchHardTripletOptions,
  binaryCrossEntropy,
  type BinaryCrossEntropyOptions,
  contrastive,
  cosineDistance,
  cosineEmbedding,
  type CosineEmbeddingOptions,
  crossEntropy,
  type CrossEntropyOptions,
  ctc,
  type CtcOptions,
  dice,
  type DiceOptions,
  distillation,
  type DistillationOptions,
  type ElementOptions,
  huber,
  type HuberOptions,
  infoNce,
  type InfoNceOptions,
  kullbackLeibler,
  type KullbackLeiblerOptions,
  l1,
  meanSquaredError,
  negativeLogLikelihood,
  type NegativeLogLikelihoodOptions,
  type Reduction,
  sigmoidFocal,
  type SigmoidFocalOptions,
  sigmoidContrastive,
  smoothL1,
  type SmoothL1Options,
  softmaxFocal,
  type SoftmaxFocalOptions,
  supervisedContrastive,
  type SupervisedContrastiveOptions,
  tripletMargin,
  type TripletMarginOptions,
  weightedSum,
} from './train/losses/index.ts';
export type { Batch, Dataset, MetricCollector, Metrics, MetricsNamed } from './plugin/dataset.ts';
export { filePredictor } from './plugin/predict/filePredictor.ts';
export { type SourceProcessor, sourcePredictor, type SourceRequest } from './plugin/predict/sourcePredictor.ts';
export { type BatchLimits, lengthBuckets } from './plugin/predict/lengthBuckets.ts';
export { chosenAdapter, sourcesOf } from './plugin/predict/sources.ts';
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
  HeadFeatures,
  HeadValues,
  MeasureRequest,
  Measurement,
  NewHead,
  PreparedTask,
  ReportRequest,
  Task,
} from './plugin/preparedTask.ts';
export type {
  ReportChart,
  ReportClip,
  ReportHeatmap,
  ReportHistogram,
  ReportLetters,
  ReportLogoColumn,
  ReportPicture,
  ReportSection,
} from './plugin/reportSection.ts';
export type { GraphPort, HeadInput, RunnableModel, RunnableOptions, TaskModel } from './plugin/taskModel.ts';
export { withLoss, type WithLossOptions } from './plugin/withLoss.ts';
export { batchesOf, type BatchSource, spread } from './plugin/tasks/batches.ts';
export {
  answeringTask,
  classifierSettings,
  headSetting,
  labellingSettings,
  regressionSettings,
  retrievalSettings,
} from './plugin/tasks/taskSettings.ts';
export { embeddingScatter, type ScatterRequest } from './plugin/tasks/embedding/embeddingScatter.ts';
export { joinRows } from './plugin/tasks/embedding/joinRows.ts';
export {
  type KindGroup,
  type KindGrouping,
  KindGroups,
  type KindItems,
  SingleKinds,
} from './plugin/tasks/embedding/kindGroups.ts';
export {
  type RetrievalLoss,
  retrievalLoss,
  type RetrievalLossOptions,
} from './plugin/tasks/embedding/retrievalLoss.ts';
export { type EmbeddingsOf, RetrievalMetrics } from './plugin/tasks/embedding/retrievalMetrics.ts';
export {
  type LabelledMatrix,
  type RetrievalScores,
  retrievalScores,
  type QueryScores,
  scoresByQuery,
} from './plugin/tasks/embedding/retrievalScores.ts';
export { pickRows, rowsOfLengthOne, unitTensor } from './plugin/tasks/embedding/rows.ts';
export { saveEmbeddings } from './plugin/tasks/embedding/saveEmbeddings.ts';
export { heldOut, type HeldOutBatch } from './plugin/tasks/heldOut.ts';
export { listed } from './plugin/tasks/listed.ts';
export { listedPorts, shownPort } from './plugin/tasks/ports.ts';
export { decodeValues, valueNames } from './plugin/tasks/regression/decodeValues.ts';
export { regressionHead, type RegressionHeadChoice } from './plugin/tasks/regression/regressionHead.ts';
export { RegressionMetrics, type RegressionScores } from './plugin/tasks/regression/regressionMetrics.ts';
export {
  type RegressionOptions,
  type RegressionParts,
  regressionParts,
  type RegressionRequest,
  valueTargets,
} from './plugin/tasks/regression/regressionParts.ts';
export { rung } from './plugin/tasks/rung.ts';
export { beamPaths, bestPaths } from './plugin/tasks/text/ctcDecoding.ts';
export { CtcTokenizer, type CtcTokenizerOptions, type FramesOptions } from './plugin/tasks/text/ctcTokenizer.ts';
export { align, type AlignedPiece, countEdits, type EditCounts } from './plugin/tasks/text/edits.ts';
export { ErrorCounter, type ErrorRates, wordErrors, wordsOf } from './plugin/tasks/text/wordErrors.ts';
export {
  calibrationError,
  type ConfidenceBin,
  fitTemperature,
  type LabelledScores,
  reliability,
  temperatureOf,
} from './plugin/tasks/classification/calibration.ts';
export {
  chooseHead,
  type HeadChoice,
  type HeadPort,
  noHead,
  replacedHead,
  type TaskHead,
} from './plugin/tasks/classification/chooseHead.ts';
export { balancedWeights, type ClassBalance, classWeights } from './plugin/tasks/classification/classBalance.ts';
export {
  ClassificationMetrics,
  type ClassificationMetricsOptions,
  type ClassificationScores,
} from './plugin/tasks/classification/classificationMetrics.ts';
export {
  answersOf,
  calibrationSection,
  type ClassAnswer,
  classTable,
  mistakeCaption,
  worstMistakes,
} from './plugin/tasks/classification/classificationSections.ts';
export {
  type ClassifierOptions,
  type ClassifierParts,
  classifierParts,
  type ClassifierRequest,
} from './plugin/tasks/classification/classifierParts.ts';
export { type DataWords, differentLabels, unknownLabel } from './plugin/tasks/classification/dataLabels.ts';
export { decodeClasses, type ScoredLabel } from './plugin/tasks/classification/decodeClasses.ts';
export {
  decodeLabels,
  thresholdsOf,
  labelTargets,
  type LabelVector,
  labelVector,
  type MultiLabelParts,
  multiLabelParts,
  type MultiLabelPartsOptions,
  type MultiLabelRequest,
} from './plugin/tasks/classification/multiLabelParts.ts';
export { accuracyOf, heldOutScores, type LabelledExamples } from './plugin/tasks/classification/heldOutScores.ts';
export { checkLabelSmoothing, type ClassWeighting, weightsOf } from './plugin/tasks/classification/lossWeights.ts';
export { knownLabels, labelsOrNumbers, matchLabels } from './plugin/tasks/classification/modelLabels.ts';
export {
  averagePrecisions,
  bestThresholds,
  f1,
  type LabelCounts,
  labelCounts,
  type LabelScores,
  MultiLabelMetrics,
  type MultiLabelMetricsOptions,
  type MultiLabelScores,
  probability,
} from './plugin/tasks/classification/multiLabelMetrics.ts';
export { logSumExp, type Scores, scoresOf } from './plugin/tasks/classification/scores.ts';
export {
  bootstrapInterval,
  bootstrapIntervals,
  type BootstrapOptions,
  drawsFor,
} from './plugin/tasks/statistics/bootstrap.ts';
export {
  type ClassAnswers,
  classMeasure,
  type ClassScores,
  softmaxRows,
} from './plugin/tasks/statistics/classMeasure.ts';
export { kendall } from './plugin/tasks/statistics/kendall.ts';
export { type LabelAnswers, labelMeasure, type LabelMeasures } from './plugin/tasks/statistics/labelMeasure.ts';
export { type Measure, meanMeasure } from './plugin/tasks/statistics/measure.ts';
export { numberMeasure, type NumberScores, pearson, spearman } from './plugin/tasks/statistics/numberMeasure.ts';
export {
  precisionRecallCurve,
  rankingMeasure,
  type RankingScores,
  rocCurve,
} from './plugin/tasks/statistics/rankingMeasure.ts';
