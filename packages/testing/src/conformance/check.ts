/** @file Checks of conformance and their outcomes. */

import type { BasePrecision, PluginRegistry, Runtime } from '@onnx-lora/sdk';
import type { CaseLosses, ConformanceCase } from './case.ts';
import { type Difference, short } from './compare.ts';

/** Outcome of a check. */
export interface Outcome {
  /** Passed, failed, or not applicable because the case lacks the expected values. */
  readonly status: 'passed' | 'failed' | 'not applicable';
  /** The problem, the largest error, or what the case lacks. */
  readonly detail: string;
  /** Comparisons by tensor; empty for other checks. */
  readonly differences: readonly Difference[];
}

/** Context of a check, besides the case. */
export interface CheckContext {
  readonly runtime: Runtime;
  /** Precision of gradients; float32 by default. */
  readonly precision?: BasePrecision | undefined;
  /** Losses besides the built-in ones. */
  readonly losses?: CaseLosses | undefined;
  /** Plugins for opening models. */
  readonly plugins: PluginRegistry;
  /** An empty folder, deleted afterwards. */
  readonly scratch: string;
}

/** Name of a check. */
export type CheckName =
  'build' | 'discover' | 'base' | 'load' | 'forward' | 'loss' | 'gradients' | 'train' | 'save' | 'merge';

/** A comparison with the reference. An error counts as a failure. */
export interface Check {
  readonly name: Exclude<CheckName, 'build'>;
  run(subject: ConformanceCase, context: CheckContext): Promise<Outcome>;
}

const NAMED = 2;

/** Fails with the worst problems, or passes with the largest error. */
export function judge(differences: readonly Difference[], more: readonly string[] = []): Outcome {
  const wrong = differences.filter(({ problem }) => problem !== undefined).sort((a, b) => b.maxError - a.maxError);
  const problems = [...more, ...wrong.map(({ problem }) => problem!)];
  if (problems.length > 0) return { ...failed(problems), differences };
  if (differences.length === 0) return passed('');
  return { ...passed(`max error ${short(Math.max(...differences.map(({ maxError }) => maxError)))}`), differences };
}

/** Fails with these problems. */
export function failed(problems: readonly string[]): Outcome {
  const rest = problems.length - NAMED;
  const detail = problems.slice(0, NAMED).join('; ') + (rest > 0 ? `; and ${rest} more` : '');
  return { status: 'failed', detail, differences: [] };
}

export function passed(detail: string): Outcome {
  return { status: 'passed', detail, differences: [] };
}

export function notApplicable(detail: string): Outcome {
  return { status: 'not applicable', detail, differences: [] };
}
