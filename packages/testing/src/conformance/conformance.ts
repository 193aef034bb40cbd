/** @file Holds case folders against the SDK, check by check. */

import { OnnxLoraError, type OpenOptions, type PrecisionName, OrtRuntime, type Runtime } from '@onnx-lora/sdk';
import { askedPrecision, precisionHere, isFewerBits, catalogueOf } from '@onnx-lora/sdk/core';
import { caseName, type ConformanceCase, hasAdapter, findCases, readCase } from './case.ts';
import { checkCheckpoint, readCheckpointCase } from './checkpoint.ts';
import { type Check, type CheckContext, type CheckName, failed, type Outcome } from './check.ts';
import { discover } from './checks/discover.ts';
import { gradients } from './checks/gradients.ts';
import { load } from './checks/load.ts';
import { loss } from './checks/loss.ts';
import { merge } from './checks/merge.ts';
import { save } from './checks/save.ts';
import { train } from './checks/train.ts';
import { inScratch } from '../lent.ts';
import { base, forward } from './outputs.ts';

/** All checks, in the order in which they run. */
export const checks: readonly Check[] = [discover, base, load, forward, loss, gradients, train, save, merge];

/** Names of the checks of adapters, in the order in which they run. Checkpoints have `build` before. */
export const checkNames: readonly CheckName[] = checks.map(({ name }) => name);

/** What one check found in one case. */
export interface CheckReport extends Outcome {
  /** Name of the case's folder. */
  readonly case: string;
  /** Which of the checks it was. */
  readonly check: CheckName;
  /** How long it took. */
  readonly seconds: number;
}

/** What all checks found in all cases. */
export interface ConformanceReport {
  /** How many checks passed. */
  readonly passed: number;
  /** How many failed. */
  readonly failed: number;
  /** How many were left out, as the case lacks what they compare with. */
  readonly skipped: number;
  /** How long all took. */
  readonly seconds: number;
  /** In the order in which they ran. */
  readonly checks: readonly CheckReport[];
}

/** Options of {@link conformance}. */
export interface ConformanceOptions {
  /** Plugins that the cases' models are opened with: their families and operators. */
  readonly plugins?: OpenOptions['plugins'];
  /** Names of checks; all by default. */
  readonly checks?: readonly CheckName[];
  /**
   * In what frozen products are computed, such as `int8`: then only gradients are checked, each by its cosine with the expected
   * one, and the loss, which may be 2% off.
   */
  readonly precision?: PrecisionName;
  /** What computes; ONNX Runtime by default. */
  readonly runtime?: Runtime;
  /** Hears of each check when it is done. */
  readonly onCheck?: (report: CheckReport) => void;
}

/**
 * Holds cases against the SDK: discovery of modules, outputs, loss, gradients, steps of training, saving and merging, one
 * case after the other. A check that cannot be made is a failure with its reason.
 *
 * @example
 * const { failed, checks } = await conformance('fixtures/cases', { plugins: [myPlugin] });
 *
 * @param folders case folders, or folders of such
 * @throws OnnxLoraError `FILE_NOT_FOUND` for a folder that is neither; `CONFIG_INVALID` for a check that does not exist
 */
export async function conformance(
  folders: string | readonly string[],
  {
    plugins,
    checks: names = [],
    precision: asked = 'float32',
    runtime = new OrtRuntime(),
    onCheck,
  }: ConformanceOptions = {},
): Promise<ConformanceReport> {
  const start = performance.now();
  const given = askedPrecision(asked);
  if (given && isFewerBits(given)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `Weights in precision "${asked}" are others than those of the cases, so their numbers are, too. Name a precision of products: int8, int8-backward or float16.`,
    );
  }
  // Models of cases are small.
  const precision = given && (await precisionHere({ ...given, smallest: 1 }, runtime));
  const wanted = precision ? [gradients] : chosen(names);
  const registry = catalogueOf(plugins);
  const reports: CheckReport[] = [];
  for (const folder of findCases(typeof folders === 'string' ? [folders] : folders)) {
    for await (const report of checkCase(folder, wanted, { plugins: registry, runtime, precision })) {
      reports.push(report);
      onCheck?.(report);
    }
  }
  const count = (status: Outcome['status']): number => reports.filter((report) => report.status === status).length;
  return {
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('not applicable'),
    seconds: (performance.now() - start) / 1000,
    checks: reports,
  };
}

async function* checkCase(
  folder: string,
  wanted: readonly Check[],
  context: Omit<CheckContext, 'scratch'>,
): AsyncGenerator<CheckReport> {
  const start = performance.now();
  const checkpoint = readCheckpointCase(folder);
  if (checkpoint) {
    const outcome = await attempted(() => checkCheckpoint(folder, checkpoint, context));
    yield { case: caseName(folder), check: 'build', ...outcome, seconds: (performance.now() - start) / 1000 };
    if (!hasAdapter(folder)) return;
  }
  let subject: ConformanceCase | undefined;
  let reason = '';
  try {
    subject = await readCase(folder, context);
  } catch (error) {
    reason = reasonOf(error);
  }
  for (const check of wanted) {
    const from = subject ? performance.now() : start;
    const outcome = subject ? await attempt(check, subject, context) : failed([reason]);
    yield { case: caseName(folder), check: check.name, ...outcome, seconds: (performance.now() - from) / 1000 };
  }
}

function chosen(only: readonly string[]): readonly Check[] {
  const unknown = only.find((name) => name !== 'build' && !(checkNames as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no check "${unknown}". Checks are ${checkNames.join(', ')}, and build of checkpoints.`,
    );
  }
  return only.length === 0 ? checks : checks.filter(({ name }) => only.includes(name));
}

async function attempt(
  check: Check,
  subject: ConformanceCase,
  context: Omit<CheckContext, 'scratch'>,
): Promise<Outcome> {
  return attempted(() => inScratch((scratch) => check.run(subject, { ...context, scratch })));
}

async function attempted(check: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await check();
  } catch (error) {
    return failed([reasonOf(error)]);
  }
}

/** What escapes without being the SDK's own error is a bug, and is shown as such. */
function reasonOf(error: unknown): string {
  if (error instanceof OnnxLoraError) return `${error.code}: ${error.message}`;
  return `unexpected ${error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]}` : String(error)}`;
}
