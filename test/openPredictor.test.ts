/** @file `openPredictor` answers as the pieces do that it is made of, for each kind of task. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSequenceRegressor, sciencePlugin, sequenceRegression } from '@onnx-lora/science';
import { Adapter, modelForAdapter, openModel, openPredictor, train } from '@onnx-lora/sdk';
import type { Answer, Prediction, Source } from '@onnx-lora/sdk/tasks';
import { imageClassification, imageClassifier, visionPlugin } from '@onnx-lora/vision';
import { expect, onTestFinished, test } from 'vitest';
import { writeDigits } from './fixtures/digits.ts';

const models = fileURLToPath(new URL('../docs/examples/models/', import.meta.url));

async function scratch(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'predictor-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function all(answers: AsyncIterable<Answer>): Promise<Prediction[]> {
  const found: Prediction[] = [];
  for await (const { prediction } of answers) found.push(prediction);
  return found;
}

test('labels of one’s own, in batches', async () => {
  const folder = await scratch();
  const files = writeDigits(folder, { perClass: 8, classes: [3, 7] });
  const model = await openModel(path.join(models, 'vit-mnist'), { plugins: [visionPlugin] });
  const task = imageClassification(folder, { head: 'new' });
  const { adapter } = await (await train(model, { task, steps: 4, lr: 5e-3, batchSize: 8, threads: 1 })).done;
  const predictor = await openPredictor(model, { adapter, batchSize: 5, threads: 1 });
  expect(predictor.task).toBe('image-classification');
  const answers = await all(predictor.predict(files));
  expect(await all(predictor.predict(files[0]!))).toEqual([
    { ...answers[0], score: expect.closeTo(answers[0]!['score'] as number, 5) as unknown, top: expect.anything() as unknown },
  ]); // prettier-ignore
  await predictor.release();

  const own = modelForAdapter(model, adapter);
  const classifier = await imageClassifier(own);
  await using session = await own.session({ adapters: { adapter }, threads: 1 });
  const expected = classifier.decode(await session.run(await classifier.feeds(files), { adapter: 'adapter' }));
  expect(answers.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
  expect(new Set(answers.map(({ label }) => label)).size).toBeLessThanOrEqual(2);
  for (const { label } of answers) expect(['3', '7']).toContain(label);

  // One of two adapters, or none, for each file.
  const other = new Adapter(adapter.config, new Map([...adapter.tensors].map(([name, { data, ...rest }]) => [name, { ...rest, data: Float32Array.from(data as Float32Array, (value) => -value) }])), undefined, adapter.notes); // prettier-ignore
  const adapters = { one: adapter, other };
  await using mixed = await openPredictor(model, { adapters, threads: 1 });
  const names = [...Object.keys(adapters), null];
  const choose = (file: Source): string | null => names[files.indexOf(file as string) % 3]!;
  const found = await all(mixed.predict(files, { adapter: choose, batchSize: 7 }));
  for (const [i, name] of names.entries()) {
    const same = await all(mixed.predict(files, { adapter: name }));
    for (const [at, answer] of found.entries()) {
      if (at % 3 !== i) continue;
      expect(answer['label']).toBe(same[at]!['label']);
      expect(answer['score']).toBeCloseTo(same[at]!['score'] as number, 4);
    }
  }
  const renamed = new Adapter(adapter.config, adapter.tensors, undefined, { ...adapter.notes, labels: ['a', 'b'] });
  await expect(openPredictor(model, { adapters: { adapter, renamed } })).rejects.toMatchObject({ code: 'ADAPTER_MISMATCH' }); // prettier-ignore

  const plain = await openModel(path.join(models, 'vit-mnist'));
  await expect(openPredictor(plain, { adapter })).rejects.toThrow(/brings the task "image-classification"\. Open the model with the plugin/); // prettier-ignore
  await expect(openPredictor(model, { task: 'image-clasification' })).rejects.toThrow(/Did you mean "image-classification"/); // prettier-ignore
});

test('an answer for each record of a file', async () => {
  const folder = await scratch();
  const model = await openModel(path.join(models, 'esm2-tiny'), { plugins: [sciencePlugin] });
  const sequences = ['MKTAYIAKQR', 'MKTAYIAKQL', 'GGSAYIAKQR', 'MKWWYIAKQR'];
  const records = sequences.map((sequence, i) => ({ id: `s${i}`, sequence, values: [i], where: `record ${i}` }));
  const { adapter } = await (await train(model, { task: sequenceRegression(records), steps: 2, threads: 1 })).done;
  const fasta = path.join(folder, 'some.fasta');
  await writeFile(fasta, sequences.map((sequence, i) => `>s${i}\n${sequence}\n`).join(''));
  await using predictor = await openPredictor(model, { adapter, threads: 1 });
  const answers = await all(predictor.predict(fasta));
  await using regressor = await openSequenceRegressor(modelForAdapter(model, adapter), {
    adapter,
    load: { threads: 1 },
  });
  expect(answers).toEqual(await all(regressor.predict([fasta])));
  expect(answers.map(({ id }) => id)).toEqual(['s0', 's1', 's2', 's3']);
});

test('a list of adapters, which has no names, is refused and not taken for the base', async () => {
  const model = await openModel(path.join(models, 'vit-mnist'), { plugins: [visionPlugin] });
  const adapters = [{}] as never;
  const refused = {
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('must give each adapter a name') as string,
  };
  await expect(openPredictor(model, { adapters })).rejects.toMatchObject(refused);
  await expect(model.session({ adapters })).rejects.toMatchObject(refused);
});
