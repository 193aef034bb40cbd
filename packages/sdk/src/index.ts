/** @file Public API of the SDK. */

export { OnnxLoraError, type ErrorCode, nearest, didYouMean } from './errors.ts';
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
