/** @file Public API of the SDK. */

export { OnnxLoraError, type ErrorCode, nearest, didYouMean } from './errors.ts';

export { openModel, type OpenOptions } from './model/openModel.ts';
export { readModelConfig } from './model/readModelConfig.ts';
export type { PathConfidence } from './match/modulePath.ts';
export { Model, type ModelParts, type ModelSessionOptions, type ModuleInfo } from './model/model.ts';
export { train, type StepEvent, type TrainOptions, type TrainResult, type TrainingRun } from './model/train.ts';
export type { LoraOptions } from './model/loraOptions.ts';
export { type LoraPreview, previewLora } from './model/previewLora.ts';
export { toPlainLora } from './model/toPlainLora.ts';
export { evaluate, type EvaluateOptions, type Evaluation } from './model/evaluate.ts';
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

export type { GraphBuilder, Operand, Value } from './graph/builder.ts';
export { binaryCrossEntropy, crossEntropy, type CrossEntropyOptions, meanSquaredError } from './train/loss.ts';
export type { ScheduleName } from './train/schedule.ts';

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

export { type ModelFacts, type ModelFamily, defaultTargetPaths } from './plugin/family.ts';
export type {
  Batch,
  Dataset,
  GraphPort,
  MetricCollector,
  Metrics,
  Prediction,
  Predictor,
  PreparedTask,
  Preprocessor,
  PreprocessorFactory,
  Task,
  TaskFactory,
  TaskModel,
  TaskOptions,
} from './plugin/task.ts';
export { MODEL_FAMILY, PREPROCESSOR_FACTORY, TASK_FACTORY, token } from './plugin/tokens.ts';
