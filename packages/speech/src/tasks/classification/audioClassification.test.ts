/** @file Classification of sound, from folders to labels. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, modelForAdapter, openModel, type Model, train } from '@onnx-lora/sdk';
import type { ReportRequest } from '@onnx-lora/sdk/tasks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toWave } from '../../audio/formats/wav.ts';
import { tones } from '../../../../../test/fixtures/tones.ts';
import { wav2vec2Encoder } from '../../../../../test/fixtures/wav2vec2.ts';
import { AudioFileReader } from '../../audio/audioFileReader.ts';
import { speechFamilies } from '../../families/index.ts';
import { FeatureExtractorFactory } from '../../features/featureExtractorFactory.ts';
import {
  audioClassification,
  audioClassifier,
  audioRegression,
  audioRegressionTask,
  audioTagging,
} from './audioClassification.ts';

const whisper = fileURLToPath(new URL('../../../../../test/fixtures/whisperMerged', import.meta.url));
let folder: string;
let model: Model;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-lora-classes-'));
  for (const [label, letters] of Object.entries({ low: 'AB', high: 'DE' })) {
    mkdirSync(join(folder, label));
    for (let i = 0; i < 8; i++) {
      const { channels } = tones(Array.from({ length: 2 + (i % 3) }, (_, k) => letters[(i + k) % 2]).join(''));
      writeFileSync(join(folder, label, `${i}.wav`), toWave(channels[0]!, 16_000));
    }
  }
  model = await wav2vec2Encoder();
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('audio classification', () => {
  test('learns classes from folders, and answers with their names', async () => {
    const task = audioClassification(folder, { validation: 0.25, calibrate: true });
    const run = await train(model, {
      task,
      lora: { r: 4, targetModules: ['q_proj', 'v_proj'] },
      steps: 25,
      batchSize: 6,
      lr: 1e-2,
      threads: 1,
    });
    const { adapter } = await run.done;
    expect(adapter.notes.labels).toEqual(['high', 'low']);
    const { metrics, confusion } = await evaluate(model, { task, adapter });
    expect(metrics['accuracy']).toBe(1);
    expect(confusion).toEqual({ labels: ['high', 'low'], counts: [[2, 0], [0, 2]] }); // prettier-ignore

    const adapted = modelForAdapter<Model>(model, adapter);
    const classifier = await audioClassifier(adapted);
    const session = await model.session({ adapters: { adapter }, worker: false });
    const files = [join(folder, 'low', '0.wav'), join(folder, 'high', '1.wav')];
    const outputs = await session.run(await classifier.feeds(files), { adapter: 'adapter' });
    expect(classifier.decode(outputs).map(({ label }) => label)).toEqual(['low', 'high']);

    // The base's new head has learned nothing, and so has mistakes to show.
    const prepared = await audioClassification(folder, { validation: 0.25 }).prepare(adapted);
    const wrong = await prepared.report!({
      batchSize: 2,
      run: async (inputs: Parameters<typeof session.run>[0]) => {
        const { logits } = await session.run(inputs, { adapter: 'adapter' });
        return { logits: { ...logits!, data: (logits!.data as Float32Array).map((score) => -score) } };
      },
    } as Partial<ReportRequest> as ReportRequest);
    await session.release();
    expect(wrong.map(({ kind }) => kind)).toEqual(['clips', 'table']);
    const [{ clips }] = wrong as unknown as [{ clips: { audio: Uint8Array; lines: unknown[] }[] }];
    expect(clips).toHaveLength(4);
    expect(Buffer.from(clips[0]!.audio.subarray(0, 4)).toString()).toBe('RIFF');
  });

  test('learns several labels', async () => {
    const record = (text: string) => ({
      audio: tones(text),
      labels: [...new Set(text)],
    });
    const task = audioTagging(['AB', 'BA', 'C', 'AC', 'BC', 'CA', 'A', 'B'].map(record), { threshold: 0.5 });
    const run = await train(model, {
      task,
      lora: { r: 4, targetModules: ['q_proj', 'v_proj'] },
      steps: 90,
      batchSize: 8,
      lr: 1e-2,
      threads: 1,
    });
    const { adapter } = await run.done;
    const { metrics } = await evaluate(model, { task, adapter });
    expect(metrics['mAP']).toBe(1);
  });

  test('learns numbers, in their units', async () => {
    const records = ['AB', 'BA', 'AA', 'BB', 'DE', 'ED', 'DD', 'EE'].map((text, i) => ({ audio: tones(text), values: [i < 4 ? 100 : 300] })); // prettier-ignore
    const task = audioRegression([...records, { audio: tones('C'), values: [Number.NaN] }]);
    expect((await task.prepare(model)).warnings).toContain('1 recordings without a measured number are left out.');
    const run = await train(model, {
      task,
      lora: { r: 4, targetModules: ['q_proj', 'v_proj'] },
      steps: 40,
      batchSize: 8,
      // Clips of this length are padded in training alone, so that much training tells of padding.
      lr: 3e-4,
      threads: 1,
    });
    const { adapter } = await run.done;
    const { metrics } = await evaluate(model, { task, adapter });
    expect(Object.keys(metrics)).toEqual(['rmse', 'mae', 'r2', 'spearman']);
    expect(metrics.rmse).toBeLessThan(50);
    const own = modelForAdapter<Model>(model, adapter);
    const session = await own.session({ adapters: { adapter }, worker: false });
    const processor = await audioClassifier(own, {}, 'numbers');
    const outputs = await session.run(await processor.feeds([join(folder, 'low', '0.wav')]), { adapter: 'adapter' });
    await session.release();
    const [{ value }] = processor.decode(outputs) as unknown as [{ value: number }];
    expect(Math.abs(value - 100)).toBeLessThan(100);

    const reader = new AudioFileReader();
    const factory = audioRegressionTask(reader, [new FeatureExtractorFactory(reader)]);
    await using predictor = await factory.predictor(own, { adapter, load: { worker: false } });
    for await (const { prediction } of predictor.predict([join(folder, 'low', '0.wav')]))
      expect(prediction['value']).toBeCloseTo(value, 3);
  });

  test('learns numbers that columns of a manifest hold', async () => {
    const reader = new AudioFileReader();
    const factory = audioRegressionTask(reader, [new FeatureExtractorFactory(reader)]);
    const data = join(folder, 'ratings.csv');
    writeFileSync(data, 'path,mos,noise\nlow/0.wav,1.5,3\nlow/1.wav,2,\nhigh/0.wav,4,1\nhigh/1.wav,,\n');
    const settings = { 'columns.values': ['mos', 'noise'], loss: 'huber' };
    const prepared = await factory.create({ data, seed: 0, settings }).prepare(model);
    const { train, warnings, head } = prepared;
    expect([train.length, head?.labels]).toEqual([3, ['value 1', 'value 2']]);
    expect(warnings).toContain('1 recordings without a measured number are left out.');
    const { targets } = await prepared.collate([await train.get(0), await train.get(1)]);
    expect([...targets['values']!.data]).toEqual([1.5, 3, 2, 0]);
    expect([...targets['known']!.data]).toEqual([1, 1, 1, 0]);
    writeFileSync(data, 'path,value\nlow/0.wav,loud\n');
    await expect(factory.create({ data, seed: 0 }).prepare(model)).rejects.toThrow(
      /ratings\.csv, line 2, column "value": .*"loud"/,
    );
    // Options of a program are checked like the command line's.
    const given = (options: object): Promise<unknown> => audioRegression(folder, options).prepare(model);
    await expect(given({ maxSeconds: 0 })).rejects.toThrow(/^maxSeconds must be a number above 0, but it is 0\./);
    await expect(given({ splitBy: 'voice' })).rejects.toThrow(/^splitBy must be one of speaker, text, recording/);
  });

  test("feeds Whisper's encoder a window of one length, in training too", async () => {
    const whole = await openModel(whisper, { families: speechFamilies });
    const encoder = whole.parts.find(({ inputs }) => Object.keys(inputs).join() === 'input_features')!;
    const records = ['A', 'ABCDE'].map((text) => ({ audio: tones(text), labels: [text] }));
    const prepared = await audioClassification(records).prepare(encoder);
    expect(prepared.head).toMatchObject({ output: 'last_hidden_state', attach: { pool: 'mean' } });
    const examples = await Promise.all([0, 1].map((i) => prepared.train.get(i, i)));
    const { inputs } = await prepared.collate(examples);
    expect(inputs['input_features']!.dims).toEqual([2, ...examples[0]!.features.dims]);
    const session = await encoder.session({ worker: false });
    expect((await session.run(inputs))['last_hidden_state']!.dims[0]).toBe(2);
    await session.release();
  });

  test('says what is wrong with data', async () => {
    const audio = tones('A');
    const prepare = (records: Parameters<typeof audioClassification>[0]) => audioClassification(records).prepare(model);
    await expect(prepare([{ audio, where: 'x.wav' }])).rejects.toThrow(/have no labels/);
    await expect(prepare([{ audio, labels: ['a'] }])).rejects.toThrow(/one class only/);
    await expect(prepare([{ audio, labels: ['a', 'b'], where: 'x.wav' }])).rejects.toThrow(/x\.wav has 2 labels.*audio-tagging/); // prettier-ignore
    await expect(prepare([{ audio, labels: ['a'] }, { audio, labels: ['b'] }, { audio, where: 'y.wav' }])).rejects.toThrow(/y\.wav has no label/); // prettier-ignore
  });
});
