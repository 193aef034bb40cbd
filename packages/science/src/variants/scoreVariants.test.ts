/** @file Scores of variants against those that onnxruntime and transformers give in Python, one masked copy at a time. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAdapter, merge, type Model, openModel } from '@onnx-lora/sdk';
import { openTokenizer, type SequenceTokenizer } from '@onnx-lora/sequences';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseMutations } from '../data/mutations.ts';
import { esm } from '../families/esm.ts';
import { openVariantScorer, scoreVariants, type VariantScorerOptions } from './variantScorer.ts';
import type { Variant } from './effectScorer.ts';

interface Golden {
  readonly wildType: string;
  readonly variants: readonly string[];
  readonly indels: readonly string[];
  readonly scores: Readonly<Record<string, readonly number[]>>;
  readonly wildTypeLogLikelihood: number;
  readonly maxLength?: number;
}

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const goldens = JSON.parse(readFileSync(path.join(fixtures, 'variantScores.json'), 'utf8')) as Record<string, Golden>;
const { tiny, windows } = goldens as Record<'tiny' | 'windows', Golden>;
const methods: Readonly<Record<string, VariantScorerOptions>> = {
  additive: { method: 'masked-marginals' },
  together: { method: 'masked-marginals', multiple: 'together' },
  wildType: { method: 'wild-type-marginals' },
  pseudoLogLikelihood: { method: 'pseudo-log-likelihood' },
  pseudoPerplexity: { method: 'pseudo-perplexity' },
};

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-variants-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let model: Model;
beforeAll(async () => {
  model = await openModel(path.join(fixtures, 'esmMasked'), { families: [esm] });
});

function variantsOf({ variants }: Golden): Variant[] {
  return variants.map((text) => ({ substitutions: parseMutations(text) }));
}

/** Single precision sums of up to 60 logarithms. */
function expectClose(got: readonly number[], expected: readonly number[]): void {
  expect(got).toHaveLength(expected.length);
  for (const [i, each] of expected.entries()) expect(Math.abs(got[i]! - each)).toBeLessThan(2e-5);
}

async function expectAgreement(own: Model, golden: Golden, options: VariantScorerOptions = {}): Promise<void> {
  const { maxLength, wildType, indels, scores } = golden;
  for (const [name, expected] of Object.entries(scores)) {
    const isPseudo = name.startsWith('pseudo');
    const all = [...variantsOf(golden), ...(isPseudo ? indels.map((sequence) => ({ sequence })) : [])];
    expectClose(await scoreVariants(own, wildType, all, { ...methods[name], ...options, maxLength }), expected);
  }
}

describe('scores are those of an independent computation', () => {
  test('of a sequence that fits the model', () => expectAgreement(model, tiny, { batchSize: 5 }));

  test('of one that is longer, by windows', () => expectAgreement(model, windows, { batchSize: 5 }));

  const real = fileURLToPath(new URL('../../../../../shared/models/esm2-tiny', import.meta.url));
  test.skipIf(!existsSync(real))('of a model that was trained on proteins', async () =>
    expectAgreement(await openModel(real, { families: [esm] }), goldens['esm2-tiny']!),
  );
});

test('wild-type marginals of a longer sequence are those of the window that a position lies in the middle of', async () => {
  const method = 'wild-type-marginals';
  const whole = [{ substitutions: parseMutations('K10A:L12S') }];
  // Windows of 8 begin at 0, 4, 8 and 12: K10 is nearest to the middle of the second, L12 to that of the third.
  const [k, l] = [{ substitutions: parseMutations('K6A') }, { substitutions: parseMutations('L4S') }];
  const apart = [
    ...(await scoreVariants(model, windows.wildType.slice(4, 12), [k], { method })),
    ...(await scoreVariants(model, windows.wildType.slice(8, 16), [l], { method })),
  ];
  expectClose(await scoreVariants(model, windows.wildType, whole, { method, maxLength: 10 }), [apart[0]! + apart[1]!]);
});

test.each(Object.keys(methods))('with an adapter, %s is that of the merged model', async (name) => {
  const adapter = await loadAdapter(path.join(fixtures, 'esmMasked/adapter'));
  const file = path.join(folder, `${name}.onnx`);
  await merge(model, adapter, file);
  const merged = await openModel(file, { families: [esm] });
  const options = { ...methods[name], tokenizer: await openTokenizer(model) };
  const [apart, within, base] = [
    await scoreVariants(model, tiny.wildType, variantsOf(tiny), { ...methods[name], adapter }),
    await scoreVariants(merged, tiny.wildType, variantsOf(tiny), options),
    await scoreVariants(model, tiny.wildType, variantsOf(tiny), methods[name]),
  ];
  expectClose(apart, within);
  expect(Math.abs(apart[1]! - base[1]!)).toBeGreaterThan(1e-3);
});

