/** @file Promptable segmentation here and with PEFT on torch: the same data, steps and settings, in one run. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { existsSync } from 'node:fs';
import { promptableCases, type PromptableFigures, promptableModel, stamps } from './promptable.ts';
import { lastJson, runChild } from './spawn.ts';

/**
 * Trains each case on both sides and prints mean IoU and times, each training in a process of its own.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` where the images are not there
 */
export async function comparePromptable(
  self: string,
  python: string,
  script: string,
  print: (line: string) => void,
): Promise<void> {
  if (!existsSync(stamps)) {
    throw new OnnxLoraError('FILE_NOT_FOUND', `There are no images in "${stamps}", on which both sides are trained.`);
  }
  print('| adapters in, masks | base | onnx-lora | PEFT | s | PEFT s | CPU s | PEFT CPU s |');
  print('| --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const each of promptableCases) {
    const masks = each.masks === 'one' ? 'one' : 'three';
    const ours: PromptableFigures[] = [];
    const theirs: PromptableFigures[] = [];
    for (let seed = 0; seed < each.seeds; seed++) {
      ours.push((await runChild(self, { promptable: each, seed })) as PromptableFigures);
      const words = [script, promptableModel, stamps, each.where, masks, String(seed)];
      theirs.push((await lastJson(python, words)) as PromptableFigures);
    }
    const scores = [ours[0]!.before.toFixed(3), ...[ours, theirs].map((all) => spread(all.map(({ after }) => after)))];
    const seconds = [ours, theirs].map((all) => mean(all.map((one) => one.seconds)).toFixed(0));
    const cpu = [ours, theirs].map((all) => mean(all.map((one) => one.cpu)).toFixed(0));
    print(`| ${[`${each.where}, ${each.masks}`, ...scores, ...seconds, ...cpu].join(' | ')} |`);
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The mean, and the ends of several. */
function spread(values: readonly number[]): string {
  const ends = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(3));
  return values.length === 1 ? ends[0]! : `${mean(values).toFixed(3)} (${ends.join('–')})`;
}
