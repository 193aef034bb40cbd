/** @file `@onnx-lora/testing`: checks of plugins, for any test runner, by the standard of the built-in ones. */

export { convNet, linearNet, type LinearNetSizes } from './models/smallNets.ts';
export { visionTransformer, type VisionTransformerSizes } from './models/visionTransformer.ts';
export { ModelBuilder, type SmallModel } from './models/modelBuilder.ts';
export { publishModel, type PublishedModel } from './models/publishModel.ts';

export { checkAdapterRoundTrip, checkAdapterRows, type RoundTripOptions } from './adapters/checkAdapterRoundTrip.ts';
export { randomAdapter, type RandomAdapterOptions, randomFeeds, type RandomFeedsOptions } from './random.ts';

export {
  checkOperator,
  type CheckOperatorOptions,
  type Composite,
  type OperatorGradient,
} from './gradients/checkOperator.ts';
export type { OperandSpec, OperatorCase, ValueDomain } from './gradients/operands.ts';
export { checkGradients, type CheckGradientsOptions } from './gradients/checkGradients.ts';

export { checkPlugin, type PluginExamples, type PluginTask } from './contracts/checkPlugin.ts';
export { checkInitializer } from './contracts/checkInitializer.ts';
export { checkOptimizer, type CheckOptimizerOptions } from './contracts/checkOptimizer.ts';
export { checkTuner } from './contracts/checkTuner.ts';
export { checkFamily, type FamilyExamples, type FamilyModel } from './contracts/checkFamily.ts';
export { checkPreprocessor, type PreprocessorExamples } from './contracts/checkPreprocessor.ts';
export { checkTask, type CheckTaskOptions } from './contracts/checkTask.ts';
export { type CheckpointCase, type CheckpointRun, compareRuns, readCheckpointCase } from './conformance/checkpoint.ts';
export { type BuilderExamples, checkBuilder } from './contracts/checkBuilder.ts';
export { checkDataset, type DatasetExamples } from './contracts/checkDataset.ts';
export { checkProvider } from './contracts/checkProvider.ts';
export { checkTracker, type TrackerExamples } from './contracts/checkTracker.ts';
export { checkSection } from './contracts/checkSection.ts';

export type { CaseLoss, CaseLosses, CaseObjective } from './conformance/case.ts';
export {
  type CheckReport,
  checkNames,
  conformance,
  type ConformanceOptions,
  type ConformanceReport,
} from './conformance/conformance.ts';
export type { CheckName, Outcome } from './conformance/check.ts';
export type { Difference, Tolerance } from './conformance/compare.ts';
