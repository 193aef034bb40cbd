/** @file CTC recognition from sound to text, held against torch where it can be. */

import { readFileSync } from 'node:fs';
import { evaluate, type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import { type ReportRequest, wordErrors } from '@onnx-lora/sdk/tasks';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Audio } from '../../audio/audio.ts';
import { tones } from '../../../../../test/fixtures/tones.ts';
import { wav2vec2, wav2vec2Encoder } from '../../../../../test/fixtures/wav2vec2.ts';
import type { GivenSpeechRecord } from '../../data/speechRecord.ts';
import { ctcRecognition } from './ctcRecognition.ts';
import { isCtc } from './ctcPorts.ts';
import { openCtcTranscriber } from './ctcTranscriber.ts';

/** Outputs of transformers' Wav2Vec2ForCTC for `clips` (torch, float32). */
const goldens = JSON.parse(readFileSync(`${wav2vec2}/goldens.json`, 'utf8')) as {
  /** Texts that are not said in the clips, so that the losses are large. */
  texts: string[];
  sum: number;
  mean: number;
  lengths: number[];
  ids: number[][];
};
const clips: GivenSpeechRecord[] = [
  { audio: tones('AB CD'), text: 'ab, cd!' },
  { audio: tones('EA'), text: 'EA' },
];
const wrong = clips.map((clip, i) => ({ ...clip, text: goldens.texts[i]!.toLowerCase() }));
const samplesOf = ({ audio }: GivenSpeechRecord): Float32Array => (audio as Audio).channels[0]!;

let model: Model;
beforeAll(async () => {
  model = await openModel(wav2vec2);
});

