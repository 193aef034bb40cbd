/** @file `@onnx-lora/sdk/core`: the layers under the public API, whose names may change in a minor release. */

export { memorySource } from './graph/bytes.ts';
export { decodeModel } from './graph/file/decode.ts';
export { type Chunks, encodeModel } from './graph/file/encode.ts';
export { FileLock, type Holder } from './files/fileLock.ts';
export { type CachedEntry, PreparedCache, type Prepared, type WriteBytes } from './files/preparedCache.ts';
export type { Owner } from './files/owner.ts';
export { weightsDigest } from './graph/file/digest.ts';
export {
  floatAttribute,
  indexNodes,
  indexWhole,
  intAttribute,
  intsAttribute,
  type NodeIndex,
  readNames,
  stringAttribute,
  subgraphs,
} from './graph/walk.ts';
export { isStatic } from './graph/value.ts';
export { valueInfo } from './graph/valueInfo.ts';
export { runSync } from './graph/eventLoop.ts';
export { operatorName } from './graph/knownOperators.ts';
export { CONTRIB } from './ops/domains.ts';
export { declaredType } from './ops/inferGraph.ts';
export { expandOperators, prepareForMatching } from './match/view.ts';
export { findSites, type FindOptions, type Site, type SiteKind, type WeightLayout } from './match/sites.ts';
export { withParts } from './match/attention/fusedQkv.ts';
export type { Arrangement, LayerBias } from './match/layers/layer.ts';
export type { Projection } from './match/structuralPath.ts';
export type { ChangedTensors, Cut, NamedTensor, Runs, StoredWeight } from './match/weights/index.ts';
export type { PathConfidence, PathSource } from './match/modulePath.ts';
export { ruleOf } from './autodiff/rules.ts';
export { type Window, windowOf } from './autodiff/images/window.ts';
export { differentiate, type Backward, type BackwardRequest } from './autodiff/backward.ts';
export { injectAdapters, type Injected, type InjectOptions } from './lora/inject.ts';
export type { GraphChange } from './lora/adapterInputs.ts';
export type { FirstValues, LowRankSite } from './lora/methods/loraSite.ts';
export type { ParameterReader, TrainedParameter } from './lora/methods/trainedParameter.ts';
export type { Factor, FactorValues } from './lora/kinds/kind.ts';
export { selectModules } from './lora/targets.ts';
export { dropoutPatterns, SiteNames } from './adapter/naming/moduleNames.ts';
export { type PlacedAdapter, placeAdapter } from './adapter/naming/place.ts';
export { joinModules } from './adapter/serving/slots.ts';
export type * from './lora/methods/moduleAdapter.ts';
export { LowRank, type PlacedLowRank } from './lora/methods/lora.ts';
export { WholeParameter } from './lora/methods/saved.ts';
export { ByTuner } from './lora/methods/byTuner.ts';
export type { ChosenTuner, AdaptedSite } from './lora/methods/adaptedLayer.ts';
export type { PrefixChange } from './adapter/naming/modulePrefix.ts';
export { mergeAdapter, type MergeAdapterOptions, type MergedModel } from './adapter/merging/merge.ts';
export type { EditedModel, RoundingError, WeightEdit } from './adapter/merging/editWeights.ts';
export { isRunFailure } from './runtime/providers/providers.ts';
export { type JsonBudget, JsonMeter } from './adapter/formats/foreignJson.ts';
export { parseSafetensors } from './adapter/formats/safetensors.ts';
export { parseOrtAdapter } from './adapter/formats/ortAdapter.ts';
export { fromOrtAdapter, toOrtAdapter } from './adapter/storage/convert.ts';
export { LORA } from './adapter/formats/peftConfig.ts';
export { isForTraining } from './adapter/formats/peftVariants.ts';
export {
  parseTensorName,
  PEFT_PREFIX,
  tensorName,
  type TensorName,
  type TensorRole,
} from './adapter/formats/tensorNames.ts';
export { type Parameter, ParameterSet } from './train/parameters.ts';
export { Trainer, type TrainerRequest, type StepResult } from './train/trainer.ts';
export type { PrefixOptions, PrefixReport } from './train/prefix/split.ts';
export type { KeptValue, PrefixLimits } from './train/prefix/split.ts';
export type { Expectation } from './train/graph/expected.ts';
export type { DropoutMask, RowsApart } from './lora/adapterInputs.ts';
export { type DrawMask, MaskDrawer } from './train/dropout.ts';
export type { BatchAxis } from './ops/rows/batchAxes.ts';
export { GradientStep } from './train/step/gradientStep.ts';
export type { CompiledStep, GradientStepRequest, MemoryPlan } from './train/step/stepRequest.ts';
export { type AdaptedGraph, adaptedGraph, type AdaptedGraphRequest } from './train/graph/adaptedGraph.ts';
export { type AddedLoss, addLoss, type LossRequest, type LossScaling } from './train/graph/addLoss.ts';
export type { Piece, Products, ProductSize } from './train/step/microBatch.ts';
export type { SizedValue } from './train/forward/index.ts';
export {
  buildTrainingGraph,
  type FrozenPrefix,
  type TrainingGraph,
  type TrainingGraphRequest,
} from './train/graph/trainingGraph.ts';
export type { TrainingRewrite } from './train/graph/rewrites.ts';
export type { ForwardRewrite } from './train/forward/index.ts';
export type { Shortcut } from './autodiff/vjp.ts';
export { GradientMean } from './train/step/gradientMean.ts';
export type { TrainerState } from './train/trainerState.ts';
export { loraPlus, type LoraPlusOptions, withoutDecay } from './train/groups.ts';
export * from './train/optimizers/named.ts';
export {
  type Schedule,
  scheduleOf,
  type ScheduleSpan,
  type ScheduleName,
  scheduleNames,
} from './train/schedules/schedule.ts';
export { type OrderOptions, ShuffledBatches, type SamplerState } from './train/sampling/sampler.ts';
export { ParameterFinder } from './adapter/merging/findParameter.ts';
export { transposedMatrix } from './runtime/layout.ts';
export { scaleRows } from './linalg/matrix.ts';
export { collectGarbage } from './runtime/garbage.ts';
export { planAdapter } from './model/planning/planAdapter.ts';
export { type PlannedAdapter, DEFAULT_RANK } from './model/planning/loraOptions.ts';
export { errorCodes, type ErrorCodeInfo } from './errorCodes.ts';
export type { ModelFile } from './model/graph/joinFiles.ts';
export type { NonMatch } from './match/mismatch.ts';
export type { UnadaptableLayer } from './match/unadaptable.ts';
export type { ModelParts, PartOf } from './model/loaded/model.ts';
export type { Sampling } from './model/training/options/sampling.ts';
export type { CachePrefix } from './model/training/options/keptPrefix.ts';
export type { Memory } from './train/forward/index.ts';
export type { BadLossPolicy } from './model/training/badLoss.ts';
export type { BadSamplePolicy } from './model/training/batchQueue.ts';
export type { ModelChanges, ModelGraph, ModelGraphParts } from './model/graph/modelGraph.ts';
export { initializerNames, initializerOf } from './lora/init/named.ts';
export type { AdapterSource, PlaceOptions } from './adapter/serving/adapterBank.ts';
export { Ema, type EmaOptions } from './train/ema.ts';
export type { LossScalingOptions } from './train/step/lossScale.ts';
export { providerNames } from './runtime/providers/providers.ts';
export { measurePrecisionGain, type PrecisionGain } from './model/loaded/precisionGain.ts';
export { quantizedBits } from './ops/quantization/forms.ts';
export { isProductPrecision, isWeightPrecision, precisionNames, sessionIn } from './ops/precision/precision.ts';
export { type RequestedPrecision, requestedPrecision, precisionOnMachine } from './model/loaded/precision.ts';
export { gradientCosines, measurePrecision } from './train/step/measurePrecision.ts';
export type { MeasuredPrecision, MeasuredProduct } from './train/step/measuredPrecision.ts';
export { type TrainDefaults, trainDefaults, trainOptionRows } from './model/training/options/options.ts';
export type {
  AnyOptionRow,
  AnyOptionRows,
  FlagFacts,
  Heading,
  IdentityFacts,
} from './model/training/options/optionRow.ts';
export { optimizerOf } from './model/training/options/checked.ts';
export { catalogueOf } from './plugin/registry/loadPlugins.ts';
