/** @file Where the data fit several tasks, the user is asked for one: tables of images, of recordings and of sequences. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { toWave } from '@onnx-lora/speech';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeDigits } from '../../../test/fixtures/digits.ts';
import { tones } from '../../../test/fixtures/tones.ts';
import { wav2vec2 } from '../../../test/fixtures/wav2vec2.ts';
import { call, vit } from '../fixtures/call.ts';

const inRoot = (name: string): string => fileURLToPath(new URL(`../../../${name}`, import.meta.url));
const whisper = inRoot('test/fixtures/whisperMerged');
const esm = inRoot('docs/examples/models/esm2-tiny');
/** Columns of a table. */
let named: Readonly<Record<'image' | 'path' | 'sequence', readonly string[]>>;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-tasks-'));
  writeDigits(folder, { perClass: 4, classes: [0, 1] });
  const images = ['0', '1'].flatMap((each) => readdirSync(path.join(folder, each)).map((name) => `${each}/${name}`));
  const clips = [...'ñéьñéьñé'].map((text, i) => {
    const { channels } = tones(text, { ñ: 300, é: 800, ь: 2000 });
    writeFileSync(path.join(folder, `${i}.wav`), toWave(channels[0]!, 16_000));
    return `${i}.wav`;
  });
  named = { image: images, path: clips, sequence: [...'ACDEFGHI'].map((letter) => `MKTAYIAK${letter}`) };
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cells = {
  label: (i: number) => String(i % 2),
  score: (i: number) => `0.${i}`,
  value: (i: number) => `0.${i}`,
  text: (i: number) => 'ñéьñéьñé'[i]!,
  structure: () => 'HHHHHHHHH',
} as const;
type Column = keyof typeof cells;

function evaluate(model: string, kind: keyof typeof named, columns: readonly Column[], ...words: string[]) {
  const rows = named[kind].map((name, i) => [name, ...columns.map((column) => cells[column](i))].join(','));
  const file = path.join(folder, `${kind}-${columns.join('-')}.csv`);
  writeFileSync(file, [[kind, ...columns].join(','), ...rows].join('\n'));
  return call(['eval', model, '--data', file, '--threads', '1', ...words]);
}

it.each<[string, keyof typeof named, Column, Column, string, string, ...string[]]>([
  [vit, 'image', 'label', 'value', 'image-classification', 'image-regression'],
  [whisper, 'path', 'text', 'label', 'speech-recognition', 'audio-classification', '--set', 'language=en'],
  [wav2vec2, 'path', 'text', 'label', 'speech-recognition', 'audio-classification'],
  [esm, 'sequence', 'label', 'score', 'sequence-classification', 'sequence-regression'],
  [esm, 'sequence', 'label', 'structure', 'sequence-classification', 'residue-classification'],
])('%s: of %s, %s and %s', async (model, kind, own, other, usual, task, ...words) => {
  const asked = await evaluate(model, kind, [own, other], ...words);
  expect([asked.code, asked.stdout], asked.stderr).toEqual([2, '']);
  expect(asked.stderr).toContain(
    `${task} would learn the column "${other}". Say which is meant: --task ${usual} or --task ${task}.`,
  );
  const chosen = await evaluate(model, kind, [own, other], ...words, '--task', usual);
  expect(chosen.code, chosen.stderr).toBe(0);
});

it.each<[string, keyof typeof named, readonly Column[]]>([
  [vit, 'image', ['label']],
  [vit, 'image', ['label', 'text']],
  [wav2vec2, 'path', ['text']],
])('%s: of %s and %o there is one', async (model, kind, columns) => {
  const { code, stderr } = await evaluate(model, kind, columns);
  expect(code, stderr).toBe(0);
});
