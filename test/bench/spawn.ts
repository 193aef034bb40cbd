/** @file Starts programs that print one line of JSON, and reads it. */

import { type ErrorCode, OnnxLoraError } from '@onnx-lora/sdk';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ChildOrder, ChildResult } from './child.ts';

const execute = promisify(execFile);

/** The argument that makes the benchmark's own program a child. */
export const CHILD = '--child';

/** Printed by a child instead of a result if a user's mistake ends it. */
interface ChildFailure {
  readonly failed: { readonly code: ErrorCode; readonly message: string };
}

/** Flags of Node for training in little memory, as the guide to memory has them. */
export const SMALL_HEAP: readonly string[] = ['--optimize-for-size'];

/**
 * Runs the benchmark's program as a child with this order.
 *
 * @param flags of Node
 * @param variables of the environment, beside this process's
 * @throws OnnxLoraError that the child ended with
 */
export async function runChild(
  program: string,
  order: ChildOrder,
  flags: readonly string[] = [],
  variables: Readonly<Record<string, string>> = {},
): Promise<ChildResult> {
  const printed = await lastJson(process.execPath, [...flags, program, CHILD, JSON.stringify(order)], variables);
  const result = printed as ChildResult | ChildFailure;
  if ('failed' in result) throw new OnnxLoraError(result.failed.code, result.failed.message);
  return result;
}

/** Output line of a child: its result, or the user's mistake that ended it. */
export async function childLine(work: () => Promise<ChildResult>): Promise<string> {
  try {
    return JSON.stringify(await work());
  } catch (error) {
    if (!(error instanceof OnnxLoraError)) throw error;
    const failure: ChildFailure = { failed: { code: error.code, message: error.message } };
    return JSON.stringify(failure);
  }
}

/**
 * Runs a program and parses the last line that it prints.
 *
 * @throws Error with its stderr, if it fails
 */
export async function lastJson(
  program: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const { stdout } = await execute(program, args, { maxBuffer: 1 << 24, env: { ...process.env, ...variables } });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as unknown;
}
