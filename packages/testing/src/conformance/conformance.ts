/** @file Runs conformance cases. */

import { OnnxLoraError, type OpenOptions, type PrecisionName, OrtRuntime, type Runtime } from '@onnx-lora/sdk';
import { requestedPrecision, precisionOnMachine, isWeightPrecision, catalogueOf } from '@onnx-lora/sdk/core';
import { type CaseLosses, caseName, type ConformanceCase, hasAdapter, findCases, readCase } from './case.ts';
import { checkCheckpoint, readCheckpointCase } from './checkpoint.ts';
import { type Check, type CheckContext, type CheckName, failed, type Outcome } from './check.ts';
import { discover, load } from './checks/discover.ts';
import { gradients } from './checks/gradients.ts';
import { loss } from './checks/loss.ts';
import { merge } from './checks/merge.ts';
import { save } from './checks/save.ts';
import { train } from './checks/train.ts';
import { inScratch } from '../scratch.ts';
import { base, forward } from './outputs.ts';

/** All checks, in order. */
export const checks: readonly Check[] = [discover, base, load, forward, loss, gradients, train, save, merge];

/** Names of the checks of adapters, in order. Checkpoints have `build` first. */
export const checkNames: readonly CheckName[] = checks.map(({ name }) => name);

/** Result of a check on a case. */
export interface CheckReport extends Outcome {
  /** Name of the case's folder. */
  readonly case: string;
  /** Name of the check. */
  readonly check: CheckName;
  /** Duration in seconds. */
  readonly seconds: number;
}

/** Results of all checks. */
export interface ConformanceReport {
  /** Number of passed checks. */
  readonly passed: number;
  /** Number of failed checks. */
  readonly failed: number;
  /** Number of checks skipped because a case lacks the expected values. */
  readonly skipped: number;
  /** Duration in seconds. */
  readonly seconds: number;
  /** Results in order. */
  readonly checks: readonly CheckReport[];
}

/** Options of {@link conformance}. */
export interface ConformanceOptions {
  /** Plugins for opening the cases' models. */
  readonly plugins?: OpenOptions['plugins'];
  /** Losses besides those of the SDK, by their kind in case.json; none by default. */
  readonly losses?: CaseLosses;
  /** Names of the checks to run; all by default. */
  readonly checks?: readonly CheckName[];
  /** Precision of frozen products, such as `int8`. Then only gradients (by cosine) and the loss (to 2%) are checked. */
  readonly precision?: PrecisionName;
  /** Runtime; ONNX Runtime by default. */
  readonly runtime?: Runtime;
  /** Called after each check. */
  readonly onCheck?: (report: CheckReport) => void;
}

/**
 * Compares the SDK with reference cases: module paths, outputs, loss, gradients, training, saving and merging. A check
 * that cannot run fails with the reason.
 * @example
 * const { failed, checks } = await conformance('fixtures/cases', { plugins: [myPlugin] });
 * @param folders case folders, or folders of cases
 * @throws OnnxLoraError `FILE_NOT_FOUND` for another folder; `CONFIG_INVALID` for an unknown check
 */
export async function conformance(
  folders: string | readonly string[],
  {
    plugins,
    checks: names = [],
    precision: asked = 'float32',
    runtime = new OrtRuntime(),
    losses,
    onCheck,
  }: ConformanceOptions = {},
): Promise<ConformanceReport> {
  const start = performance.now();
  const given = requestedPrecision(asked);
  if (given && isWeightPrecision(given)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `Weights in precision "${asked}" are others than those of the cases, so their numbers are, too. Name a precision of products: int8, int8-backward or float16.`,
    );
  }
  const precision = given && (given.name === 'bfloat16' ? given : await precisionOnMachine({ ...given, smallest: 1 }, runtime)); // prettier-ignore
  const wanted = precision ? [gradients] : chosen(names);
  const registry = catalogueOf(plugins);
  const reports: CheckReport[] = [];
  for (const folder of findCases(typeof folders === 'string' ? [folders] : folders)) {
    for await (const report of checkCase(folder, wanted, { plugins: registry, runtime, precision, losses })) {
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
    const run = (): Promise<Outcome> => inScratch((scratch) => check.run(subject!, { ...context, scratch }));
    const outcome = subject ? await attempted(run) : failed([reason]);
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

async function attempted(check: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await check();
  } catch (error) {
    return failed([reasonOf(error)]);
  }
}

/** Errors other than the SDK's are bugs, and shown as such. */
function reasonOf(error: unknown): string {
  if (error instanceof OnnxLoraError) return `${error.code}: ${error.message}`;
  return `unexpected ${error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]}` : String(error)}`;
}
