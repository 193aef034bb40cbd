/** @file Long recordings: how windows are cut, when texts are written again, how much is held; and a real Whisper on a minute. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { float32, openModel, type Tensor } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { speechFamilies } from '../../families/index.ts';
import golden from '../../fixtures/longform.json' with { type: 'json' };
import { joinedClips, shared } from '../../fixtures/joinedClips.ts';
import { ContextSelector } from '../../features/audioContext.ts';
import { openTranscriber } from '../openTranscriber.ts';
import type { Transcriber, TranscriptSegment } from '../transcriber.ts';
import type { TranscriberParts } from '../transcribeWindows.ts';
import type { DecodedWindow } from '../decodingRules.ts';
import type { DecodeOptions, SpeechEngine } from '../speechEngine.ts';
import { cutSegments, joinTexts, SlidingAudio } from './windows.ts';
import { compressionRatio, decodeWithFallback, usualFallback } from './fallback.ts';
import { quietPlace, segmentsOf, transcriptOf } from './segmentsOf.ts';
import { isNightly } from '../../../../../test/support/nightly.ts';

test.each(golden.cuts.texts)('cuts $tokens as transformers does', ({ tokens, steps, segments, next }) => {
  const cut = cutSegments(tokens, golden.cuts.firstTime, steps);
  expect(cut.segments.map(({ start, end, tokens: own }) => [start, end, own])).toEqual(segments);
  expect(cut.next).toBe(next);
});

test('a text that ends where it begins does not stop the recording', () => {
  expect(cutSegments([100, 5, 100, 100], 100, 1500).next).toBe(1500);
});

describe('a sliding sound', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 });
  const steps = fc.array(fc.record({ skip: fc.integer({ min: 0, max: 50 }), length: fc.integer({ min: 1, max: 60 }) }), { minLength: 1, maxLength: 15 }); // prettier-ignore

  test('gives the samples of each window, and holds no more than a window and two pieces', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, steps, async (pieces, windows) => {
        const total = pieces.reduce((sum, size) => sum + size, 0);
        const all = Float32Array.from({ length: total }, (_, i) => i);
        let read = 0;
        async function* stream(): AsyncGenerator<Float32Array> {
          for (const size of pieces) yield all.slice(read, (read += size));
        }
        const sound = new SlidingAudio(stream());
        let at = 0;
        for (const { skip, length } of windows) {
          at += skip;
          const { samples, isLast } = await sound.window(at, length);
          expect(samples).toEqual(all.slice(at, at + length));
          expect(isLast).toBe(at + length >= total);
          expect(sound.held).toBeLessThanOrEqual(60 + 80);
        }
      }),
    );
  });
});

test('texts that repeat themselves are small for zlib: about the numbers of Python, whose zlib is not quite the same', () => {
  expect(compressionRatio('hello '.repeat(20))).toBeCloseTo(7, 0);
  expect(compressionRatio('Please enter your conference number followed by the pound key.')).toBeCloseTo(0.94, 1);
});

test('a window ends in the middle of a pause', () => {
  const samples = Float32Array.from({ length: 16_000 }, (_, i) => (i >= 12_800 && i < 14_400 ? 0 : Math.sin(i)));
  expect(quietPlace(samples, 16_000)).toBeGreaterThan(12_800);
  expect(quietPlace(samples, 16_000)).toBeLessThan(14_400);
});

test('texts are joined as their language is written', () => {
  expect(joinTexts([' One.', '', 'Two.'])).toBe('One. Two.');
  expect(joinTexts(['一。', ' 二。'], 'zh')).toBe('一。二。');
});

describe('written again', () => {
  const noSpeech = { likely: 0.9, unlikely: 0.1 };
  /** Says of each row what it writes at each temperature: mean log-probability, and whether it repeats itself. */
  function engineOf(texts: readonly (readonly { mean: number; repeats?: boolean; noSpeechProb?: number }[])[]): {
    readonly asked: [temperature: number, adapters: unknown][];
    readonly parts: Pick<TranscriberParts, 'engine' | 'tokenizer'>;
  } {
    const asked: [number, unknown][] = [];
    const decode = (states: Tensor, _prompts: unknown, options: DecodeOptions): Promise<DecodedWindow[]> => {
      const { temperature = 0, adapter } = options;
      asked.push([temperature, adapter]);
      const rows = Array.from(states.data as Float32Array);
      return Promise.resolve(
        rows.map((row) => {
          const { mean, repeats = false, noSpeechProb = noSpeech.unlikely } = texts[row]![Math.round(temperature * 5)]!;
          const tokens = repeats ? new Array<number>(60).fill(7) : [1, 2, 3];
          return { tokens, hasEnded: true, sumLogProb: mean * (tokens.length + 1), noSpeechProb };
        }),
      );
    };
    const engine = { decode } as unknown as SpeechEngine;
    const tokenizer = { decode: (ids: readonly number[]) => ids.join(' ') } as TranscriberParts['tokenizer'];
    return { asked, parts: { engine, tokenizer } };
  }
  const states = float32([0, 1, 2, 3], [4, 1]);
  const prompts = [[0], [0], [0], [0]];

  test('are guesses and texts that repeat themselves, at the next temperature, and no others', async () => {
    const good = { mean: -0.5 };
    const { asked, parts } = engineOf([
      [{ ...good, noSpeechProb: noSpeech.likely }],
      [{ mean: -1.2 }, good],
      [{ mean: -0.5, repeats: true }, { mean: -1.01 }, good],
      [{ mean: -1.2, noSpeechProb: noSpeech.likely }],
    ]);
    const options = { adapter: ['a', 'b', 'c', null], random: new Random(0) };
    const found = await decodeWithFallback(parts, states, prompts, options, usualFallback);
    expect(found.map(({ temperature, isSilence }) => [temperature, isSilence])).toEqual([
      [0, false],
      [0.2, false],
      [0.4, false],
      [0, true],
    ]);
    expect(asked).toEqual([
      [0, ['a', 'b', 'c', null]],
      [0.2, ['b', 'c']],
      [0.4, ['c']],
    ]);
  });

  test('the last temperature is kept, whatever it writes', async () => {
    const { asked, parts } = engineOf(new Array(4).fill(new Array(6).fill({ mean: -3 })) as { mean: number }[][]);
    const found = await decodeWithFallback(parts, states, prompts, {}, usualFallback);
    expect(found.map(({ temperature }) => temperature)).toEqual([1, 1, 1, 1]);
    expect(asked).toHaveLength(6);
  });
});