describe('a model of characters', () => {
  test('is told from others', () => {
    expect(isCtc(model)).toBe(true);
    expect(isCtc({ ...model, name: 'x', config: {}, inputs: model.inputs, outputs: { logits: { type: 'float32', dims: ['batch', 5] } } })).toBe(false); // prettier-ignore
  });

  test('is fed, asked and judged as transformers does', async () => {
    const prepared = await ctcRecognition(wrong).prepare(model);
    const examples = await Promise.all([0, 1].map((i) => prepared.train.get(i)));
    const { inputs, targets } = await prepared.collate(examples);
    expect(Array.from(targets['frames']!.data, Number)).toEqual(goldens.lengths);
    const session = await model.session({ worker: false });
    const collector = prepared.metrics();
    collector.update(await session.run(inputs), targets);
    await session.release();
    // torch's mean: over labels of each row, then over rows.
    expect(collector.result()['loss']).toBeCloseTo(goldens.mean, 4);
  });

  test.each(['sum', 'mean'] as const)('has the loss of torch in training, however its batch is padded: %s', async (reduction) => {
    const run = await train(model, {
      task: ctcRecognition(wrong, { reduction }),
      lora: { r: 2, targetModules: ['q_proj'] },
      steps: 1,
      batchSize: 2,
      lr: 1e-9,
      threads: 1,
    });
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    await run.done;
    expect(losses[0]! / goldens[reduction]).toBeCloseTo(1, 4);
  }); // prettier-ignore

  test('writes the best path, clip by clip and in a batch', async () => {
    const transcriber = await openCtcTranscriber(model);
    const together = await transcriber.transcribeClips(clips.map(samplesOf));
    const expected = goldens.ids.map((ids) => ids.filter((id, i) => id !== 0 && id !== ids[i - 1]));
    expect(together.map(({ tokens }) => tokens)).toEqual(expected);
    for (const [i, clip] of clips.entries()) {
      const alone = await transcriber.transcribe(clip.audio, { timestamps: 'word' });
      expect(alone.text).toBe(together[i]!.text);
      expect(alone.segments!.flatMap(({ words }) => words!.map(({ word }) => word)).join(' ')).toBe(alone.text);
    }
    await transcriber.release();
  });

  test('hears nothing in what is shorter than a frame, and asks what there is', async () => {
    const transcriber = await openCtcTranscriber(model);
    const [first] = clips.map(samplesOf);
    const heard = await transcriber.transcribeClips([new Float32Array(100), first!, new Float32Array(0)]);
    expect(heard.map(({ text }) => text)).toEqual(['', 'AB CD', '']);
    expect((await transcriber.transcribe({ sampleRate: 16_000, channels: [new Float32Array(8)] })).text).toBe('');
    await expect(transcriber.transcribeClips([first!], { adapter: 'x' })).rejects.toThrow(/no adapter "x"/);
    const signal = AbortSignal.abort();
    await expect(transcriber.transcribe(tones('A'), { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    await transcriber.release();
    await expect(ctcRecognition([{ audio: tones('A'), labels: ['a'], where: 'y.wav' }]).prepare(model)).rejects.toThrow(
      /y\.wav has no transcript.*take the task audio-classification/,
    );
    const prepared = await ctcRecognition([
      { audio: tones('A'), text: 'abcdeabcde'.repeat(3), where: 'x.wav' },
    ]).prepare(model);
    await expect(prepared.train.get(0)).rejects.toThrow(/x\.wav: 30 characters cannot be said in \d+ frames/);
  });

  test('hears a long recording in windows, and says each word once', async () => {
    const transcriber = await openCtcTranscriber(model);
    const said = Array.from({ length: 160 }, (_, i) => ['AB', 'CDE', 'EA', 'DB'][(i * 7 + Math.floor(i / 5)) % 4]).join(' '); // prettier-ignore
    const audio = tones(said);
    expect(audio.channels[0]!.length).toBeGreaterThan(55 * 16_000);
    const { text, segments } = await transcriber.transcribe(audio, { timestamps: 'word' });
    expect(wordErrors([said], [text]).wer).toBeLessThan(0.02);
    const words = segments!.flatMap((segment) => segment.words!);
    const parts: string[] = [];
    for await (const part of transcriber.segments(audio)) parts.push(part.text);
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.join(' ')).toBe(text);
    // Where in the text a word begins is where it begins in the sound: letters take 1800 samples each.
    const last = words.at(-1)!;
    const begins = (said.lastIndexOf(' ') + 1) * (1800 / 16_000);
    expect(Math.abs(last.start - begins)).toBeLessThan(0.15);
    expect(words.every(({ start, end }, i) => end > start && start >= (words[i - 1]?.end ?? 0))).toBe(true);
    await transcriber.release();
  });
});

describe('a new vocabulary', () => {
  const hertz = { ñ: 300, é: 800, ь: 2000, ' ': 4000 };
  const spoken = ['ñé', 'éь ñ', 'ьñ', 'ñ éь'];
  const records = spoken.map((text) => ({ audio: tones(text, hertz), text, where: text }));

  test('is learned without an error, and goes with the adapter', async () => {
    const task = ctcRecognition({ train: records, validation: records, warnings: [] });
    const run = await train(model, {
      task,
      lora: { r: 8, targetModules: 'all-linear' },
      steps: 100,
      batchSize: 4,
      lr: 1.5e-2,
      threads: 1,
    });
    const { adapter } = await run.done;
    expect(adapter.notes.labels).toEqual(['é', 'ñ', 'ь', '|', '[UNK]', '[PAD]'].sort((a, b) => order(a) - order(b)));
    const { metrics, intervals, draws } = await evaluate(model, { task, adapter });
    expect(metrics).toMatchObject({ wer: 0, cer: 0 });
    expect(intervals).toMatchObject({ wer: [0, 0], cer: [0, 0] });
    // For four clips: the mean of the losses of the sets is that of the clips.
    const { units, values } = draws!['loss']!;
    expect(units).toBe(4);
    const [mean, spread] = [values.reduce((sum, each) => sum + each, 0) / values.length, Math.max(...values) - Math.min(...values)]; // prettier-ignore
    expect(Math.abs(mean - metrics['loss']!)).toBeLessThan(0.05 * spread);

    const transcriber = await openCtcTranscriber(model, { adapters: { adapter } });
    const heard = await transcriber.transcribeClips(records.map(samplesOf), { adapter: 'adapter' });
    expect(heard.map(({ text }) => text)).toEqual(spoken);
    await transcriber.release();

    const prepared = await task.prepare(modelForAdapter<Model>(model, adapter));
    expect(prepared.head).toBeUndefined();
    const session = await model.session({ adapters: { adapter }, worker: false });
    const sections = await prepared.report!({
      batchSize: 2,
      run: (inputs: Parameters<typeof session.run>[0]) => session.run(inputs, { adapter: 'adapter' }),
    } as Partial<ReportRequest> as ReportRequest);
    await session.release();
    expect(sections.length).toBeGreaterThan(0);
  });
});

test('an encoder without a head gets one for each frame', async () => {
  const encoder = await wav2vec2Encoder();
  expect(isCtc(encoder)).toBe(true);
  const records = ['AB', 'EDA', 'CB', 'DEC'].map((text) => ({ audio: tones(text), text }));
  const run = await train(encoder, {
    task: ctcRecognition(records),
    lora: { r: 4, targetModules: ['q_proj', 'v_proj'] },
    steps: 60,
    batchSize: 4,
    lr: 2e-2,
    threads: 1,
  });
  const { adapter } = await run.done;
  expect(adapter.notes.head).toMatchObject({ pool: 'each', output: 'last_hidden_state' });
  const transcriber = await openCtcTranscriber(encoder, { adapters: { adapter } });
  const heard = await transcriber.transcribeClips(records.map(samplesOf), { adapter: 'adapter' });
  expect(heard.map(({ text }) => text)).toEqual(['ab', 'eda', 'cb', 'dec']);
  await expect(transcriber.transcribeClips([samplesOf(records[0]!)])).rejects.toThrow(/no head that says characters/);
  await transcriber.release();
});

/** Characters by code point, then what is no character. */
function order(label: string): number {
  return label === '[PAD]' ? 3e6 : label === '[UNK]' ? 2e6 : label === '|' ? 1e6 : label.codePointAt(0)!;
}
