/** @file Metric learning on recordings. */

import { evaluate, openModel, type Model, train } from '@onnx-lora/sdk';
import type { ReportRequest } from '@onnx-lora/sdk/tasks';
import { ExampleSet } from '@onnx-lora/sdk/data';
import { beforeAll, expect, test } from 'vitest';
import { tones } from '../../../../../test/fixtures/tones.ts';
import { wav2vec2 } from '../../../../../test/fixtures/wav2vec2.ts';
import { openAudioEmbedder } from './audioEmbedder.ts';
import { audioRetrieval } from './audioRetrieval.ts';

/** Voices: who speaks is how high they speak, whatever the letters. */
const voices = ['low', 'middle', 'high'].flatMap((speaker, voice) =>
  ['AB', 'BA', 'ABA', 'BB', 'AA', 'BAB'].map((text, i) => ({
    audio: tones(text, { A: 300 + 60 * voice, B: 700 + 140 * voice }),
    speaker,
    where: `${speaker} ${i}`,
  })),
);
const data = { train: voices, validation: voices, warnings: [] };

let model: Model;
beforeAll(async () => {
  model = await openModel(wav2vec2);
});

test('recordings of one speaker come to lie together', async () => {
  const task = audioRetrieval(data);
  const before = await evaluate(model, { task });
  const run = await train(model, {
    task,
    lora: { r: 8, targetModules: 'all-linear' },
    steps: 60,
    batchSize: 6,
    lr: 5e-3,
    threads: 1,
  });
  const { adapter } = await run.done;
  const after = await evaluate(model, { task, adapter });
  expect(after.metrics['queries']).toBe(voices.length);
  expect(after.metrics['mapAtR']!).toBeGreaterThan(before.metrics['mapAtR']! + 0.2);
});

test('means in the graph and in batches are those of each recording alone', async () => {
  const prepared = await audioRetrieval(data).prepare(model);
  const trained = await ExampleSet.of(prepared.train);
  expect((await trained!.among(prepared.validation!))!.size).toBe(voices.length);
  const examples = await Promise.all([0, 1, 2].map((i) => prepared.validation!.get(i)));
  const { inputs, targets } = await prepared.collate(examples);
  const session = await model.withOutputs(prepared.outputs!).session({ worker: false });
  const collector = prepared.metrics();
  collector.update(await session.run(inputs), targets);
  const sections = await prepared.report!({
    batchSize: 4,
    run: (given: typeof inputs) => session.run(given),
  } as Partial<ReportRequest> as ReportRequest);
  await session.release();
  expect(sections.map(({ kind }) => kind)).toEqual(['scatter', 'scatter']);

  // The contrastive loss of a batch says the same of its embeddings as arithmetic on what the embedder gives.
  const embedder = await openAudioEmbedder(model);
  const [a, b, c, d] = rowsOf(await embedder.embed([0, 1, 6, 7].map((i) => data.train[i]!.audio)));
  await embedder.release();
  const pairs = { train: [0, 1, 6, 7].map((i) => data.train[i]!), warnings: [] };
  const run = await train(model, {
    task: audioRetrieval(pairs, { loss: 'info-nce', temperature: 0.5 }),
    lora: { r: 2, targetModules: ['q_proj'] },
    steps: 1,
    batchSize: 2,
    lr: 1e-9,
    threads: 1,
  });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  await run.done;
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0) / 0.5;
  // Which of a pair stands first is drawn, and its rows and columns are both compared.
  const loss = (left: Float32Array[], right: Float32Array[]): number => {
    const cross = (row: number[], at: number): number => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[at]!; // prettier-ignore
    const table = left.map((x) => right.map((y) => dot(x, y)));
    const columns = right.map((_, j) => table.map((row) => row[j]!));
    return (cross(table[0]!, 0) + cross(table[1]!, 1) + cross(columns[0]!, 0) + cross(columns[1]!, 1)) / 4;
  };
  const ways = [loss([a!, c!], [b!, d!]), loss([a!, d!], [b!, c!])];
  expect(Math.min(...ways.map((way) => Math.abs(way - losses[0]!)))).toBeLessThan(1e-4);
});

test('holds out what can find another recording, or nothing', async () => {
  const labelled = voices.map(({ audio, speaker }) => ({ audio, labels: [speaker] }));
  const sizes = async (options: Parameters<typeof audioRetrieval>[1]) => {
    const { train: groups, validation } = await audioRetrieval(labelled, options).prepare(model);
    return [groups.length, validation?.length];
  };
  // One of six recordings of a kind is too few to hold out, so two are held out.
  expect(await sizes({ holdOut: 0.17 })).toEqual([6, 6]);
  expect(await sizes({ holdOut: 0.01 })).toEqual([9, undefined]);
  await expect(sizes({ validation: 0.17 })).rejects.toThrow(/Hold more recordings out/);
});

test('says what is wrong with data', async () => {
  const prepare = (records: Parameters<typeof audioRetrieval>[0]) => audioRetrieval(records).prepare(model);
  await expect(prepare([{ audio: tones('A'), where: 'x.wav' }])).rejects.toThrow(/x\.wav has neither a label nor a speaker/); // prettier-ignore
  await expect(prepare([{ audio: tones('A'), speaker: 'a' }, { audio: tones('B'), speaker: 'b' }])).rejects.toThrow(/2 kinds, and 0 of them/); // prettier-ignore
  await expect(prepare({ train: data.train, validation: [voices[0]!, voices[6]!], warnings: [] })).rejects.toThrow(/none can find another/); // prettier-ignore
});

function rowsOf({ dims, data: all }: { dims: readonly number[]; data: ArrayLike<unknown> }): Float32Array[] {
  const width = dims[1]!;
  return Array.from({ length: dims[0]! }, (_, row) => (all as Float32Array).slice(row * width, (row + 1) * width));
}
