/**
 * @file A tiny Whisper learns to write down beeps: a low one is `low`, a high one is `high`. Recordings and transcripts in, an
 * adapted recogniser with its error rates before and after out.
 */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { openRecogniser, speechFamilies, speechRecognition, toWave } from '@onnx-lora/speech';

const out = path.resolve('speech');
const rate = 16_000;

// 1. Recordings, and a manifest with what is said in each: here one to three beeps, 96 to train on and 24 to test.
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const rows = ['path,text,duration,split'];
for (let i = 0; i < 120; i++) {
  const words = Array.from({ length: 1 + (i % 3) }, (_, k) => ((Math.floor(i / 3) >> k) % 2 === 1 ? 'high' : 'low'));
  await writeFile(path.join(out, `${i}.wav`), toWave(beeps(words, i), rate));
  rows.push(`${i}.wav,${words.join(' ')},1,${i < 96 ? 'train' : 'validation'}`);
}
await writeFile(path.join(out, 'manifest.csv'), rows.join('\n'));

// 2. Encoder and decoder are published as two files; they are trained as one model. This one knows English and French.
const folder = fileURLToPath(new URL('../../../test/fixtures/whisperMerged', import.meta.url));
const model = await openModel(folder, { families: speechFamilies });
const task = speechRecognition(out, { language: 'en' });
const before = await evaluate(model, { task });
const run = await train(model, {
  task,
  lora: { r: 8, alpha: 16, targetModules: 'all-linear' },
  steps: 200,
  batchSize: 16,
  lr: 8e-3,
  warmupSteps: 0.1,
});
for await (const event of run) {
  if (event.type === 'step' && event.step % 50 === 0) console.log(`step ${event.step}, loss ${event.loss.toFixed(3)}`);
}
const { adapter } = await run.done;
await adapter.save(path.join(out, 'adapter'));
const after = await evaluate(model, { task, adapter });
const percent = (share: number): string => `${(100 * share).toFixed(0)}%`;
console.log(`Word errors: ${percent(before.metrics['wer']!)} before, ${percent(after.metrics['wer']!)} after.`);

// 3. One recogniser serves the base and any number of adapters.
const recogniser = await openRecogniser(model, { adapters: { beeps: adapter } });
for (const name of [null, 'beeps']) {
  const [heard] = await recogniser.transcribeClips([beeps(['high', 'low', 'low'], 0)], {
    adapter: name,
    language: 'en',
  });
  console.log(`${name ?? 'base'}: ${heard!.text}`);
}
await recogniser.release();

/** A beep for each word, in a second of silence; no two recordings sound quite alike. */
function beeps(words: readonly string[], variant: number): Float32Array {
  const samples = new Float32Array(rate);
  for (const [i, word] of words.entries()) {
    const hertz = (word === 'low' ? 300 : 2500) * (1 + 0.02 * (((variant * 7 + i * 3) % 5) - 2));
    const from = 800 + i * 5000 + ((variant * 131) % 700);
    for (let k = 0; k < 3600; k++) {
      samples[from + k] = 0.3 * Math.sin((2 * Math.PI * hertz * k) / rate) * Math.sin((Math.PI * k) / 3600);
    }
  }
  return samples;
}
