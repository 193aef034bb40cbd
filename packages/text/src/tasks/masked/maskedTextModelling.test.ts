/** @file Masked tokens of texts: learned from lines, measured, answered. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { dataFolder } from '../../../../sequences/src/fixtures/dataFolder.ts';
import { textPlugin } from '../../plugin.ts';
import { maskedTextModelling, openTextPerplexity } from './maskedTextModelling.ts';

// A RoBERTa that guesses tokens; what it was made for does not matter here.
const folder = fileURLToPath(new URL('../../../../../test/fixtures/chemberta-small', import.meta.url));
const lines = Array.from({ length: 60 }, (_, i) => `${'C'.repeat(2 + (i % 4))}OC${'N'.repeat(1 + (i % 3))}`);

it('an encoder continues learning on lines of text, and says how well it knows them', async () => {
  const model = await openModel(folder, { plugins: [textPlugin] });
  const file = join(dataFolder({ 'texts.txt': `${lines.join('\n')}\n` }), 'texts.txt');
  const task = maskedTextModelling(file, { validation: 0.25 });
  const before = await evaluate(model, { task, threads: 1 });
  const { adapter } = await (await train(model, { task, steps: 60, batchSize: 15, lr: 2e-3, threads: 1, lora: { targetModules: 'all-linear' } })).done; // prettier-ignore
  const after = await evaluate(model, { task, adapter, threads: 1 });
  expect(after.metrics['perplexity']).toBeLessThan(0.8 * before.metrics['perplexity']!);
  expect(after.metrics['perplexity']).toBeCloseTo(Math.exp(after.metrics['loss']!), 6);

  // Each text by itself has the same masks as in the measurement of all.
  const prepared = await task.prepare(model);
  expect(prepared.notes!.join()).toMatch(/^4\d texts to train on, 1\d held out/);
  const held = await Promise.all(Array.from({ length: prepared.validation!.length }, (_, i) => prepared.validation!.get(i))); // prettier-ignore
  const own = dataFolder({ 'held.txt': held.map(({ record }) => `${record.sequence}\n`).join('') });
  const guesser = await openTextPerplexity(model, { adapter, load: { threads: 1 } });
  let [sum, count] = [0, 0];
  for await (const { prediction } of guesser.predict([join(own, 'held.txt')])) {
    const { perplexity, masked } = prediction as { perplexity: number; masked: number };
    sum += masked * Math.log(perplexity);
    count += masked;
  }
  await guesser.release();
  expect(sum / count).toBeCloseTo(after.metrics['loss']!, 4);
});
