/** @file Tests of masking: rates as transformers' collator has them, and spans as SpanBERT's. */

import { Random } from '@onnx-lora/sdk/data';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import '../../../../../test/support/seed.ts';
import { fixedSeed, type MaskedVocabulary, Masking, IGNORED_LABEL } from './masking.ts';

/** ESM's: <cls>, <pad>, <eos>, <unk>, 29 letters, <mask>. */
const esm: MaskedVocabulary = { size: 33, maskId: 32, specialIds: new Set([0, 1, 2, 32]), unknownId: 3 };

/** A row of `length` letters in ESM's frame, with an unknown one and padding. */
function rowOf(length: number, random: Random): number[] {
  return [0, 3, ...Array.from({ length }, () => 4 + random.index(20)), 2, 1, 1];
}

describe('masking', () => {
  test('has the rates of DataCollatorForLanguageModeling', () => {
    // Counted from what comes out: a random token that is <mask> counts as masked, one that is the same as kept.
    const golden = { chosen: 0.15025694444444446, mask: 0.8045246568378241, kept: 0.10200120164532976, random: 0.09347414151684615 }; // prettier-ignore
    const random = new Random(1);
    const masking = new Masking(esm);
    const counts = { candidates: 0, chosen: 0, mask: 0, kept: 0, random: 0 };
    const drawn = new Set<number>();
    const wrong: unknown[] = [];
    for (let i = 0; i < 1000; i++) {
      const row = rowOf(288, random);
      const { ids, labels } = masking.mask(row, random);
      for (const [at, id] of row.entries()) {
        const isSpecial = id < 4;
        if (!isSpecial) counts.candidates++;
        const isAsked = labels[at] !== IGNORED_LABEL;
        if (isAsked ? isSpecial || labels[at] !== id : ids[at] !== id) wrong.push([at, id, ids[at], labels[at]]);
        if (!isAsked) continue;
        counts.chosen++;
        counts[ids[at] === 32 ? 'mask' : ids[at] === id ? 'kept' : 'random']++;
        drawn.add(ids[at]!);
      }
    }
    expect(wrong).toEqual([]);
    expect(Math.abs(counts.chosen / counts.candidates - golden.chosen)).toBeLessThan(0.01);
    for (const kind of ['mask', 'kept', 'random'] as const)
      expect(Math.abs(counts[kind] / counts.chosen - golden[kind]), kind).toBeLessThan(0.01);
    // From the whole vocabulary, special tokens too.
    expect(drawn.size).toBe(33);
  });

  test('follows its settings', () => {
    const random = new Random(2);
    const row = rowOf(400, random);
    const all = new Masking(esm, { rate: 0.5, masked: 1, random: 0 }).mask(row, random);
    const asked = all.labels.filter((label) => label !== IGNORED_LABEL).length;
    expect(asked).toBeGreaterThan(150);
    expect(asked).toBeLessThan(250);
    expect(all.ids.filter((id) => id === 32)).toHaveLength(asked);
    const seen = new Masking(esm, { masked: 0, random: 0 }).mask(row, random);
    expect(seen.ids).toEqual(row);
    expect(seen.labels.some((label) => label !== IGNORED_LABEL)).toBe(true);
  });

  test('asks at least one token of a row that has any, and the same ones for the same seed', () => {
    const options = fc.record({
      letters: fc.array(fc.integer({ min: 3, max: 31 }), { maxLength: 12 }),
      spanLength: fc.constantFrom(undefined, 1, 3, 5),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(options, ({ letters, spanLength, seed }) => {
        const row = [0, ...letters, 2];
        const masking = new Masking(esm, { spanLength });
        const { ids, labels } = masking.mask(row, new Random(seed));
        const asked = labels.filter((label) => label !== IGNORED_LABEL);
        const candidates = letters.filter((id) => id > 3).length;
        expect(asked.length).toBeGreaterThanOrEqual(Math.min(1, candidates));
        expect(asked.length).toBeLessThanOrEqual(candidates);
        expect(masking.mask(row, new Random(seed))).toEqual({ ids, labels });
      }),
    );
  });

  test('masks spans as long as those of SpanBERT, as many tokens as the rate says', () => {
    const random = new Random(3);
    const masking = new Masking(esm, { spanLength: 5, rate: 0.03, masked: 1, random: 0 });
    const lengths: number[] = [];
    for (let i = 0; i < 200; i++) {
      const { labels, ids } = masking.mask(rowOf(2000, random), random);
      const spans = labels.map((label) => (label === IGNORED_LABEL ? '.' : 'x')).join('').match(/x+/g)!; // prettier-ignore
      expect(spans.join('')).toHaveLength(60);
      expect(ids.filter((id) => id === 32)).toHaveLength(60);
      lengths.push(...spans.map((span) => span.length));
    }
    // The mean of a geometric distribution with p = 0.2 of lengths up to 10. Spans that touch, and the last, move it a little.
    const mean = lengths.reduce((a, b) => a + b) / lengths.length;
    expect(mean).toBeGreaterThan(3.5);
    expect(mean).toBeLessThan(4.1);
  });

  test('decides on a span as a whole', () => {
    const random = new Random(4);
    const masking = new Masking(esm, { spanLength: 8, masked: 0.5, random: 0 });
    const { ids, labels } = masking.mask(rowOf(3000, random), random);
    const kinds = labels.map((label, at) => (label === IGNORED_LABEL ? '.' : ids[at] === 32 ? 'm' : 'k')).join('');
    // Were it token by token, half of all neighbours would differ.
    const neighbours = kinds.match(/(?=[mk][mk])/g)!.length;
    const changes = kinds.match(/(?=mk|km)/g)!.length;
    expect(changes / neighbours).toBeLessThan(0.1);
  });

  test('refuses settings that make no sense, and models without a mask', () => {
    const code = (options: ConstructorParameters<typeof Masking>[1], vocabulary = esm) => {
      try {
        new Masking(vocabulary, options);
        return undefined;
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    for (const rate of [0, 1, -1, Number.NaN]) expect(code({ rate })).toBe('CONFIG_INVALID');
    for (const random of [0.3, -0.1, Number.NaN]) expect(code({ random })).toBe('CONFIG_INVALID');
    for (const spanLength of [0.5, 101, Number.NaN]) expect(code({ spanLength })).toBe('CONFIG_INVALID');
    expect(code({ masked: 2 })).toBe('CONFIG_INVALID');
    expect(code({ masked: 0.9 })).toBeUndefined();
    const { maskId: _mask, ...maskless } = esm;
    expect(code({}, maskless)).toBe('MODEL_UNSUPPORTED');
  });
});

test('the seed of a sequence depends on its letters, its window and the seed of the run alone', () => {
  const seeds = [fixedSeed(0, 'MKT'), fixedSeed(1, 'MKT'), fixedSeed(0, 'MKV'), fixedSeed(0, 'MKT', 7)];
  expect(new Set(seeds).size).toBe(4);
  expect(fixedSeed(0, 'MKT')).toBe(seeds[0]);
});
