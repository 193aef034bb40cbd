/** @file Tests of speech that is written character by character: from recordings to transcripts, with no flag but two. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadAdapter, type Verdict } from '@onnx-lora/sdk';
import { toWave } from '@onnx-lora/speech';
import { expect, it } from 'vitest';
import { tones } from '../../../../test/fixtures/tones.ts';
import { wav2vec2 } from '../../../../test/fixtures/wav2vec2.ts';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

const hertz = { ñ: 300, é: 800, ь: 2000, ' ': 4000 };

/** Recordings of a language whose letters the model has never written, with a manifest. */
function recordings(folder: string): string[] {
  mkdirSync(path.join(folder, 'clips'), { recursive: true });
  const words = ['ñé', 'éь', 'ьñ', 'ñ', 'ñéь', 'éñ'];
  const texts = Array.from({ length: 40 }, (_, i) => `${words[i % 6]} ${words[(i * 5 + 1) % 6]}`);
  const rows = texts.map((text, i) => {
    writeFileSync(path.join(folder, 'clips', `${i}.wav`), toWave(tones(text, hertz).channels[0]!, 16_000));
    return `clips/${i}.wav,"${text[0]!.toUpperCase()}${text.slice(1)}."`;
  });
  writeFileSync(path.join(folder, 'metadata.csv'), ['path,sentence', ...rows].join('\n'));
  return texts;
}

it('a vocabulary is learned, told of, measured and written', async () => {
  const folder = temporaryFolder();
  const data = path.join(folder, 'calls');
  const texts = recordings(data);
  const out = path.join(folder, 'run');
  const { code, stderr, stdout } = await call([
    'train', '--model', wav2vec2, '--data', data, '--task', 'speech-recognition', '--out', out, '--json', '--batch-size', '12', '--epochs', '30', '--lr', '1.5e-2', '--warmup-steps', '0', '--targets', 'all-linear',
  ]); // prettier-ignore
  expect(code, stderr).toBe(0);
  expect(stderr).not.toContain('warning');
  const { before, after, verdict } = JSON.parse(stdout) as Record<'before' | 'after', { wer: number; cer: number }> & { verdict: Verdict }; // prettier-ignore
  expect(verdict).toMatchObject({
    metric: 'wer',
    outcome: 'helps',
    interval: [expect.any(Number), expect.any(Number)],
  });
  expect(verdict.text).toContain('LoRA is shown to help.');
  expect(before.wer).toBeGreaterThan(0.9);
  expect(after.cer).toBeLessThan(0.1);
  const { notes } = await loadAdapter(path.join(out, 'adapter'));
  expect(notes.labels).toEqual(['é', 'ñ', 'ь', '|', '[UNK]', '[PAD]']);
  expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain('Error rates');

  const measured = await callJson<Record<'wer' | 'examples' | 'leftOut', number>>('eval', wav2vec2, '--data', data, '--adapter', out); // prettier-ignore
  expect(measured.wer).toBeLessThan(0.2);
  // Sentences are held out whole, and none of those that were trained on is measured.
  expect(measured.leftOut).toBeGreaterThan(20);
  expect(measured.leftOut + measured.examples).toBe(40);
  const files = [0, 1].map((i) => path.join(data, 'clips', `${i}.wav`));
  const heard = await callJson<{ text: string }[]>('predict', wav2vec2, ...files, '--adapter', out);
  expect(heard.map(({ text }) => text)).toEqual(texts.slice(0, 2));
});
