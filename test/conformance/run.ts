/** @file Holds cases against the SDK, check by check. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { OnnxLoraError, OrtRuntime, type Runtime } from '@onnx-lora/sdk';
import { caseName, type ConformanceCase, readCase } from './case.ts';
import { type Check, failed, type Outcome } from './check.ts';
import { base } from './checks/base.ts';
import { discover } from './checks/discover.ts';
import { forward } from './checks/forward.ts';
import { gradients } from './checks/gradients.ts';
import { load } from './checks/load.ts';
import { loss } from './checks/loss.ts';
import { merge } from './checks/merge.ts';
import { save } from './checks/save.ts';
import { train } from './checks/train.ts';

/** All checks, in the order in which they run. */
export const checks: readonly Check[] = [discover, base, load, forward, loss, gradients, train, save, merge];

/** What one check found in one case. */
export interface CheckReport extends Outcome {
  readonly case: string;
  readonly check: string;
  readonly seconds: number;
}

/** Options of {@link runConformance}. */
export interface RunOptions {
  /** Names of checks; all by default. */
  readonly only?: readonly string[];
  /** What computes; ONNX Runtime by default. */
  readonly runtime?: Runtime;
}

/**
 * Runs checks on cases, one after the other. A check that cannot be made is a failure with its reason.
 *
 * @param folders case folders
 * @throws OnnxLoraError `CONFIG_INVALID` for a check that does not exist
 */
export async function* runConformance(
  folders: readonly string[],
  { only = [], runtime = new OrtRuntime() }: RunOptions = {},
): AsyncGenerator<CheckReport> {
  const wanted = chosen(only);
  for (const folder of folders) {
    const start = performance.now();
    let subject: ConformanceCase | undefined;
    let reason = '';
    try {
      subject = await readCase(folder, runtime);
    } catch (error) {
      reason = reasonOf(error);
    }
    for (const check of wanted) {
      const from = subject ? performance.now() : start;
      const outcome = subject ? await attempt(check, subject, runtime) : failed([reason]);
      yield { case: caseName(folder), check: check.name, ...outcome, seconds: (performance.now() - from) / 1000 };
    }
  }
}

function chosen(only: readonly string[]): readonly Check[] {
  const unknown = only.find((name) => !checks.some((check) => check.name === name));
  if (unknown !== undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no check "${unknown}". Checks are ${checks.map(({ name }) => name).join(', ')}.`,
    );
  }
  return only.length === 0 ? checks : checks.filter(({ name }) => only.includes(name));
}

async function attempt(check: Check, subject: ConformanceCase, runtime: Runtime): Promise<Outcome> {
  const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-conformance-'));
  try {
    return await check.run(subject, { runtime, scratch });
  } catch (error) {
    return failed([reasonOf(error)]);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What escapes without being the SDK's own error is a bug, and is shown as such. */
function reasonOf(error: unknown): string {
  if (error instanceof OnnxLoraError) return `${error.code}: ${error.message}`;
  return `unexpected ${error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]}` : String(error)}`;
}
