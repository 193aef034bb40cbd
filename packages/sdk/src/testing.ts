/**
 * @file `@onnx-lora/sdk/testing`: what holds a plugin to the standard of the built-in ones, in any test runner. Checks return
 * what they find or throw.
 */

export {
  type CheckReport,
  checkNames,
  conformance,
  type ConformanceOptions,
  type ConformanceReport,
} from './testing/conformance/conformance.ts';
export type { CheckName, Outcome } from './testing/conformance/check.ts';
export type { Difference, Tolerance } from './testing/conformance/compare.ts';
