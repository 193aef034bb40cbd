/** @file Recordings of beeps with their transcripts: a low one is `low`, a high one is `high`. */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { toWave } from '@onnx-lora/speech';

const RATE = 16_000;

/**
 * Writes 120 recordings of one to three beeps, a second each, and `manifest.csv`: 96 to train on and 24 to test.
 *
 * @returns a summary of the data, in words
 */
export async function makeBeeps(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const rows = ['path,text,split'];
  for (let i = 0; i < 120; i++) {
    const words = Array.from({ length: 1 + (i % 3) }, (_, k) => ((Math.floor(i / 3) >> k) % 2 === 1 ? 'high' : 'low'));
    await writeFile(path.join(folder, `${i}.wav`), toWave(beeps(words, i), RATE));
    rows.push(`${i}.wav,${words.join(' ')},${i < 96 ? 'train' : 'validation'}`);
  }
  await writeFile(path.join(folder, 'manifest.csv'), `${rows.join('\n')}\n`);
  return '120 recordings, and manifest.csv';
}

/** A beep for each word, in a second of silence at 16 kHz; no two `variant`s sound quite alike. */
export function beeps(words: readonly string[], variant: number): Float32Array {
  const samples = new Float32Array(RATE);
  for (const [i, word] of words.entries()) {
    const hertz = (word === 'low' ? 300 : 2500) * (1 + 0.02 * (((variant * 7 + i * 3) % 5) - 2));
    const from = 800 + i * 5000 + ((variant * 131) % 700);
    for (let k = 0; k < 3600; k++) {
      samples[from + k] = 0.3 * Math.sin((2 * Math.PI * hertz * k) / RATE) * Math.sin((Math.PI * k) / 3600);
    }
  }
  return samples;
}
