/** @file Public API of the SDK. */

export { OnnxLoraError, type ErrorCode, nearest, didYouMean } from './errors.ts';

export { openModel, type OpenOptions } from './model/openModel.ts';
export { readModelConfig } from './model/readModelConfig.ts';
export { Model, type ModelParts, type ModelSessionOptions, type ModuleInfo } from './model/model.ts';
export { train, type StepEvent, type TrainOptions, type TrainResult, type TrainingRun } from './model/train.ts';
export type { LoraOptions } from './model/loraOptions.ts';
export { type LoraPreview, previewLora } from './model/previewLora.ts';
export { evaluate, type EvaluateOptions, type Evaluation } from './model/evaluate.ts';
export { merge, type MergeResult } from './model/merge.ts';

export { Adapter } from './adapter/adapter.ts';
export type { AdapterConfig } from './adapter/peftConfig.ts';
export { loadAdapter } from './adapter/loadAdapter.ts';
export { saveOnnxAdapter } from './adapter/convert.ts';
export type { AdapterChoice, AdapterSession } from './adapter/session.ts';
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
export type { Provider, Runtime, Session, SessionOptions, SessionSource } from './runtime/session.ts';

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
