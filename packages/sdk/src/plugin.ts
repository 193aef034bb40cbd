/** @file `@onnx-lora/sdk/plugin`: {@link definePlugin}, and all that a plugin contributes or is given. */

export type { CustomGradient } from './graph/builder.ts';
export type { Dim, ValueType } from './graph/value.ts';
export { nearest, didYouMean, systemFailure } from './errors.ts';
export { notFound } from './files/notFound.ts';
export { knownOptions, type OptionNames } from './knownOptions.ts';
export type { NamedOptimizer } from './model/training/options/learningOptions.ts';
export type {
  BadSampleEvent,
  CheckpointEvent,
  EvaluationEvent,
  SkippedEvent,
  StepEvent,
  WarningEvent,
} from './plugin/events.ts';
export { TensorBoardWriter } from './model/training/tensorBoard.ts';
export type { NamedTuner } from './model/planning/loraOptions.ts';
export type * from './lora/tuner.ts';
export type { AdapterNotes, AttachedHead, HeadPool } from './adapter/storage/adapterNotes.ts';
export { adapterConfig, configKeys, LORA, parseAdapterConfig } from './adapter/formats/peftConfig.ts';
export { numberByPattern, patternTable, scalingOf } from './adapter/formats/scaling.ts';
export { compilePattern, type Pattern, PatternWork } from './lora/patternMatch.ts';
export { asBfloat16, TorchRandom } from './runtime/torchRandom.ts';
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
export { type EigenValues, type SingularValues, solvePositive, svd, symmetricEigen } from './linalg/decompositions.ts';
export { leadingSvd } from './linalg/leadingSvd.ts';
export {
  addScaled,
  type Matrix,
  matmul,
  matrix,
  type ProductOptions,
  scaleColumns,
  sliceColumns,
  sliceRows,
  transpose,
} from './linalg/matrix.ts';
export { minimize, type MinimizeOptions, type ValueAt } from './linalg/minimize.ts';
export { trailingSvd } from './linalg/trailingSvd.ts';
export { type Orthogonal, qr } from './linalg/qr.ts';
export { type NamedBase, inNaming, transformersGeneration } from './adapter/naming/generations.ts';
export { type Generation, type NamePair, type NameTable, translatePath } from './adapter/naming/nameTable.ts';
export type { OptimizedModule, Optimizer, OptimizerState, UpdateSettings } from './train/optimizers/optimizer.ts';
export { RunQueue, type QueueOptions } from './runtime/runQueue.ts';
export { OptimizerMemory } from './train/optimizers/memory.ts';
export * as optimizerTools from './train/optimizers/settings.ts';
export { createOptimizer } from './train/optimizers/named.ts';
export type { ParameterGroup, TrainedTensor } from './train/groups.ts';
export * from './train/transformation.ts';
export type {
  ConcreteProvider,
  CpuGraph,
  FallenBackNode,
  ProviderReport,
  RunOptions,
  SessionOptions,
  SessionSource,
  Verification,
} from './runtime/session.ts';
export type { GraphEdge } from './graph/stopGradients.ts';
export {
  type FamilyFiles,
  type FamilyGraph,
  type FamilyLayer,
  type FamilyPart,
  type ModelFacts,
  type ModelFamily,
  defaultTargetPaths,
} from './plugin/families/family.ts';
export * from './plugin/families/describedFamily.ts';
export type * from './plugin/taskFactory.ts';
export { guard, type Guarded } from './plugin/guards/guard.ts';
export { guardedFactory, guardedTask } from './plugin/guards/guardedTask.ts';
export * from './plugin/registry/token.ts';
export type * from './plugin/registry/contributions.ts';
export {
  type ContributionKind,
  contributionKinds,
  type Contributions,
  definePlugin,
  type Plugin,
  PLUGIN_CONTRACT,
  type PluginDefinition,
  type Services,
} from './plugin/registry/definePlugin.ts';
export type { GradientRule, GraphContext, Vjp, VjpSite } from './autodiff/vjp.ts';
export type { InferenceSite, Rule as InferenceRule } from './ops/inference/site.ts';
export * from './plugin/settings.ts';

export { type Locate, openOnnx, type OnnxFile, parseOnnx, writeOnnx, writeOnnxFiles } from './graph/file/onnxFile.ts';
export { sessionModel } from './ops/session/sessionModel.ts';
export type { FileToWrite, OnnxToWrite } from './graph/file/stagedFiles.ts';
export { companionsIn } from './model/opening/hub.ts';
export { type Attributes, float, type GraphAttribute } from './graph/attributes.ts';
export type {
  AttributeProto,
  GraphProto,
  Int,
  KnownOperator,
  ModelProto,
  NodeProto,
  SparseTensorProto,
  StringStringEntry,
  TensorProto,
  TypeProto,
  ValueInfoProto,
} from './graph/proto.ts';
export {
  type Bytes,
  type ByteSource,
  type BytesOrigin,
  type ComputedBytes,
  type FileSlice,
  memorySource,
} from './graph/bytes.ts';
export { dataTypeName, dataTypeNumber } from './graph/dataType.ts';
export { floats, numberTensor, readFloats, readTensor, tensorProto } from './graph/tensorData.ts';
export { valueInfo } from './graph/valueInfo.ts';
export { type GraphIndex, indexGraph } from './graph/walk.ts';
export { type Bindings, inferGraph, opsetOf } from './ops/inferGraph.ts';
export { inferNode } from './ops/infer.ts';
export { openSafetensors, safetensorsMetadata, type StoredTensor } from './adapter/formats/safetensors.ts';
export { openShards } from './adapter/storage/shardedWeights.ts';
