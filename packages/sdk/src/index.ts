/** @file Public API of the SDK. */

export { OnnxLoraError, type ErrorCode, nearest, didYouMean, systemFailure } from './errors.ts';
export { notFound } from './files/notFound.ts';
export { errorCodes, type ErrorCodeInfo } from './errorCodes.ts';

export { openModel, type OpenOptions } from './model/openModel.ts';
export type { FixedInputs, FixedValue } from './model/fixedInputs.ts';
export { readModelConfig } from './model/readModelConfig.ts';
export type { PathConfidence } from './match/modulePath.ts';
export type { ModelFile } from './model/joinFiles.ts';
export type { UnadaptableLayer } from './match/unadaptable.ts';
export { Model, type ModelParts, type ModelSessionOptions, type ModuleInfo, type PartOf } from './model/model.ts';
export { requireExamples, train } from './model/train.ts';
export type { CheckpointOptions, NamedOptimizer, TrainOptions } from './model/training/options.ts';
export type { TrainResult, TrainingRun } from './model/training/run.ts';
export type { Sampling } from './model/training/sampling.ts';
export type { CachePrefix } from './model/training/keptPrefix.ts';
export type { Memory } from './train/forward/index.ts';
export type { PrefixReport } from './train/prefix/prefixOptions.ts';
export type {
  BadSampleEvent,
  CheckpointEvent,
  EvaluationEvent,
  SkippedEvent,
  StepEvent,
  TrainEvent,
  WarningEvent,
} from './plugin/events.ts';
export type { BadLossPolicy } from './model/training/badLoss.ts';
export type { BadSamplePolicy } from './model/training/batchQueue.ts';
export { type EarlyStopping, type MetricChoice, worseMetric, type WorseMetric } from './model/training/objective.ts';
export { TensorBoardWriter } from './model/training/tensorBoard.ts';
export type { LoraOptions, NamedTuner } from './model/loraOptions.ts';
export { type LoraPreview, previewLora } from './model/previewLora.ts';
export { toPlainLora } from './model/toPlainLora.ts';
export { evaluate, type EvaluateOptions } from './model/evaluate.ts';
export { openPredictor, type OpenPredictorOptions, type TaskPredictor } from './model/openPredictor.ts';
export { attachHead, type AttachHeadOptions, type HeadedModel } from './model/head/attachHead.ts';
export { modelFor } from './model/head/forAdapter.ts';
export type { Headable, ModelChanges } from './model/head/headable.ts';
export type { BadSample, Evaluation } from './plugin/evaluation.ts';
export {
  type AdaptersToMerge,
  merge,
  type MergeOptions,
  type MergeResult,
  unmerge,
  type WeightedAdapter,
} from './model/merge.ts';
export { exportWithInputs, type ExportOptions, type ExportResult } from './model/exportWithInputs.ts';

export type {
  ByTensor,
  ChangeOfLayer,
  ChangeOfWeight,
  LayerInGraph,
  TensorsOfTuning,
  TunedLayer,
  TunedTensor,
  Tuner,
  TunerSettings,
  Tuning,
} from './lora/tuner.ts';
export { initializerNames } from './lora/init/named.ts';
export { corda, type CordaOptions } from './lora/init/corda.ts';
export { eva, type EvaOptions } from './lora/init/eva.ts';
export { loraGa, type LoraGaOptions } from './lora/init/named.ts';
export type {
  GradientInitializer,
  InitialFactors,
  Initializer,
  InitSite,
  InputBatch,
  InputInitializer,
  InputObserver,
  ObservedLayer,
  RandomInitializer,
  WeightInitializer,
} from './lora/init/initializer.ts';
export { type Matrix, matrix } from './linalg/matrix.ts';

