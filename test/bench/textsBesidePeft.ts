/** @file Texts here and with PEFT on torch: the same models, data, steps and rates, in one run. */

import { OnnxLoraError, type PrecisionName } from '@onnx-lora/sdk';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { lastJson, runChild, SMALL_HEAP } from './spawn.ts';
import { getMiniLm, packages, smallLlama, type TextCase, textCases, type TextFigures } from './texts.ts';

const SEEDS = 3;
/** The 97.5th percentile of Student's t with two degrees of freedom, for three seeds. */
const T = 4.303;

/**
 * Trains each case on both sides with three seeds, each in its own process, and prints metrics of the test part, times and
 * memory. The difference has the paired interval over seeds.
 *
 * @param only which cases
 * @param precisions of the base here; PEFT uses float32
 * @throws OnnxLoraError `FILE_NOT_FOUND` where the data are not there
 */
export async function compareTexts(
  self: string,
  python: string,
  script: string,
  only: RegExp,
  precisions: readonly PrecisionName[],
  print: (line: string) => void,
): Promise<void> {
  if (!existsSync(packages))
    throw new OnnxLoraError('FILE_NOT_FOUND', `There are no texts in "${packages}", on which both sides are trained.`);
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-bench-'));
  try {
    const minilm = path.join(folder, 'minilm');
    await promisify(execFile)(python, [getMiniLm, minilm]);
    print('| learned, adapted | base | metric | onnx-lora | PEFT | difference | CPU s | PEFT CPU s | MB | PEFT MB |');
    print('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
    for (const each of textCases.filter(({ task, targets }) => only.test(`${task} ${targets}`))) {
      const ours = precisions.map((): TextFigures[] => []);
      const theirs: TextFigures[] = [];
      const base = each.task === 'answers' ? smallLlama : minilm;
      for (let seed = 0; seed < SEEDS; seed++) {
        for (const [i, precision] of precisions.entries())
          ours[i]!.push((await runChild(self, { texts: each, minilm, seed, precision }, SMALL_HEAP)) as TextFigures);
        const words = [script, base, packages, each.task, each.targets, String(seed)];
        theirs.push((await lastJson(python, words)) as TextFigures);
      }
      for (const [i, precision] of precisions.entries()) print(rowOf(each, precision, ours[i]!, theirs));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

function rowOf(
  { task, targets, metric }: TextCase,
  precision: PrecisionName,
  ours: readonly TextFigures[],
  theirs: readonly TextFigures[],
): string {
  const digits = metric === 'loss' ? 3 : 1;
  const points = (value: number): string => (metric === 'loss' ? value : 100 * value).toFixed(digits);
  const values = [ours, theirs].map((side) => side.map(({ value }) => points(value)).join(', '));
  const [mean, half] = paired(ours.map(({ value }, seed) => value - theirs[seed]!.value));
  const range = `${points(mean)} (${points(mean - half)} to ${points(mean + half)})`;
  const sums = [ours, theirs].map((side) => (side.reduce((sum, { cpu }) => sum + cpu, 0) / SEEDS).toFixed(0));
  const peaks = [ours, theirs].map((side) => Math.max(...side.map(({ peakMb }) => peakMb)).toFixed(0));
  return `| ${[`${task}, ${targets}`, precision, metric, ...values, range, ...sums, ...peaks].join(' | ')} |`;
}

/** The mean, and half of its interval. */
function paired(differences: readonly number[]): readonly [mean: number, half: number] {
  const n = differences.length;
  const mean = differences.reduce((sum, each) => sum + each, 0) / n;
  const variance = differences.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (n - 1);
  return [mean, T * Math.sqrt(variance / n)];
}
