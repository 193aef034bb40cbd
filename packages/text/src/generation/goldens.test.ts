/** @file Real small models write the tokens that transformers' `generate` writes. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, loadAdapter, openModel } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { logitRules, openTokenizer, samplingRules } from '@onnx-lora/sequences';
import { describe, expect, it } from 'vitest';
import { openGenerator } from './openGenerator.ts';
import type { GenerateOptions } from './generateOptions.ts';
import type { TextGenerator } from './textGenerator.ts';
import { isNightly } from '../../../../test/support/nightly.ts';

const shared = fileURLToPath(new URL('../../../../../shared/', import.meta.url));
const oracle = path.join(shared, 'oracle/generate/text');

interface Variant {
  readonly greedy: readonly { readonly ids: readonly number[]; readonly text: string; readonly min_margin: number }[];
  readonly beam4: readonly {
    readonly ids: readonly number[][];
    readonly scores: readonly number[];
    readonly text: string;
  }[];
}

interface Golden {
  readonly max_new_tokens: number;
  readonly eos_token_id: readonly number[];
  readonly prompts: readonly { readonly kind: string; readonly text?: string; readonly input_ids: readonly number[] }[];
  readonly base: Variant;
  readonly adapter?: Variant;
  readonly processors: { readonly inputs: readonly number[][]; readonly settings: readonly Record<string, unknown>[] };
}

const goldenOf = (name: string): Golden =>
  JSON.parse(readFileSync(path.join(oracle, name, 'golden.json'), 'utf8')) as Golden;
/** All of them take minutes on a busy machine. */
const isSome = (i: number): boolean => isNightly || i % 7 === 0;
const load = { provider: 'cpu', threads: 1 } as const;

async function generatorOf(name: string, file?: string): Promise<TextGenerator> {
  const folder = path.join(shared, 'models', name);
  const model = await openModel(folder);
  const tuned = path.join(oracle, name, 'adapter');
  const adapters: Record<string, Adapter> = existsSync(tuned) ? { tuned: await loadAdapter(tuned) } : {};
  if (file === undefined) return openGenerator(model, { ...load, adapters });
  const other = await openModel(path.join(folder, 'onnx', file));
  return openGenerator(other, { ...load, adapters, tokenizer: await openTokenizer(model) });
}

describe.skipIf(!existsSync(oracle)).each(['llama-tiny', 'gpt2-tiny'])('%s', (name) => {
  const variants = name === 'llama-tiny' ? (['base', 'adapter'] as const) : (['base'] as const);

  it.each(variants)('%s: greedy, one by one and as one batch', async (variant) => {
    const golden = goldenOf(name);
    const texts = golden[variant]!.greedy.map((text, i) => ({ ...text, prompt: golden.prompts[i]!.input_ids }));
    const some = texts.filter((_, i) => isSome(i));
    const options: GenerateOptions = {
      maxNewTokens: golden.max_new_tokens,
      adapter: variant === 'base' ? null : 'tuned',
    };
    await using generator = await generatorOf(name);
    const batch = await generator.complete(some.map(({ prompt }) => prompt), options); // prettier-ignore
    expect(batch.map(({ tokens }) => tokens)).toEqual(some.map(({ ids }) => ids));
    expect(batch.map(({ text }) => text)).toEqual(some.map(({ text }) => text));
    for (const { prompt, ids } of some) {
      const { tokens, finish } = await generator.complete(prompt, options);
      expect(tokens).toEqual(ids);
      expect(finish).toBe(golden.eos_token_id.includes(ids.at(-1)!) ? 'end' : 'length');
    }
  });

  it.each(variants)('%s: four beams, and their scores', async (variant) => {
    const golden = goldenOf(name);
    const { beam4 } = golden[variant]!;
    const some = golden.prompts.flatMap((_, i) => (isSome(i) ? [i] : []));
    await using generator = await generatorOf(name);
    const options = {
      numBeams: 4,
      numReturnSequences: 4,
      maxNewTokens: 24,
      adapter: variant === 'base' ? null : 'tuned',
    };
    const found = await generator.complete(some.map((i) => golden.prompts[i]!.input_ids), options); // prettier-ignore
    for (const [k, i] of some.entries()) {
      const { ids, scores, text } = beam4[i]!;
      const { alternatives } = found[k]!;
      expect(alternatives!.map(({ tokens }) => tokens), `prompt ${i}`).toEqual(ids); // prettier-ignore
      alternatives!.forEach(({ score }, at) => expect(score).toBeCloseTo(scores[at]!, 5));
      expect(found[k]!.text).toBe(text);
    }
  });

  it('without a cache, too', async () => {
    const { prompts, base, eos_token_id: ends } = goldenOf(name);
    await using generator = await generatorOf(name, 'model_no_past.onnx');
    for (const i of [0, 4]) {
      const { tokens } = await generator.complete(prompts[i]!.input_ids, { maxNewTokens: 32, eosTokenId: ends });
      expect(tokens).toEqual(base.greedy[i]!.ids);
    }
  });

  it('rules, alone and in their order', async () => {
    const { processors, eos_token_id: ends } = goldenOf(name);
    const { tensors } = await readSafetensors(path.join(oracle, name, 'golden.safetensors'));
    const floats = (key: string): Float32Array => Float32Array.from(tensors.get(key)!.data as Float32Array);
    for (const [q, prompt] of processors.inputs.entries()) {
      for (const [c, own] of processors.settings.entries()) {
        const number = (key: string): number | undefined => own[key] as number | undefined;
        const defined = (options: object): object => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)); // prettier-ignore
        const rules = [
          ...logitRules({
            repetitionPenalty: number('repetition_penalty') ?? 1,
            noRepeatNgram: number('no_repeat_ngram_size') ?? 0,
            badWords: (own['bad_words_ids'] ?? []) as number[][],
            minTokens: number('min_new_tokens') ?? 0,
            suppress: (own['suppress_tokens'] ?? []) as number[],
            beginSuppress: [],
            ends,
          }),
          ...samplingRules(
            defined({
              temperature: number('temperature'),
              topK: number('top_k') ?? 50,
              topP: number('top_p'),
              minP: number('min_p'),
              typicalP: number('typical_p'),
              epsilonCutoff: number('epsilon_cutoff'),
              etaCutoff: number('eta_cutoff'),
            }),
          ),
        ];
        const logits = floats(`raw.${q}`);
        for (const rule of rules) rule(logits, [], prompt);
        const wanted = floats(`processed.${q}.${c}`);
        const wrong = [...wanted].findIndex((value, i) => (value === -Infinity ? logits[i] !== value : !(Math.abs(logits[i]! - value) < 1e-4))); // prettier-ignore
        expect.soft(wrong, `${JSON.stringify(own)} of prompt ${q}: ${logits[wrong]} for ${wanted[wrong]}`).toBe(-1);
      }
    }
  });
});