export { Adapter, type SaveOptions } from './adapter/adapter.ts';
export type { AdapterNotes, AttachedHead, HeadPool } from './adapter/adapterNotes.ts';
export type { RoundingError } from './adapter/editWeights.ts';
export type { AdapterConfig } from './adapter/peftConfig.ts';
export { type NamedBase, withNames } from './adapter/generations.ts';
export { type Generation, type NamePair, type NameTable, translatePath } from './adapter/nameTable.ts';
export { loadAdapter, type LoadAdapterOptions } from './model/loadAdapter.ts';
export { saveOnnxAdapter } from './adapter/convert.ts';
export { combineAdapters } from './adapter/combine/combine.ts';
export {
  combineMethods,
  type CombineMethod,
  type CombineOptions,
  type CombinePart,
} from './adapter/combine/options.ts';
export { negate } from './adapter/combine/negate.ts';
export type { AdapterBlend, AdapterChoice, AdapterRunOptions, AdapterSession, RowAdapter } from './adapter/session.ts';
export type { AdapterSource, PlaceOptions } from './adapter/adapterBank.ts';
export { readSafetensors, type Safetensors, writeSafetensors } from './adapter/safetensors.ts';
export { writeFileAtomic } from './files/wholeFile.ts';
export { GrowingFile } from './files/growingFile.ts';

export type { GivenGradient, GraphBuilder, Operand, Value } from './graph/builder.ts';
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
export { type ScheduleName, scheduleNames, type ScheduleOptions } from './train/schedules/schedule.ts';
export { type OptimizerName, optimizerNames, type OptimizerOptions } from './train/optimizers/named.ts';
export type { AdamOptions } from './train/optimizers/adam.ts';
export type { SgdOptions } from './train/optimizers/sgd.ts';
export type { LionOptions } from './train/optimizers/lion.ts';
export type { AdafactorOptions } from './train/optimizers/adafactor.ts';
export type { Optimizer, UpdateSettings } from './train/optimizers/optimizer.ts';
export type { ClipOptions } from './train/clip.ts';
export type { EmaOptions } from './train/ema.ts';
export type { LossScalingOptions } from './train/lossScale.ts';
export type { ParameterGroup, TrainedTensor } from './train/groups.ts';

export {
  type DataType,
  type Feeds,
  type Tensor,
  type TensorData,
  float32,
  int64,
  stack,
  tensor,
} from './runtime/tensor.ts';
export { OrtRuntime } from './runtime/ort.ts';
export { WorkerRuntime } from './runtime/workerRuntime.ts';
export { checkMachine, providerNames } from './runtime/providers.ts';
export { requireMetric } from './model/training/objective.ts';
export { KeptFeeds } from './runtime/keptFeeds.ts';
export type {
  ConcreteProvider,
  FallenBackNode,
  Provider,
  ProviderReport,
  RunOptions,
  Runtime,
  Session,
  SessionOptions,
  SessionSource,
  Verification,
} from './runtime/session.ts';

