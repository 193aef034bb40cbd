/** @file Speech recognition here and with PEFT on torch: the same model, data, batches and rates, in one run. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  recognitionCases,
  type RecognitionFigures,
  recognitionModel,
  recognitionOrder,
  recordings,
} from './recognition.ts';
import { lastJson, runChild } from './spawn.ts';

/**
 * Trains each case on both sides and prints error rates, times and memory, each training in a process of its own. PEFT hears
 * the whole window in every case.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` where model or recordings are not there
 */
export async function compareRecognition(
  self: string,
  python: string,
  script: string,
  print: (line: string) => void,
): Promise<void> {
  for (const needed of [recognitionModel, recordings]) {
    if (existsSync(needed)) continue;
    throw new OnnxLoraError('FILE_NOT_FOUND', `There is no "${needed}", with which both sides are trained.`);
  }
  print('| adapters in, heard in training | side | WER before | after | CER before | after | s | CPU s | peak MB |');
  print('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  const scratch = await mkdtemp(path.join(tmpdir(), 'onnx-lora-bench-'));
  const known = new Map<string, RecognitionFigures>();
  try {
    for (const each of recognitionCases) {
      const row = (side: string, found: RecognitionFigures): void =>
        print(`| ${each.where}, ${each.context} | ${side} | ${cells(found).join(' | ')} |`);
      row('onnx-lora', (await runChild(self, { recognition: each })) as RecognitionFigures);
      if (!known.has(each.where)) {
        const order = path.join(scratch, `${each.where}.json`);
        await writeFile(order, JSON.stringify(await recognitionOrder(each)));
        const words = [script, recognitionModel, recordings, order];
        known.set(each.where, (await lastJson(python, words)) as RecognitionFigures);
        row('PEFT', known.get(each.where)!);
      }
    }
  } finally {
    await rm(scratch, { recursive: true });
  }
}

function cells({ before, after, seconds, cpu, peakMb }: RecognitionFigures): string[] {
  const share = (value: number): string => `${(100 * value).toFixed(1)}%`;
  const rates = [before.wer, after.wer, before.cer, after.cer].map(share);
  return [...rates, ...[seconds, cpu, peakMb].map((value) => value.toFixed(0))];
}
