/** @file Features of sound made here and by transformers, with NumPy and with torch, one thread each, in CPU time. */

import { Random } from '@onnx-lora/sdk/data';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SOUND_ROUNDS, soundCases, type SoundFigures } from './soundTimes.ts';
import { lastJson, runChild } from './spawn.ts';

/** How often each side has its turn; the shortest time counts, for whatever else runs on the machine only adds to it. */
const TURNS = 3;
const RATE = 16_000;
const SECONDS = 30;

/**
 * Measures all sides in turn, each turn in a process of its own, and prints a line per case.
 *
 * @param script that does the same in Python
 */
export async function compareSound(
  program: string,
  python: string,
  script: string,
  print: (line: string) => void,
): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-sound-'));
  try {
    const file = path.join(folder, 'sound.f32');
    await writeFile(file, new Uint8Array(sound().buffer));
    const [ours, numpy, torch]: SoundFigures[][] = [[], [], []];
    for (let turn = 0; turn < TURNS; turn++) {
      ours!.push((await runChild(program, { sound: file })) as SoundFigures);
      for (const [kind, side] of [
        ['numpy', numpy],
        ['torch', torch],
      ] as const) {
        side!.push((await lastJson(python, [script, kind, file, String(SOUND_ROUNDS)])) as SoundFigures);
      }
    }
    print(row(['features', 'ms', 'NumPy ms', 'torch ms', '× NumPy', '× torch']));
    for (const { name } of soundCases) {
      const [a, b, c] = [ours, numpy, torch].map((side) =>
        Math.min(...side!.map(({ soundMs }) => soundMs[name] ?? NaN)),
      ) as [number, number, number];
      // transformers has a way by torch for Whisper alone.
      const orNone = (value: number, digits: number): string => (Number.isNaN(value) ? '–' : value.toFixed(digits));
      print(row([name, a.toFixed(2), b.toFixed(2), orNone(c, 2), (b / a).toFixed(1), orNone(c / a, 1)]));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A voice's harmonics that come and go, and noise, `[samples]`. */
function sound(): Float32Array {
  const random = new Random(1);
  return Float32Array.from({ length: SECONDS * RATE }, (_, i) => {
    const t = i / RATE;
    const turn = 2 * Math.PI * (120 * t + 3 * Math.sin(2 * t));
    const voice = [1, 2, 3, 5, 8, 13].reduce((sum, k) => sum + Math.sin(k * turn) / k, 0);
    return 0.1 * voice * Math.sin(3 * t) ** 2 + 0.02 * (random.next() - 0.5);
  });
}

const widths = [17, 7, 9, 9, 8, 8];

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' ');
}
