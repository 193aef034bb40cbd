/** @file Transcription here and with transformers on torch: the same model, recordings and batches, in one run. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { existsSync } from 'node:fs';
import { lastJson, runChild } from './spawn.ts';
import { recordings, transcribeCases, type TranscribeFigures, whisperFolder } from './transcribe.ts';

/** How often each side has its turn; the shortest time counts, for whatever else runs on the machine only adds to it. */
const TURNS = 3;

/**
 * Transcribes each case on both sides in turn, each time in a process of its own, and prints the real-time factor (seconds of
 * time for a second of sound), the time of all threads, and the memory.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` where the model or the recordings are not there
 */
export async function compareTranscription(
  self: string,
  python: string,
  script: string,
  print: (line: string) => void,
): Promise<void> {
  for (const folder of [whisperFolder, recordings]) {
    if (!existsSync(folder)) {
      throw new OnnxLoraError('FILE_NOT_FOUND', `There is no "${folder}", with which both sides transcribe.`);
    }
  }
  print('| recordings | s of sound | real time | transformers | of it | CPU s | transformers | of it | MB | transformers | same texts |'); // prettier-ignore
  print('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const each of transcribeCases) {
    const ours: TranscribeFigures[] = [];
    const theirs: TranscribeFigures[] = [];
    const words = [script, whisperFolder, recordings, each.name, String(each.count), String(each.batchSize), String(each.threads)]; // prettier-ignore
    for (let turn = 0; turn < TURNS; turn++) {
      ours.push((await runChild(self, { transcribe: each })) as TranscribeFigures);
      theirs.push((await lastJson(python, words)) as TranscribeFigures);
    }
    const sides = [ours, theirs];
    const [time, timeThere] = sides.map((side) => least(side, ({ seconds, audio }) => seconds / audio)) as [number, number]; // prettier-ignore
    const [cpu, cpuThere] = sides.map((side) => least(side, (one) => one.cpu)) as [number, number];
    const [memory, memoryThere] = sides.map((side) => least(side, ({ peakMb }) => peakMb)) as [number, number];
    const { texts, audio } = ours[0]!;
    const same = texts.filter((text, i) => text === theirs[0]!.texts[i]).length;
    const compared = (own: number, other: number, digits: number): string =>
      `${own.toFixed(digits)} | ${other.toFixed(digits)} | ${(own / other).toFixed(2)}`;
    const cells = [
      `${texts.length} ${each.name}`,
      audio.toFixed(0),
      compared(time, timeThere, 4),
      compared(cpu, cpuThere, 1),
      memory.toFixed(0),
      memoryThere.toFixed(0),
      `${same} of ${texts.length}`,
    ];
    print(`| ${cells.join(' | ')} |`);
  }
}

function least(figures: readonly TranscribeFigures[], of: (one: TranscribeFigures) => number): number {
  return Math.min(...figures.map(of));
}
