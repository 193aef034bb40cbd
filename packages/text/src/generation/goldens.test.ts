/** @file Real small models write the tokens that transformers' `generate` writes. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, loadAdapter, openModel } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { logitRules, samplingRules } from '@onnx-lora/sequences';
import { describe, expect, it } from 'vitest';
import { openGenerator } from './openGenerator.ts';
import type { GenerateOptions } from './generateOptions.ts';

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
const load = { provider: 'cpu', threads: 1 } as const;

async function generatorOf(name: string, file?: string) {
  const folder = path.join(shared, 'models', name);
  const model = await openModel(file === undefined ? folder : path.join(folder, 'onnx', file));
  const tuned = path.join(oracle, name, 'adapter');
  const adapters: Record<string, Adapter> = existsSync(tuned) ? { tuned: await loadAdapter(tuned) } : {};
  return openGenerator(model, { ...load, adapters });
}

describe.skipIf(!existsSync(oracle)).each(['llama-tiny', 'gpt2-tiny'])('%s', (name) => {
  const variants = name === 'llama-tiny' ? (['base', 'adapter'] as const) : (['base'] as const);

  it.each(variants)('%s: greedy, one by one and as one batch', async (variant) => {
    const golden = goldenOf(name);
    const { greedy } = golden[variant]!;
    const prompts = golden.prompts.map(({ input_ids: ids }) => ids);
    const options: GenerateOptions = {
      maxNewTokens: golden.max_new_tokens,
      adapter: variant === 'base' ? null : 'tuned',
    };
    await using generator = await generatorOf(name);
    const batch = await generator.complete(prompts, options);
    expect(batch.map(({ tokens }) => tokens)).toEqual(greedy.map(({ ids }) => ids));
    expect(batch.map(({ text }) => text)).toEqual(greedy.map(({ text }) => text));
    for (const [i, { ids }] of greedy.entries()) {
      const { tokens, finish } = await generator.complete(prompts[i]!, options);
      expect(tokens).toEqual(ids);
      expect(finish).toBe(golden.eos_token_id.includes(ids.at(-1)!) ? 'end' : 'length');
    }
  });

  it.each(variants)('%s: four beams, and their scores', async (variant) => {
    const golden = goldenOf(name);
    const { beam4 } = golden[variant]!;
    const prompts = golden.prompts.map(({ input_ids: ids }) => ids);
    await using generator = await generatorOf(name);
    const found = await generator.complete(prompts, { numBeams: 4, numReturnSequences: 4, maxNewTokens: 24, adapter: variant === 'base' ? null : 'tuned' }); // prettier-ignore
    for (const [i, { ids, scores, text }] of beam4.entries()) {
      const { alternatives } = found[i]!;
      expect
        .soft(
          alternatives!.map(({ tokens }) => tokens),
          `prompt ${i}`,
        )
        .toEqual(ids);
      alternatives!.forEach(({ score }, k) => expect.soft(score).toBeCloseTo(scores[k]!, 4));
      expect.soft(found[i]!.text).toBe(text);
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
