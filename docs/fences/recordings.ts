/** @file Recordings that stand in for a reader's own: a tone for each letter. */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { toWave } from '@onnx-lora/speech';
import { tones } from '../../test/fixtures/tones.ts';
import type { Fixture } from './fixtures.ts';

const texts = ['AB', 'BA', 'AC', 'CA', 'AD', 'DA', 'BC', 'CB', 'BD', 'DB', 'CD', 'DC'];

/** The bytes of a recording of some letters. */
export function wave(text: string): Uint8Array {
  return toWave(tones(text).channels[0]!, 16_000);
}

/** A file of that. */
export function recording(text: string): Fixture {
  return (file) => writeFileSync(file, wave(text));
}

/** A folder of recordings. */
export const clips: Fixture = (folder) => {
  mkdirSync(folder, { recursive: true });
  for (const text of texts.slice(0, 2)) writeFileSync(path.join(folder, `${text}.wav`), wave(text));
};

/** A recording of so many seconds, in which nothing is said. */
export function silence(seconds: number): Fixture {
  return (file) => writeFileSync(file, toWave(new Float32Array(seconds * 8000), 8000));
}

/** Recordings of letters by three speakers, and the manifest that says what they are. */
export const transcribed: Fixture = (folder) => {
  mkdirSync(folder, { recursive: true });
  const rows = texts.map((text, i) => {
    writeFileSync(path.join(folder, `${text}.wav`), wave(text));
    return `${text}.wav,${text},speaker ${i % 3},en`;
  });
  writeFileSync(path.join(folder, 'manifest.csv'), ['path,text,speaker,language', ...rows].join('\n'));
};

/** Class folders of recordings. */
export function spoken(names: readonly string[], perClass = 5): Fixture {
  return (folder) => {
    for (const [i, name] of names.entries()) {
      mkdirSync(path.join(folder, name), { recursive: true });
      for (let k = 0; k < perClass; k++)
        writeFileSync(path.join(folder, name, `${k}.wav`), wave('ABCD'[i]! + 'ABC'.slice(k % 3)));
    }
  };
}
