/**
 * @file A tiny Whisper learns to write down beeps: a low one is `low`, a high one is `high`. Recordings and transcripts in, an
 * adapted transcriber with its error rates before and after out.
 */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { openTranscriber, speechFamilies, speechRecognition } from '@onnx-lora/speech';
import { beeps, makeBeeps } from './support/beeps.ts';

const out = path.resolve('speech');

// 1. Recordings, and a manifest with what is said in each: here one to three beeps, 96 to train on and 24 to test.
await makeBeeps(out);

// 2. Encoder and decoder are published as two files; they are trained as one model. This one knows English and French.
const folder = fileURLToPath(new URL('../../../test/fixtures/whisperMerged', import.meta.url));
// #region train
const model = await openModel(folder, { families: speechFamilies });
const task = speechRecognition(out, { language: 'en' });
const before = await evaluate(model, { task });
const run = await train(model, {
  task,
  lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' },
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
// #endregion train

// 3. One transcriber serves the base and any number of adapters.
// #region serve
const transcriber = await openTranscriber(model, { adapters: { beeps: adapter } });
for (const name of [null, 'beeps']) {
  const [heard] = await transcriber.transcribeClips([beeps(['high', 'low', 'low'], 0)], {
    adapter: name,
    language: 'en',
  });
  console.log(`${name ?? 'base'}: ${heard!.text}`);
}
await transcriber.release();
// #endregion serve
