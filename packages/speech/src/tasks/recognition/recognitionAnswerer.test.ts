/** @file What predict is told of short and long recordings, and of what streams in. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Prediction } from '@onnx-lora/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { monoStreamAt } from '../../audio/mono.ts';
import { SoundReader } from '../../audio/soundReader.ts';
import { toWave } from '../../audio/wave.ts';
import type { Recogniser, TranscribeOptions } from '../../generation/recogniser.ts';
import { recognitionAnswerer } from './recognitionAnswerer.ts';

const rate = 16_000;
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-answers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [short, long] = [path.join(folder, 'short.wav'), path.join(folder, 'long.wav')];
beforeAll(() => {
  writeFileSync(short, toWave(new Float32Array(rate).fill(0.1), rate));
  writeFileSync(long, toWave(new Float32Array(31 * rate).fill(0.1), rate));
});

/** How long a stream lasts that is heard from its beginning. */
async function secondsOf(source: Parameters<Recogniser['segments']>[0]): Promise<number> {
  let samples = 0;
  for await (const piece of monoStreamAt(new SoundReader(), source, rate)) samples += piece.length;
  return samples / rate;
}

/** Says how it was asked, and how long a clip was. */
function recogniser(asked: string[]): Recogniser {
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
  const answerer = recognitionAnswerer({ recogniser: recogniser(asked), reader: new SoundReader(), request });
  const options = { onPart: (source: number, part: Prediction) => parts.push([source, part]) };
  for await (const each of answerer.answers(sources, batchSize === undefined ? options : { ...options, batchSize })) answers.push(each); // prettier-ignore
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

  it('a file that is none is an error that names it', async () => {
    await expect(answered([path.join(folder, 'absent.wav')])).rejects.toThrow('absent.wav');
  });
});
