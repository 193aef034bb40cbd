/** @file When words are said: numbers of transformers' for the steps, and for a real Whisper; graphs that do not show it. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { float32, loadAdapter, openModel } from '@onnx-lora/sdk';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { speechFamilies } from '../../families/index.ts';
import golden from '../../fixtures/alignment.json' with { type: 'json' };
import { joinedClips, shared } from '../../fixtures/joinedClips.ts';
import { openSpeechTokenizer } from '../../text/openSpeechTokenizer.ts';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';
import type { GenerationConfig } from '../generationConfig.ts';
import { crossAttentions } from '../encoderAndDecoder.ts';
import { openTranscriber } from '../openTranscriber.ts';
import { Aligner, type Grid, medianFilter, timeWarp, tokenTimes } from './aligner.ts';
import { segmentWords, spokenWords } from './spokenWords.ts';
import { isNightly } from '../../../../../test/support/nightly.ts';

function gridOf(rows: readonly (readonly number[])[]): Grid {
  return { rows: rows.length, columns: rows[0]!.length, data: Float64Array.from(rows.flat()) };
}

test.each(golden.warps)('the cheapest path through $grid', ({ grid, first }) => {
  expect(timeWarp(gridOf(grid))).toEqual(first);
});

test.each(golden.medians)('the medians of $values', ({ values, smooth }) => {
  const result = new Float64Array(values.length);
  medianFilter(Float64Array.from(values), result);
  expect([...result]).toEqual(smooth);
});

test('times of tokens by the attention of two heads', () => {
  expect(tokenTimes(golden.attention.heads.map(gridOf))).toEqual(golden.attention.times);
});

test('tokens that all attend to the same have times all the same', () => {
  expect(tokenTimes([gridOf([[0.5, 0.5], [0.5, 0.5]])])).toHaveLength(2); // prettier-ignore
});

describe('words', () => {
  let tokenizer: SpeechTokenizer;
  beforeAll(async () => {
    tokenizer = await openSpeechTokenizer(path.join(import.meta.dirname, '../../fixtures/text/tokenizer'));
  });

  it.each(golden.words)('of "$text"', ({ language, text, words }) => {
    const found = spokenWords(tokenizer.encode(text), tokenizer, language);
    expect(found.map(({ word, start, end }) => [word, start, end])).toEqual(words);
  });

  it('of a segment begin when the token before them ends, and times are none of them', () => {
    const firstTime = tokenizer.idOf('<|0.00|>')!;
    const said = tokenizer.encode(' today 3');
    const tokens = [firstTime, ...said, firstTime + 20];
    const times = tokens.map((_, i) => i + 1);
    const today = tokenizer.encode(' today').length + 1;
    expect(segmentWords({ tokens, times, start: 0, firstTime }, tokenizer)).toEqual([
      { word: 'today', start: 1, end: today },
      { word: '3', start: today, end: said.length + 1 },
    ]);
    expect(segmentWords({ tokens: [firstTime], times: [1], start: 0, firstTime }, tokenizer)).toEqual([]);
  });
});

describe('a decoder without a past in one branch, and with one in the other', () => {
  const folder = path.join(import.meta.dirname, '../../../../../test/fixtures/whisperMerged');

  it('shows what it attends to, where its branch is known', async () => {
    const found = crossAttentions(await openModel(folder, { families: speechFamilies }));
    expect(found?.values).toEqual(
      [0, 1].map((layer) => `/model/decoder/layers.${layer}/encoder_attn/Softmax_output_0`),
    );
  });

  it('says when tokens are said, which an adapter may see otherwise', async () => {
    const model = await openModel(folder, { families: speechFamilies });
    const adapters = { lora: await loadAdapter(path.join(folder, 'adapter')) };
    const config = { alignmentHeads: [[1, 0]] } as unknown as GenerationConfig;
    const aligner = new Aligner(model, config, { provider: 'cpu', threads: 1, worker: false, adapters });
    const states = float32(Float32Array.from({ length: 50 * 32 }, (_, i) => Math.sin(i * i)), [1, 50, 32]); // prettier-ignore
    const request = { states, prompt: [357, 358, 361], tokens: [10, 20, 30, 40, 50], positions: 40 };
    try {
      const [base, adapted] = [await aligner.times(request, {}), await aligner.times(request, { adapter: 'lora' })];
      for (const times of [base, adapted]) {
        expect(times).toHaveLength(5);
        expect(times).toEqual(times.toSorted((x, y) => x - y));
        expect(times.at(-1)).toBeLessThan(40);
      }
      expect(adapted).not.toEqual(base);
      expect(await aligner.times({ ...request, tokens: [] }, {})).toEqual([]);
    } finally {
      await aligner.release();
    }
    const wrong = new Aligner(model, { alignmentHeads: [[1, 99]] } as unknown as GenerationConfig, { worker: false, threads: 1 }); // prettier-ignore
    await expect(wrong.times(request, {})).rejects.toThrow('no head 99');
    await wrong.release();
  });

  it('a model of which one does not see it is told how to export it', async () => {
    const encoder = path.join(folder, 'onnx/encoder_model.onnx');
    const aligner = new Aligner(await openModel(encoder, { families: speechFamilies }), {} as GenerationConfig, {});
    const request = { states: float32([0], [1, 1, 1]), prompt: [1], tokens: [2], positions: 1 };
    await expect(aligner.times(request, {})).rejects.toThrow('decoder_model.onnx');
  });
});

describe.skipIf(!existsSync(shared))('whisper-tiny.en on a minute (needs ../shared)', () => {
  it("says words when transformers' does", { timeout: 120_000 }, async () => {
    const model = await openModel(path.join(shared, 'models/whisper-tiny.en'), { families: speechFamilies });
    const transcriber = await openTranscriber(model, { provider: 'cpu', threads: 1, worker: false });
    try {
      const { segments } = await transcriber.transcribe(await joinedClips(40), { timestamps: 'word' });
      expect(segments!.map(({ words }) => words!.map(({ word }) => word))).toEqual(
        golden.recording.map((words) => words.map(([word]) => word)),
      );
      const ends = segments!.flatMap(({ words }) => words!.map(({ end }) => end));
      const starts = segments!.flatMap(({ words }) => words!.map(({ start }) => start));
      // A step of 0.02 s is what rounding may move.
      golden.recording.flat().forEach(([word, start, end], i) => {
        expect(Math.abs(starts[i]! - (start as number)), `begin of ${word}`).toBeLessThan(0.021);
        expect(Math.abs(ends[i]! - (end as number)), `end of ${word}`).toBeLessThan(0.021);
      });
    } finally {
      await transcriber.release();
    }
  });

  it.runIf(isNightly)(
    'says them with a short window when it says them with the whole',
    { timeout: 120_000 },
    async () => {
      const model = await openModel(path.join(shared, 'models/whisper-tiny.en'), { families: speechFamilies });
      const sound = await joinedClips(3);
      const [whole, short] = await Promise.all(
        (['full', 12] as const).map(async (contextSeconds) => {
          const transcriber = await openTranscriber(model, {
            provider: 'cpu',
            threads: 1,
            worker: false,
            contextSeconds,
          });
          const { segments } = await transcriber.transcribe(sound, { timestamps: 'word' });
          await transcriber.release();
          return segments!.flatMap(({ words }) => words!);
        }),
      );
      expect(short!.length).toBeGreaterThan(3);
      expect(short!.map(({ word }) => word)).toEqual(whole!.map(({ word }) => word));
      // States differ a little, and with them where the attention lies.
      short!.forEach(({ word, start }, i) => expect(Math.abs(start - whole![i]!.start), word).toBeLessThan(0.3));
    },
  );
});
