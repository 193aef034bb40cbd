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
    const ours = (await runChild(self, { promptable: each })) as PromptableFigures;
    const masks = each.masks === 'one' ? 'one' : 'three';
    const theirs = (await lastJson(python, [script, promptableModel, stamps, each.where, masks])) as PromptableFigures;
    const scores = [ours.before, ours.after, theirs.after].map((value) => value.toFixed(3));
    const times = [ours.seconds, theirs.seconds, ours.cpu, theirs.cpu].map((value) => value.toFixed(0));
    print(`| ${[`${each.where}, ${each.masks}`, ...scores, ...times].join(' | ')} |`);
  }
}
