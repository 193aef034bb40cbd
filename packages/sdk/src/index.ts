/** @file `@onnx-lora/sdk`: training, prediction, merging. See also `/tasks`, `/data`, `/plugin`, and `/core` underneath. */

export { OnnxLoraError, type ErrorCode } from './errors.ts';
export { openModel, type OpenOptions } from './model/openModel.ts';
export type { FixedInputs, FixedValue } from './model/graph/fixedInputs.ts';
export { Model, type ModelSessionOptions } from './model/loaded/model.ts';
export type { PlaceOptions } from './model/loaded/placing.ts';
export type { ModuleInfo } from './model/graph/namedModules.ts';
export { train } from './model/train.ts';
export type { TrainOptions } from './model/training/options/options.ts';
export type { LearningOptions } from './model/training/options/learningOptions.ts';
export type { CheckpointOptions, TrainingRunOptions } from './model/training/options/runOptions.ts';
export type { TrainResult, TrainingRun } from './model/training/trainingRun.ts';
export type { Divergence, TrainEvent, Evaluation } from './plugin/events.ts';
export type { EarlyStopping } from './model/training/objective.ts';
export type { GradientExchange } from './model/training/gradientExchange.ts';
export type { LossAndGradients } from './train/step/gradientMean.ts';
export type { MetricChoice } from './statistics/metricChoice.ts';
export { type ComparedMeasurement, type Verdict, verdictOf, type VerdictOptions } from './statistics/verdict.ts';
export type { LoraOptions } from './model/planning/loraOptions.ts';
export { type LoraPreview, previewLora } from './model/planning/previewLora.ts';
export { toPlainLora } from './model/merging/toPlainLora.ts';
export { convertToLora, type ConvertedToLora, type ConvertToLoraOptions } from './model/merging/convertToLora.ts';
export { evaluate, type EvaluateOptions } from './model/evaluate.ts';
// All of it, so that packages can add to `TaskPredictions`: TypeScript finds it through this alone.
export * from './plugin/predictions.ts';
export { openPredictor, type OpenPredictorOptions, type TaskPredictor } from './model/openPredictor.ts';
export { attachHead, type AttachHeadOptions, type HeadedModel } from './model/head/attachHead.ts';
export { modelForAdapter } from './model/head/forAdapter.ts';
export {
  type AdaptersToMerge,
  merge,
  type MergeOptions,
  type MergeResult,
  unmerge,
  type WeightedAdapter,
} from './model/merging/merge.ts';
export { quantize } from './model/quantizing/quantize.ts';
export type { QuantizedLayer, QuantizeOptions, QuantizeResult } from './model/quantizing/quantizeOptions.ts';
export type { KeptLayer } from './model/quantizing/chooseLayers.ts';
export type { LoftqOptions } from './model/quantizing/loftq.ts';
export type { CalibrationData } from './model/quantizing/outputErrors.ts';
export type { QuantizedBits, QuantizedForm, QuantizedFrom } from './ops/quantization/forms.ts';
export { exportWithInputs, type ExportOptions, type ExportResult } from './model/merging/exportWithInputs.ts';
export { exportForTriton, type TritonOptions, type TritonResult } from './model/merging/exportForTriton.ts';
export { corda, type CordaOptions } from './lora/init/corda.ts';
export { eva, type EvaOptions } from './lora/init/eva.ts';
export { loraGa, type LoraGaOptions } from './lora/init/named.ts';
export { Adapter, type SaveOptions } from './adapter/adapter.ts';
export type { AdapterConfig } from './adapter/formats/peftConfig.ts';
export { loadAdapter } from './model/opening/loadAdapter.ts';
export type { DropoutPattern } from './lora/methods/loraSite.ts';
export type { LoadAdapterOptions } from './model/opening/hub.ts';
export { saveOnnxAdapter } from './adapter/storage/convert.ts';
export { combineAdapters } from './adapter/combine/combine.ts';
export {
  combineMethods,
  type CombineMethod,
  type CombineOptions,
  type CombinePart,
} from './adapter/combine/options.ts';
export { negate } from './adapter/combine/negate.ts';
export type {
  AdapterBlend,
  AdapterChoice,
  AdapterRunOptions,
  AdapterSession,
  RowAdapter,
} from './adapter/serving/session.ts';
export type { ScheduleOptions } from './train/schedules/schedule.ts';
export type { OptimizerOptions } from './train/optimizers/named.ts';
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
export { WorkerRuntime } from './runtime/worker/workerRuntime.ts';
export { checkMachine } from './runtime/providers/providers.ts';
export { BoundFeeds } from './runtime/boundFeeds.ts';
export type { TransferableBuffers } from './runtime/transferableBuffers.ts';
export type { Provider, Runtime, Session, SessionProvider } from './runtime/session.ts';
export type {
  BasePrecision,
  EnginePrecision,
  ProductPrecision,
  WeightPrecision,
  HalfPrecision,
  IntegerPrecision,
  PrecisionChoice,
  PrecisionName,
} from './ops/precision/precision.ts';
export type { InputSize, InputSizes, EvenPositions } from './ops/rewrites/inputSizes.ts';
export { type PluginRegistry, loadPlugins, type LoadPluginsOptions } from './plugin/registry/loadPlugins.ts';
