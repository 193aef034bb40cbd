/** @file Detection here and with PEFT on torch: the same scenes, steps and settings, in one run. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { existsSync } from 'node:fs';
import { type DetectionFigures, detector, scenes } from './detection.ts';
import { lastJson, runChild } from './spawn.ts';
import { pairedRatio } from './statistics.ts';

/** Trainings on each side, with the seeds from 0. */
const SEEDS = 3;

/**
 * Trains on both sides in turn and prints mAP, times and memory, each training in a process of its own.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` where detector or scenes are not there
 */
export async function compareDetection(
  self: string,
  python: string,
  script: string,
  print: (line: string) => void,
): Promise<void> {
  for (const needed of [detector, scenes]) {
    if (existsSync(needed)) continue;
    throw new OnnxLoraError('FILE_NOT_FOUND', `There is no "${needed}", with which both sides are trained.`);
  }
  print('| side, seed | mAP before | after | mAP50 | s | CPU s | peak MB |');
  print('| --- | --- | --- | --- | --- | --- | --- |');
  const [ours, theirs]: [DetectionFigures[], DetectionFigures[]] = [[], []];
  for (let seed = 0; seed < SEEDS; seed++) {
    ours.push((await runChild(self, { detection: seed })) as DetectionFigures);
    print(rowOf('onnx-lora', seed, ours.at(-1)!));
    theirs.push((await lastJson(python, [script, detector, scenes, String(seed)])) as DetectionFigures);
    print(rowOf('PEFT', seed, theirs.at(-1)!));
  }
  const differences = ours.map(({ after }, i) => after - theirs[i]!.after);
  const mean = differences.reduce((sum, each) => sum + each, 0) / SEEDS;
  const deviation = Math.sqrt(differences.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (SEEDS - 1));
  // Student's t at 97.5% for two degrees of freedom.
  const half = (4.303 * deviation) / Math.sqrt(SEEDS);
  print(`mAP, ours - PEFT's: ${signed(mean)} (95%: ${signed(mean - half)} to ${signed(mean + half)})`);
  const ratio = (name: 'seconds' | 'cpu' | 'peakMb'): string =>
    pairedRatio(ours.map((each) => each[name]), theirs.map((each) => each[name])).toFixed(2); // prettier-ignore
  print(`ours / PEFT's: ${ratio('seconds')} of the time, ${ratio('cpu')} of the CPU time, ${ratio('peakMb')} of the memory`); // prettier-ignore
}

function rowOf(side: string, seed: number, { before, after, after50, seconds, cpu, peakMb }: DetectionFigures): string {
  const cells = [...[before, after, after50].map((each) => each.toFixed(3)), ...[seconds, cpu, peakMb].map((each) => each.toFixed(0))]; // prettier-ignore
  return `| ${[`${side}, ${seed}`, ...cells].join(' | ')} |`;
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(3)}`;
}
