/** @file The command `fuzz [--target NAME] [--count N] [--seed N] [--keep FOLDER]`. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '@onnx-lora/sdk/data';
import { inputOf } from './input.ts';
import { limits, type TargetReport } from './report.ts';
import { makeTarget, targets } from './targets.ts';
import { fuzzTarget } from './watch.ts';

const usage = `Usage: npm run fuzz -- [--target NAME] [--count N] [--seed N] [--keep FOLDER]

Damages small real files and has them parsed. Fails on anything thrown that is not an OnnxLoraError, on an input that
takes more than ${limits.seconds} s, and on one that takes memory beyond its size.

  --target NAME  ${Object.keys(targets).join(', ')}; all of them by default
  --count N      inputs for each target (default 100000)
  --seed N       the same number makes the same inputs (default 1)
  --keep FOLDER  where inputs that failed are kept (default fuzz-failures)`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const DEFAULT_COUNT = 100_000;

/** The command, from its arguments to its exit code: 0, 1 when an input failed, 2 for arguments that it cannot use. */
export async function fuzzCommand(
  args: readonly string[],
  { root, worker }: { readonly root: string; readonly worker: URL },
  print: (line: string) => void,
): Promise<number> {
  const options = { target: { type: 'string' }, count: { type: 'string' }, seed: { type: 'string' }, keep: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const; // prettier-ignore
  let values: { target?: string; count?: string; seed?: string; keep?: string; help?: boolean };
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    print((error as Error).message);
    return EXIT_USAGE;
  }
  const count = Number(values.count ?? DEFAULT_COUNT);
  const seed = Number(values.seed ?? 1);
  const isUsable =
    Number.isSafeInteger(count) &&
    count > 0 &&
    Number.isSafeInteger(seed) &&
    (values.target === undefined || Object.hasOwn(targets, values.target));
  if (values.help || !isUsable) {
    print(usage);
    return values.help ? 0 : EXIT_USAGE;
  }
  let failed = false;
  for (const target of values.target === undefined ? Object.keys(targets) : [values.target]) {
    const report = await fuzzTarget({ target, count, seed, root, worker });
    for (const line of reportLines(report)) print(line);
    if (report.failures.length === 0) continue;
    failed = true;
    for (const file of keep(report, seed, root, values.keep ?? 'fuzz-failures')) print(`  kept ${file}`);
  }
  return failed ? EXIT_FAILED : 0;
}

function reportLines(report: TargetReport): string[] {
  const { target, accepted, refused, seconds, mostAllocated, mostHeap, failures } = report;
  const line = `${target}: ${accepted + refused} inputs in ${seconds.toFixed(0)} s, ${accepted} accepted, ${refused} refused, ${failures.length} failed; arrays at most ${mostAllocated.toFixed(1)} and heap ${mostHeap.toFixed(0)} bytes per byte of input`;
  return [line, ...failures.map(({ index, reason }) => `  input ${index} ${reason}`)];
}

/** Writes the inputs that failed, which their numbers bring back. */
function keep({ target, failures }: TargetReport, seed: number, root: string, folder: string): string[] {
  const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-fuzz-'));
  try {
    const parser = makeTarget(target, root, scratch);
    mkdirSync(folder, { recursive: true });
    return failures.map(({ index }) => {
      const file = path.join(folder, `${target}-${seed}-${index}`);
      writeFileSync(file, inputOf(parser, Random, seed, index));
      return file;
    });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
