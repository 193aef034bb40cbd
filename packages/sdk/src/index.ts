/** @file Public API of the SDK. */

export { OnnxLoraError, type ErrorCode, nearest, didYouMean } from './errors.ts';

export { openModel, type OpenOptions } from './model/openModel.ts';
export { readModelConfig } from './model/readModelConfig.ts';
export type { PathConfidence } from './match/modulePath.ts';
export type { ModelFile } from './model/joinFiles.ts';
export { Model, type ModelParts, type ModelSessionOptions, type ModuleInfo, type PartOf } from './model/model.ts';
export { train } from './model/train.ts';
export type { CheckpointOptions, TrainOptions } from './model/training/options.ts';
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
} from './model/training/events.ts';
export type { BadLossPolicy } from './model/training/badLoss.ts';
export type { BadSample, BadSamplePolicy } from './model/training/batchQueue.ts';
export type { EarlyStopping, MetricChoice } from './model/training/objective.ts';
export { TensorBoardWriter } from './model/training/tensorBoard.ts';
export type { LoraOptions } from './model/loraOptions.ts';
export { type LoraPreview, previewLora } from './model/previewLora.ts';
export { toPlainLora } from './model/toPlainLora.ts';
export { evaluate, type EvaluateOptions } from './model/evaluate.ts';
export { attachHead, type AttachHeadOptions, type HeadedModel } from './model/head/attachHead.ts';
export { modelFor } from './model/head/forAdapter.ts';
export type { Headable, ModelChanges } from './model/head/headable.ts';
export type { Evaluation } from './model/training/measure.ts';
export {
  type AdaptersToMerge,
  merge,
  type MergeOptions,
  type MergeResult,
  unmerge,
  type WeightedAdapter,
} from './model/merge.ts';
export { exportWithInputs, type ExportOptions, type ExportResult } from './model/exportWithInputs.ts';

export { initializerNames } from './lora/init/named.ts';
export { corda, type CordaOptions } from './lora/init/corda.ts';
export { eva, type EvaOptions } from './lora/init/eva.ts';
export { loraGa, type LoraGaOptions } from './lora/init/loraGa.ts';
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
export { writeFileAtomic } from './adapter/atomicFile.ts';

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
export type {
  Answerer,
  AnswererOptions,
  Batch,
  Dataset,
  GraphPort,
  HeadInput,
  MeasureRequest,
  MetricCollector,
  Metrics,
  NewHead,
  Prediction,
  Predictor,
  PredictorOptions,
  PreparedTask,
  Preprocessor,
  PreprocessorFactory,
  ReportChart,
  ReportClip,
  ReportPicture,
  ReportRequest,
  ReportSection,
  RunnableModel,
  RunnableOptions,
  Task,
  TaskFactory,
  TaskModel,
  TaskOptions,
  TaskSetting,
  TaskSettingValue,
} from './plugin/task.ts';
export { inThreads, type ThreadedDataset, type ThreadOptions, ThreadPool } from './plugin/inThreads.ts';
export { withLoss, type WithLossOptions } from './plugin/withLoss.ts';
export { MODEL_FAMILY, PREPROCESSOR_FACTORY, TASK_FACTORY, token } from './plugin/tokens.ts';