export {
  type FamilyFiles,
  type FamilyPart,
  type ModelFacts,
  type ModelFamily,
  defaultTargetPaths,
} from './plugin/family.ts';
export {
  type FamilyMarks,
  type ModuleName,
  pairsFrom,
  recogniser,
  type RoleNames,
  rolesFrom,
} from './plugin/moduleNames.ts';
export {
  asInLora,
  describedFamily,
  type DescribedFamily,
  type FamilyFacts,
  queriesAndValues,
} from './plugin/describedFamily.ts';
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
export type {
  PredictorInput,
  PredictorOptions,
  Preprocessor,
  PreprocessorFactory,
  TaskFactory,
  TaskOptions,
  TaskSetting,
  TaskSettingValue,
} from './plugin/taskFactory.ts';
export type { GraphPort, HeadInput, RunnableModel, RunnableOptions, TaskModel } from './plugin/taskModel.ts';
export { contentKey, ExampleSet } from './plugin/data/exampleSet.ts';
export { atPlace, nameOfRecord, type PlacedRecord } from './plugin/data/atPlace.ts';
export {
  applyAugmentations,
  type Augment,
  type AugmentationData,
  type AugmentationOptions,
  augmentationPresets,
  type AugmentationPresets,
} from './plugin/data/augmentation.ts';
export { badSetting, checkRange, checkShare, checkWhole, type Range } from './plugin/data/augmentationChecks.ts';
export {
  cellLabels,
  cellList,
  cellNumber,
  cellNumbers,
  cellOneHot,
  cellRefused,
  cellSplit,
  cellText,
} from './plugin/data/cells.ts';
export { ColumnFinder } from './plugin/data/columnFinder.ts';
export { drawSeed } from './plugin/data/drawSeed.ts';
export { fileInside } from './plugin/data/fileInside.ts';
export { FilledCache } from './plugin/data/filledCache.ts';
export { type FolderEntries, readFolder } from './plugin/data/folderEntries.ts';
export { fairHoldOut } from './plugin/data/holdOut.ts';
export { type FilesOfRecords, withoutMissing } from './plugin/data/missingFiles.ts';
export { ConfigFields } from './plugin/data/configFields.ts';
export { isObject, type JsonObject, readJsonObject } from './plugin/data/readJsonObject.ts';
export { csvCell, textOfCell } from './plugin/data/csvCell.ts';
export {
  addedTokens,
  byteLevelJson,
  type ByteLevelFiles,
  byTokenizer,
  checkedTokenizer,
  checkTokenIds,
  checkTokenizerSteps,
  parseMerges,
  readTokenizerFile,
  readTokenLines,
} from './plugin/data/tokenizerFiles.ts';
export {
  filesInTwoSplits,
  type Shared,
  sharedBetweenSplits,
  sharedWarning,
} from './plugin/data/sharedBetweenSplits.ts';
export {
  checkFraction,
  type EvalSplit,
  evalSplitSetting,
  measuredOn,
  recordsBySplit,
  type SplitData,
  telling,
  withTestForValidation,
} from './plugin/data/splitData.ts';
export { type Peeked, peeked } from './plugin/data/tableStream.ts';
export { type RecordSplit, type SplitFacts, splitRecords } from './plugin/data/splitRecords.ts';
export { type Split, splitNames } from './plugin/data/splits.ts';
export { readTable, type Table, tableEndings, tableOf, wholeTable } from './plugin/data/table.ts';
export type { Cells, Row, TableOptions } from './plugin/data/tableRow.ts';
export { openTable, type TableFormat, type TableStream } from './plugin/data/tableStream.ts';
export { inThreads, type ThreadedDataset, type ThreadOptions, ThreadPool } from './plugin/inThreads.ts';
export type { InputSizes } from './ops/resizeInputs.ts';
export { guard, type Guarded } from './plugin/guard.ts';
export { guardedFactory } from './plugin/guardedFactory.ts';
export { guardedTask } from './plugin/guardedTask.ts';
export { withLoss, type WithLossOptions } from './plugin/withLoss.ts';
export { batchesOf, type BatchSource, spread } from './plugin/tasks/batches.ts';
export { choice } from './plugin/tasks/choice.ts';
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
export { decodeLabels, thresholdsOf } from './plugin/tasks/classification/multiLabelParts.ts';
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
export {
  labelTargets,
  type LabelVector,
  labelVector,
  type MultiLabelParts,
  multiLabelParts,
  type MultiLabelPartsOptions,
  type MultiLabelRequest,
} from './plugin/tasks/classification/multiLabelParts.ts';
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
export {
  capability,
  type Capability,
  capabilityList,
  type CapabilityList,
  type Needs,
  provide,
  type Provided,
  type Provision,
} from './plugin/capability.ts';
export type {
  DatasetFactory,
  DatasetRequest,
  FinishedRun,
  InitializerFactory,
  OperatorRule,
  OptimizerFactory,
  ProviderFactory,
  SectionFactory,
  TrackedRun,
  Tracker,
  TrackerFactory,
} from './plugin/contributions.ts';
export {
  type ContributionKind,
  contributionKinds,
  type Contributions,
  definePlugin,
  type Plugin,
  PLUGIN_CONTRACT,
  type PluginDefinition,
  type Services,
} from './plugin/definePlugin.ts';
export { type Catalogue, loadPlugins, type LoadPluginsOptions } from './plugin/loadPlugins.ts';
export type { GradientRule, Surroundings, Vjp, VjpSite } from './autodiff/vjp.ts';
export type { InferenceSite, Rule as InferenceRule } from './ops/inference/site.ts';
export type { Dim, ValueType } from './graph/value.ts';
export type { NodeProto } from './graph/proto.ts';