describe('the model is asked no more than it must be', () => {
  /** Rows that were fed, for calls one after the other. */
  async function rows(options: VariantScorerOptions, ...calls: (readonly string[])[]): Promise<number[]> {
    const scorer = await openVariantScorer(model, options);
    try {
      const counts: number[] = [];
      for (const call of calls) {
        let count = 0;
        const variants = call.map((text) => ({ substitutions: parseMutations(text) }));
        await scorer.score(tiny.wildType, variants, { onProgress: (_, total) => (count = total) });
        counts.push(count);
      }
      return counts;
    } finally {
      await scorer.release();
    }
  }
  const calls = [
    ['Q2A', 'Q2C:Y3F', 'Y3W', 'WT'],
    ['Q2D', 'Q2D:Y3A', 'K4A', 'Y3Q:Q2L'],
  ];

  test.each([
    ['once for each position', { method: 'masked-marginals' }, [2, 1]],
    ['once for each set of positions', { method: 'masked-marginals', multiple: 'together' }, [3, 1]],
    ['once', { method: 'wild-type-marginals' }, [1, 1]],
    ['for each residue of each sequence', { method: 'pseudo-perplexity' }, [20 * 4, 20 * 4]],
  ] as const)('%s by %j', async (_, options, expected) => {
    expect(await rows(options, ...calls)).toEqual(expected);
  });
});

describe('what cannot be scored is told', () => {
  const score = (variant: Variant, options: VariantScorerOptions = {}): Promise<number[]> =>
    scoreVariants(model, tiny.wildType, [variant], options);

  test('insertions by marginals', async () => {
    const variant = { id: 'v.csv, line 3', sequence: `${tiny.wildType}A` };
    await expect(score(variant)).rejects.toThrow(
      'The variant "v.csv, line 3" has 21 residues, and the wild type 20: some were inserted or deleted, and marginals compare position by position. Choose the method pseudo-perplexity',
    );
    expect(await score(variant, { method: 'pseudo-perplexity' })).toHaveLength(1);
  });

  test('residues that are others in the wild type, or none', async () => {
    const substitution = (from: string, to: string): Variant => ({ substitutions: [{ from, position: 2, to }] });
    await expect(score(substitution('A', 'C'))).rejects.toThrow(
      'A2C expects A at position 2, but the wild type has Q there',
    );
    await expect(score(substitution('Q', 'J'))).rejects.toThrow('The model has no token for "J", which Q2J puts in.');
    const lower = { sequence: tiny.wildType.replace('Q', 'q') };
    await expect(score(lower)).rejects.toThrow('no token for "q"');
    await expect(score(lower, { method: 'pseudo-perplexity' })).rejects.toThrow('no token for "q" at position 2 of');
    await expect(score({ sequence: '' }, { method: 'pseudo-perplexity' })).rejects.toThrow('There are no residues in');
    await expect(score({ id: 'mine' })).rejects.toThrow('The variant "mine" has neither substitutions nor a sequence');
  });

  test('scores of an adapter that has diverged', async () => {
    const adapter = await loadAdapter(path.join(fixtures, 'esmMasked/adapter'));
    for (const { data } of adapter.tensors.values()) (data as Float32Array).fill(Number.NaN);
    for (const method of ['masked-marginals', 'pseudo-perplexity'] as const) {
      const diverged = score({ substitutions: parseMutations('Q2W') }, { adapter, method });
      await expect(diverged).rejects.toThrow(/no numbers. The adapter has probably diverged/);
    }
  });

  test('positions too far apart to be masked together', async () => {
    const far = { substitutions: parseMutations('M1L:A20V') };
    await expect(score(far, { multiple: 'together', maxLength: 10 })).rejects.toThrow(
      'The positions 1 and 20 lie 19 residues apart, and the model sees 8 at once',
    );
    expect(await score(far, { multiple: 'together', maxLength: 22 })).toHaveLength(1);
  });

  test('a wild type where one is needed', async () => {
    const scorer = await openVariantScorer(model);
    await expect(scorer.likelihoods([tiny.wildType])).rejects.toThrow(
      'Variants are compared with their wild type, and it is not known',
    );
    await scorer.release();
    const pseudo = await openVariantScorer(model, { method: 'pseudo-log-likelihood' });
    expectClose(await pseudo.likelihoods([tiny.wildType]), [tiny.wildTypeLogLikelihood]);
    await pseudo.release();
  });

  test('tokens of several letters, a tokenizer without a mask, and batches of none', async () => {
    const own = await openTokenizer(model);
    const like = (changes: Partial<SequenceTokenizer>): SequenceTokenizer =>
      Object.assign(Object.create(own) as SequenceTokenizer, changes);
    const open = (options: VariantScorerOptions): Promise<unknown> => openVariantScorer(model, options);
    await expect(open({ tokenizer: like({ isPerLetter: false }) })).rejects.toThrow('stand for several letters each');
    await expect(open({ batchSize: 0 })).rejects.toThrow('batchSize must be a whole number of at least 1');
  });
});