describe('an hour', () => {
  const [rate, firstTime] = [16_000, 100];

  /** An engine that hears, in each window, one segment of 20 s and the begin of another; the extractor notes what it is given. */
  function partsOf(
    seconds: number,
    tokens: readonly number[],
    { silentUntil = 0, coldest = 0 }: { readonly silentUntil?: number; readonly coldest?: number } = {},
  ): { readonly parts: TranscriberParts; readonly read: () => number; readonly prompts: number[][] } {
    let read = 0;
    const prompts: number[][] = [];
    const config = { start: 1, ends: [2], languages: new Map(), tasks: new Map(), forced: [], suppress: [], noTimestamps: 99, previousStart: 3, maxPositions: 448 }; // prettier-ignore
    const engine = {
      config,
      hearing: () => Promise.resolve(engine),
      encode: () => Promise.resolve(float32([0], [1, 1])),
      decode: (_: unknown, [prompt]: [number[]], { temperature = 0 }: DecodeOptions) => {
        if (temperature === 0) prompts.push(prompt);
        const sumLogProb = temperature < coldest ? -1000 : 0;
        return Promise.resolve([{ tokens, hasEnded: true, sumLogProb, noSpeechProb: 0 }]);
      },
    };
    const extractor = { sampleRate: rate, maxSamples: 30 * rate, extract: () => float32([0], [1]), batch: () => ({}) } as unknown as TranscriberParts['extractor']; // prettier-ignore
    const model = {} as RunnableModel;
    const parts: TranscriberParts = {
      hearing: new ContextSelector({ model, extractor, adapters: {}, context: 'auto' }),
      aligner: {
        times: () => Promise.reject(new Error('No words are asked for.')),
      } as unknown as TranscriberParts['aligner'],
      engine: engine as unknown as SpeechEngine,
      tokenizer: { decode: (ids: readonly number[]) => ids.filter((id) => id < 90).join(' '), encode: () => [50] } as unknown as TranscriberParts['tokenizer'], // prettier-ignore
      extractor,
      reader: {
        fileEndings: [],
        read: () => Promise.reject(new Error('A long recording must not be read whole.')),
        stream: () =>
          Promise.resolve({
            sampleRate: rate,
            pieces: (async function* () {
              for (; read < seconds; read++) yield [new Float32Array(rate).fill(read < silentUntil ? 0 : 0.1)];
            })(),
          }),
      },
    };
    return { parts, read: () => read, prompts };
  }
  const timed = [firstTime, 5, 6, firstTime + 1000, firstTime + 1000, 7];

  test('is read no further than the window that is heard, and gone over without gaps', async () => {
    const { parts, read } = partsOf(3600, timed);
    const segments: TranscriptSegment[] = [];
    for await (const segment of segmentsOf(parts, 'hour.wav', {})) {
      segments.push(segment);
      expect(read()).toBeLessThanOrEqual(segment.start + 31);
    }
    expect(segments).toHaveLength(180);
    segments.forEach(({ start, end, text }, i) => expect([start, end, text]).toEqual([i * 20, i * 20 + 20, '5 6']));
  });

  test('each window is shown the end of what was written before, where that is asked for', async () => {
    const { parts, prompts } = partsOf(3600, timed);
    await transcriptOf(parts, 'hour.wav', { conditionOnPrevious: true, prompt: 'Lora' });
    expect(prompts.slice(0, 2)).toEqual([
      [3, 50, 1],
      [3, 50, ...timed.slice(0, 4), 1],
    ]);
    // At most 223 tokens, as transformers and OpenAI's have it.
    expect(Math.max(...prompts.map(({ length }) => length))).toBe(225);
    // Text drawn at a high temperature is no help.
    for (const [coldest, length] of [
      [0.4, 6],
      [0.6, 1],
    ] as const) {
      const warm = partsOf(90, timed, { coldest });
      await transcriptOf(warm.parts, 'hard.wav', { conditionOnPrevious: true });
      expect(warm.prompts[1]).toHaveLength(length);
    }
    const alone = partsOf(90, timed);
    await transcriptOf(alone.parts, 'short.wav', { prompt: 'Lora' });
    expect(alone.prompts.slice(0, 3)).toEqual([[3, 50, 1], [1], [1]]);
  });

  test('what fits into a window is heard at once, without times unless they are asked for', async () => {
    const { parts, prompts } = partsOf(30, [5, 6]);
    expect(await transcriptOf(parts, 'short.wav', {})).toEqual({ text: '5 6', tokens: [5, 6] });
    expect(prompts).toEqual([[1, 99]]);
    expect((await transcriptOf(partsOf(30, timed).parts, 'short.wav', { timestamps: 'segment' })).segments).toHaveLength(2); // prettier-ignore
  });

  test('nothing is written where nothing is heard', async () => {
    const { parts, prompts } = partsOf(90, timed, { silentUntil: 60 });
    const { segments } = await transcriptOf(parts, 'quiet.wav', { timestamps: 'segment' });
    expect(segments!.map(({ start, end }) => [start, end])).toEqual([[60, 80], [80, 100]]); // prettier-ignore
    expect(prompts).toHaveLength(2);
    expect(await transcriptOf(partsOf(90, timed, { silentUntil: 90 }).parts, 'silence.wav', {})).toEqual({
      text: '',
      tokens: [],
    });
  });

  test('stops when it is told to', async () => {
    const { parts } = partsOf(3600, timed);
    const controller = new AbortController();
    const heard = (async () => {
      for await (const { start } of segmentsOf(parts, 'hour.wav', { signal: controller.signal }))
        if (start >= 60) controller.abort();
    })();
    await expect(heard).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('a small Whisper of two languages, whose windows have 1 s', () => {
  const folder = path.join(import.meta.dirname, '../../../../../test/fixtures/whisperMerged');
  const tone = Float32Array.from({ length: 56_000 }, (_, i) => Math.sin(i / 9 + Math.sin(i / 3000)) / 4);
  const audio = { sampleRate: 16_000, channels: [tone] };
  let transcriber: Transcriber;
  beforeAll(async () => {
    const model = await openModel(folder, { families: speechFamilies });
    transcriber = await openTranscriber(model, { provider: 'cpu', threads: 1, worker: false });
  });
  afterAll(() => transcriber.release());

  it('hears all of a recording, in the language that it finds or is told', async () => {
    const { text, tokens, language } = await transcriber.transcribe(audio, { temperatures: [0] });
    expect(['en', 'fr']).toContain(language);
    const segments: TranscriptSegment[] = [];
    for await (const segment of transcriber.segments(audio, { temperatures: [0] })) segments.push(segment);
    // This one is kept from writing times, so that windows end where it is quiet.
    segments.forEach(({ start, end }, i) => {
      expect(start).toBe(segments[i - 1]?.end ?? 0);
      expect(end - start).toBeLessThanOrEqual(1);
    });
    expect(segments.at(-1)!.end).toBe(3.5);
    expect(segments.map((each) => each.text).join(' ')).toBe(text);
    expect(tokens.length).toBeGreaterThan(segments.length);
    await expect(transcriber.transcribe(audio, { timestamps: 'segment' })).rejects.toThrow('writes no times');
    for (const name of ['French', 'fr-CA', '<|fr|>', 'fra']) {
      expect((await transcriber.transcribe(audio, { language: name, temperatures: [0] })).language).toBe('fr');
    }
    await expect(transcriber.transcribe(audio, { language: 'Klingon' })).rejects.toThrow('"Klingon"');
  });

  it('writes nothing for silent clips, and for others what it writes for them alone', async () => {
    const clips = [new Float32Array(8000), tone.subarray(0, 8000), new Float32Array(16_000).fill(1e-6)];
    const [first, second, third] = await transcriber.transcribeClips(clips, { language: 'en' });
    expect([first, third]).toEqual([{ text: '', tokens: [] }, { text: '', tokens: [] }]); // prettier-ignore
    expect(second!.tokens.length).toBeGreaterThan(0);
    expect([second]).toEqual(await transcriber.transcribeClips(clips.slice(1, 2), { language: 'en' }));
    await expect(transcriber.transcribeClips(clips, { adapter: [null] })).rejects.toThrow('1 adapters');
    const [heard] = await transcriber.detectLanguages!(clips.slice(1, 2));
    expect(heard!.probability).toBeGreaterThanOrEqual(0.5);
    await expect(transcriber.transcribeClips(clips, { temperatures: [-1] })).rejects.toThrow('Temperatures');
  });

  it('draws the same for the same seed', async () => {
    const write = (seed: number): Promise<readonly number[]> => transcriber.transcribe(audio, { language: 'en', temperatures: [20], seed }).then(({ tokens }) => tokens); // prettier-ignore
    const first = await write(1);
    expect(await write(1)).toEqual(first);
    expect(await write(2)).not.toEqual(first);
  });
});

describe.skipIf(!existsSync(shared))('whisper-tiny.en on a minute (needs ../shared)', () => {
  it.each(isNightly ? (['alone', 'conditioned'] as const) : (['conditioned'] as const))(
    "%s, transformers' segments and tokens",
    { timeout: 120_000 },
    async (how) => {
      const model = await openModel(path.join(shared, 'models/whisper-tiny.en'), { families: speechFamilies });
      const transcriber = await openTranscriber(model, { provider: 'cpu', threads: 1, worker: false });
      try {
        const options = { timestamps: 'segment', conditionOnPrevious: how === 'conditioned' } as const;
        const { segments, tokens } = await transcriber.transcribe(await joinedClips(40), options);
        const wanted = golden.recording[how] as [number, number, number[]][];
        expect(tokens).toEqual(wanted.flatMap(([, , own]) => own));
        expect(segments!.map(({ start, end }) => [start, end])).toEqual(
          wanted.map(([start, end]) => [expect.closeTo(start, 3), expect.closeTo(end, 3)]),
        );
      } finally {
        await transcriber.release();
      }
    },
  );
});
