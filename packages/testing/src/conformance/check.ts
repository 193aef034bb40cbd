/** @file What a check is, and what it finds. */

import type { BasePrecision, PluginRegistry, Runtime } from '@onnx-lora/sdk';
import type { ConformanceCase } from './case.ts';
import { type Difference, short } from './compare.ts';

/** Passed, failed with a reason, or not applicable: the case lacks what the check compares with. */
export interface Outcome {
  /** Passed, failed, or left out where the case lacks what the check compares with. */
  readonly status: 'passed' | 'failed' | 'not applicable';
  /** What is wrong, how large the largest error is, or what the case lacks. */
  readonly detail: string;
  /** What was compared, tensor by tensor; empty where the check is no comparison of numbers. */
  readonly differences: readonly Difference[];
}

/** What a check may use besides the case. */
export interface CheckContext {
  readonly runtime: Runtime;
  /** In what gradients are computed; float32 where it is absent. */
  readonly precision?: BasePrecision | undefined;
  /** What models are opened with. */
  readonly plugins: PluginRegistry;
  /** An empty folder of its own, deleted afterwards. */
  readonly scratch: string;
}

/** What a check is called. */
export type CheckName =
  'build' | 'discover' | 'base' | 'load' | 'forward' | 'loss' | 'gradients' | 'train' | 'save' | 'merge';

/** One thing that is held against the oracle. What it throws counts as a failure. */
export interface Check {
  readonly name: Exclude<CheckName, 'build'>;
  run(subject: ConformanceCase, context: CheckContext): Promise<Outcome>;
}

/** Problems named in one line; the rest are counted. */
const NAMED = 2;

/** Failed with the worst of what is wrong, or passed with the largest error. */
export function judge(differences: readonly Difference[], more: readonly string[] = []): Outcome {
  const wrong = differences.filter(({ problem }) => problem !== undefined).sort((a, b) => b.maxError - a.maxError);
  const problems = [...more, ...wrong.map(({ problem }) => problem!)];
  if (problems.length > 0) return { ...failed(problems), differences };
  if (differences.length === 0) return passed('');
  return { ...passed(`max error ${short(Math.max(...differences.map(({ maxError }) => maxError)))}`), differences };
}

/** The outcome of a list of problems, none of which may be left. */
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
