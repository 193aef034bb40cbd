/**
 * @file `@onnx-lora/sdk/testing`: what holds a plugin to the standard of the built-in ones, in any test runner. Checks return
 * what they find or throw.
 */

export { linearNet, type LinearNetSizes } from './testing/models/linearNet.ts';
export { convNet } from './testing/models/convNet.ts';
export { visionTransformer, type VisionTransformerSizes } from './testing/models/visionTransformer.ts';
export { ModelBuilder, type SmallModel } from './testing/models/modelBuilder.ts';
export { publishModel, type PublishedModel } from './testing/models/publishModel.ts';

export {
  checkAdapterRoundTrip,
  checkAdapterRows,
  type RoundTripOptions,
} from './testing/adapters/checkAdapterRoundTrip.ts';
export { randomFeeds, type RandomFeedsOptions } from './testing/adapters/randomFeeds.ts';
export { randomAdapter, type RandomAdapterOptions } from './testing/randomAdapter.ts';

export {
  checkOperator,
  type CheckOperatorOptions,
  type Composite,
  type OperatorGradient,
} from './testing/gradients/checkOperator.ts';
export type { OperandSpec, OperatorCase, ValueDomain } from './testing/gradients/operands.ts';
export { checkGradients, type CheckGradientsOptions } from './testing/gradients/checkGradients.ts';

export { checkPlugin, type PluginExamples, type PluginTask } from './testing/contracts/checkPlugin.ts';
export { checkInitializer } from './testing/contracts/checkInitializer.ts';
export { checkOptimizer, type CheckOptimizerOptions } from './testing/contracts/checkOptimizer.ts';
export { checkTuner } from './testing/contracts/checkTuner.ts';
export { checkFamily, type FamilyExamples, type FamilyModel } from './testing/contracts/checkFamily.ts';
export { checkPreprocessor, type PreprocessorExamples } from './testing/contracts/checkPreprocessor.ts';
export { checkTask, type CheckTaskOptions } from './testing/contracts/checkTask.ts';
export {
  type CheckpointCase,
  type CheckpointRun,
  compareRuns,
  readCheckpointCase,
} from './testing/conformance/checkpoint.ts';
export { type BuilderExamples, checkBuilder } from './testing/contracts/checkBuilder.ts';
export { checkDataset, type DatasetExamples } from './testing/contracts/checkDataset.ts';
export { checkProvider } from './testing/contracts/checkProvider.ts';
export { checkTracker, type TrackerExamples } from './testing/contracts/checkTracker.ts';
export { checkSection } from './testing/contracts/checkSection.ts';

export type { CaseLoss } from './testing/conformance/case.ts';
export {
  type CheckReport,
  checkNames,
  conformance,
  type ConformanceOptions,
  type ConformanceReport,
} from './testing/conformance/conformance.ts';
export type { CheckName, Outcome } from './testing/conformance/check.ts';
export type { Difference, Tolerance } from './testing/conformance/compare.ts';
