/** @file Predictions for short, long and streamed recordings. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Prediction } from '@onnx-lora/sdk/tasks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { monoStreamAt } from '../../audio/audio.ts';
import { AudioFileReader } from '../../audio/audioFileReader.ts';
import { toWave } from '../../audio/formats/wav.ts';
import type { Transcriber, TranscribeOptions } from '../../generation/transcriber.ts';
import { transcriptionPredictor } from './transcriptionPredictor.ts';

const rate = 16_000;
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-answers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [short, long] = [path.join(folder, 'short.wav'), path.join(folder, 'long.wav')];
beforeAll(() => {
  writeFileSync(short, toWave(new Float32Array(rate).fill(0.1), rate));
  writeFileSync(long, toWave(new Float32Array(31 * rate).fill(0.1), rate));
});

/** How long a stream lasts that is heard from its beginning. */
async function secondsOf(source: Parameters<Transcriber['segments']>[0]): Promise<number> {
  let samples = 0;
  for await (const piece of monoStreamAt(new AudioFileReader(), source, rate)) samples += piece.length;
  return samples / rate;
}

/** Says how it was asked, and how long a clip was. */
function transcriber(asked: string[]): Transcriber {
  return {
    sampleRate: rate,
    maxSamples: 30 * rate,
    transcribeClips: (clips, options) => {
      asked.push(`${clips.length} clips in ${options?.language ?? 'any language'}`);
      const segments = options?.timestamps === 'segment' ? { segments: [{ start: 0, end: 1, text: 'short' }] } : {};
      return Promise.resolve(clips.map(({ length }) => ({ text: `${length / rate} s`, tokens: [1], language: 'en', ...segments }))); // prettier-ignore
    },
    async *segments(source) {
      asked.push(typeof source === 'string' ? path.basename(source) : `${await secondsOf(source)} s`);
      yield { start: 0, end: 20, text: 'One.', language: 'ja' };
      yield { start: 20, end: 31, text: 'Two.', language: 'ja' };
    },
    transcribe: () => Promise.reject(new Error('Segments are to be heard as they come.')),
    release: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function answered(
  sources: readonly (string | AsyncIterable<Uint8Array>)[],
  request: TranscribeOptions = {},
  batchSize?: number,
): Promise<{ readonly asked: string[]; readonly answers: Prediction[]; readonly parts: [number, Prediction][] }> {
  const asked: string[] = [];
  const parts: [number, Prediction][] = [];
  const answers: Prediction[] = [];
  const predictor = transcriptionPredictor({ transcriber: transcriber(asked), reader: new AudioFileReader(), request });
  const options = { parts: true, ...(batchSize === undefined ? {} : { batchSize }) };
  for await (const { source, prediction, isPart } of predictor.predict(sources, options)) {
    if (isPart) parts.push([source, prediction]);
    else answers.push(prediction);
  }
  return { asked, answers, parts };
}

async function* stream(seconds: number): AsyncGenerator<Uint8Array> {
  const bytes = toWave(new Float32Array(seconds * rate).fill(0.1), rate);
  for (let at = 0; at < bytes.length; at += 50_000) {
    await Promise.resolve();
    yield bytes.subarray(at, at + 50_000);
  }
}

describe('answers', () => {
  it('come in the order of the sources: short ones in batches, long ones by themselves', async () => {
    const { asked, answers, parts } = await answered([short, short, short, long, short, stream(31), stream(1)], {}, 2);
    expect(asked).toEqual(['2 clips in any language', '1 clips in any language', 'long.wav', '1 clips in any language', '31 s', '1 clips in any language']); // prettier-ignore
    const [clip, whole] = [{ text: '1 s', language: 'en' }, { text: 'One.Two.', language: 'ja' }]; // prettier-ignore
    expect(answers).toEqual([clip, clip, clip, whole, clip, whole, clip]);
    expect(parts).toEqual([3, 3, 5, 5].map((source, i) => [source, { text: i % 2 === 0 ? 'One.' : 'Two.' }]));
  });

  it('tell times where they are asked for, of short ones too', async () => {
    const { answers, parts } = await answered([short, long], { timestamps: 'segment', language: 'en' });
    expect(parts).toEqual([
      [0, { text: 'short', start: 0, end: 1 }],
      [1, { text: 'One.', start: 0, end: 20 }],
      [1, { text: 'Two.', start: 20, end: 31 }],
    ]);
    expect(answers.map(({ segments }) => (segments as unknown[]).length)).toEqual([1, 2]);
  });

  it('a file that is none is an error that names it, or is left out where somebody hears of it', async () => {
    const absent = path.join(folder, 'absent.wav');
    await expect(answered([absent])).rejects.toThrow('absent.wav');
    const predictor = transcriptionPredictor({
      transcriber: transcriber([]),
      reader: new AudioFileReader(),
      request: {},
    });
    const [found, bad]: [number[], string[]] = [[], []];
    const onBadSource = (source: number, error: unknown): number => bad.push(`${source}: ${String(error)}`);
    for await (const { source } of predictor.predict([short, absent, long, short], { onBadSource })) found.push(source);
    expect(found).toEqual([0, 2, 3]);
    expect(bad).toEqual([expect.stringMatching(/^1: .*absent\.wav/)]);
  });

  it('come of the adapter that is chosen for each source', async () => {
    const asked: string[] = [];
    const own = transcriber(asked);
    const transcribeClips: Transcriber['transcribeClips'] = (clips, options) => {
      asked.push(JSON.stringify(options?.adapter));
      return own.transcribeClips(clips, options);
    };
    const parts = {
      transcriber: { ...own, transcribeClips },
      reader: new AudioFileReader(),
      request: {},
      adapter: 'a',
    };
    const predictor = transcriptionPredictor({ ...parts, adapters: ['a', 'b'] });
    const other = path.join(folder, 'other.wav');
    writeFileSync(other, toWave(new Float32Array(rate), rate));
    const sources: number[] = [];
    for await (const { source } of predictor.predict([short, short, other, short], { adapter: (source) => (source === other ? 'b' : null) })) sources.push(source); // prettier-ignore
    expect(sources).toEqual([0, 1, 2, 3]);
    expect(asked.filter((each) => !each.includes('clips'))).toEqual(['[null,null,"b",null]']);
    const unknown = predictor.predict([short], { adapter: 'c' })[Symbol.asyncIterator]();
    await expect(unknown.next()).rejects.toThrow('There is no adapter "c".');
  });
});
