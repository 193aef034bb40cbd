/** @file Transcripts of held-out recordings: in their order, whatever batches they are heard in. */

import path from 'node:path';
import { type Model, openModel } from '@onnx-lora/sdk';
import { beforeAll, expect, test } from 'vitest';
import { AudioFileReader } from '../../audio/audioFileReader.ts';
import type { SpeechRecord } from '../../data/speechRecord.ts';
import { speechFamilies } from '../../families/index.ts';
import { openTranscriber } from '../../generation/openTranscriber.ts';
import { openSpeechTokenizer } from '../../text/openSpeechTokenizer.ts';
import { openAudio } from '../audioTask.ts';
import { Transcriptions } from './transcriptions.ts';

const folder = path.join(import.meta.dirname, '../../../../../test/fixtures/whisperMerged');
const rate = 16_000;
const reader = new AudioFileReader();
let model: Model;
beforeAll(async () => {
  model = await openModel(folder, { families: speechFamilies });
});

/** Recordings that the model transcribes differently: silence, a tone, noise. */
const sounds: readonly ((at: number) => number)[] = [
  () => 0,
  (at) => 0.5 * Math.sin(at * 0.1),
  (at) => (((at * 2_654_435_761) >>> 8) % 2000) / 2000 - 0.5,
];

function record(i: number, language: string, seconds = 1): SpeechRecord {
  const samples = Float32Array.from({ length: seconds * rate }, (_, at) => sounds[(i * 2) % 3]!(at));
  const text = 'word '.repeat(1 + ((i * 3) % 5));
  return { audio: { sampleRate: rate, channels: [samples] }, where: `${i}.wav`, text, language };
}

async function transcriptionsOf(records: readonly SpeechRecord[]): Promise<Transcriptions> {
  const extractor = await openAudio(model, { reader });
  return new Transcriptions({
    records,
    reader,
    extractor,
    tokenizer: await openSpeechTokenizer(folder),
    context: 'auto',
    isMultilingual: true,
  });
}

const request = (more: object = {}): Parameters<Transcriptions['of']>[0] => ({ model, options: {}, batchSize: 2, ...more }); // prettier-ignore

test('each text is that of its own recording, in its own language', async () => {
  const records = ['en', 'fr', 'en', 'fr', 'en'].map((language, i) => record(i, language));
  const transcriber = await openTranscriber(model);
  const alone: string[] = [];
  for (const { audio, language } of records) {
    const { channels } = audio as { readonly channels: readonly Float32Array[] };
    alone.push((await transcriber.transcribeClips([channels[0]!], { language: language! }))[0]!.text);
  }
  await transcriber.release();
  expect(new Set(alone).size).toBeGreaterThan(1);
  const progress: number[] = [];
  const found = await (await transcriptionsOf(records)).of(request({ onBatch: (done: number) => progress.push(done) }));
  expect(found).toEqual(alone);
  // Three of one language and two of the other, at most two at once.
  expect(progress).toEqual([2, 3, 5]);
});

test('what cannot be read is left out where that is asked for, and an error that names it else', async () => {
  const records = [record(0, 'en'), record(1, 'en', 1.5), record(2, 'en')];
  const left: number[] = [];
  const onBadSample = (index: number): unknown => left.push(index);
  const found = await (await transcriptionsOf(records)).of(request({ onBadSample }));
  expect(left).toEqual([1]);
  expect(found.map((text) => text === undefined)).toEqual([false, true, false]);
  await expect((await transcriptionsOf(records)).of(request())).rejects.toThrow(/1\.wav: it lasts 1\.5 s/);
});

test('with a limit only the first are heard, and the rest when they are asked for', async () => {
  const transcriptions = await transcriptionsOf([record(0, 'en'), record(1, 'en'), record(2, 'en')]);
  expect(await transcriptions.of(request({ limit: 1 }))).toHaveLength(1);
  const progress: number[] = [];
  expect(await transcriptions.of(request({ onBatch: (done: number) => progress.push(done) }))).toHaveLength(3);
  expect(progress).toEqual([3]);
});

test('only those are heard that are asked for', async () => {
  const records = [record(0, 'en'), record(1, 'en'), record(2, 'en')];
  const [first, , third] = await (await transcriptionsOf(records)).of(request());
  const transcriptions = await transcriptionsOf(records);
  const progress: number[] = [];
  const onBatch = (done: number, total: number): unknown => progress.push(done, total);
  expect(await transcriptions.of(request({ examples: [2], onBatch }))).toEqual([undefined, undefined, third]);
  expect(progress).toEqual([1, 1]);
  // A transcript of one request is not given to another.
  expect(await transcriptions.of(request({ examples: [0] }))).toEqual([first]);
});
