/** @file Combined adapters against PEFT's own numbers, and against the methods' definitions computed with NumPy. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { deltaOf, relativeError, tensorsIn } from '../../../fixtures/deltaOf.ts';
import { Adapter } from '../adapter.ts';
import { parseAdapterConfig } from '../formats/peftConfig.ts';
import { combineAdapters, combineWith } from './combine.ts';
import type { CombineMethod, CombineOptions, CombinePart } from './options.ts';

const fixtures = path.join(import.meta.dirname, 'fixtures');
/** The whole oracle, where it lies beside the repository. */
const oracle = path.join(import.meta.dirname, '../../../../../../shared/oracle/combine');

interface Case {
  readonly adapters: readonly string[];
  readonly weights: readonly number[];
  readonly combination_type: CombineMethod;
  readonly svd_rank?: number;
  readonly density?: number;
  readonly majority_sign_method?: 'total' | 'frequency';
  readonly r: number;
  readonly scaling: number;
  readonly error?: string;
}

function json<T>(...parts: string[]): T {
  return JSON.parse(readFileSync(path.join(fixtures, ...parts), 'utf8')) as T;
}

const { cases } = json<{ cases: Record<string, Case> }>('combine.json');
const goldens = tensorsIn(fixtures, 'combined.safetensors');
const modules = ['fc1', 'fc2'];

function peftAdapter(...folder: string[]): Adapter {
  const config = parseAdapterConfig(json(...folder, 'adapter_config.json'), 'config');
  return new Adapter(config, tensorsIn(fixtures, ...folder, 'adapter_model.safetensors'));
}

function partsOf({ adapters, weights }: Case, ...folder: string[]): CombinePart[] {
  return adapters.map((name, i) => ({ adapter: peftAdapter(...folder, name), weight: weights[i]!, name }));
}

function optionsOf(each: Case): CombineOptions {
  const sign = each.majority_sign_method;
  return {
    method: each.combination_type,
    ...(each.svd_rank === undefined ? {} : { rank: each.svd_rank }),
    ...(each.density === undefined ? {} : { density: each.density }),
    ...(sign === undefined ? {} : { majoritySign: sign }),
  };
}

/** PEFT goes without rank where a method is not `_svd`; `right` then has full rank. */
function rightOptions(each: Case): CombineOptions {
  const isPruning = /^(ties|magnitude|dare)/.test(each.combination_type) && !each.combination_type.endsWith('_svd');
  return isPruning ? { ...optionsOf(each), rank: 'full' } : optionsOf(each);
}

/** The weighted sum of the true deltas. */
function sumOf({ adapters, weights }: Case, module: string): Float64Array {
  const deltas = adapters.map((name) => deltaOf(peftAdapter(name)).get(module)!);
  return deltas[0]!.map((_, i) => deltas.reduce((sum, delta, k) => sum + weights[k]! * delta[i]!, 0));
}

/** torch's generator after `manual_seed`, as `bernoulli` draws from it: MT19937, with 24 bits per float. */
class TorchRandom {
  readonly #state = new Uint32Array(624);
  #at = 624;

  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const last = this.#state[i - 1]!;
      this.#state[i] = Math.imul(1812433253, last ^ (last >>> 30)) + i;
    }
  }

  /** As after PEFT has made layers for the new adapter, whose first values are drawn from it too. */
  static afterLayers(r: number): TorchRandom {
    const random = new TorchRandom(99);
    for (let i = 0; i < r * (24 + 32 + 32 + 16); i++) random.next();
    return random;
  }

  next(): number {
    if (this.#at === 624) this.#twist();
    let y = this.#state[this.#at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return ((y ^ (y >>> 18)) & 0xffffff) / 2 ** 24;
  }

  #twist(): void {
    const s = this.#state;
    for (let i = 0; i < 624; i++) {
      const y = (s[i]! & 0x80000000) | (s[(i + 1) % 624]! & 0x7fffffff);
      s[i] = s[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#at = 0;
  }
}

const named = Object.entries(cases);
const possible = named.filter(([, { error }]) => error === undefined);

describe('what is right', () => {
  const deterministic = possible.filter(([name]) => !name.startsWith('dare'));

  it.each(deterministic)('%s', (name, each) => {
    const deltas = deltaOf(combineAdapters(partsOf(each), rightOptions(each)));
    for (const module of modules) {
      const golden = goldens.get(`${name}.right.${module}`)?.data as Float32Array | undefined;
      expect(relativeError(deltas.get(module)!, golden ?? sumOf(each, module))).toBeLessThan(1e-6);
    }
  });

  it.skipIf(!existsSync(oracle))('all cases of the oracle beside the repository', () => {
    const all = tensorsIn(oracle, 'combined.safetensors');
    let count = 0;
    for (const [name, each] of deterministic) {
      const deltas = deltaOf(combineAdapters(partsOf(each), rightOptions(each)));
      for (const module of modules) {
        const golden = all.get(`${name}.right.${module}`)!.data as Float32Array;
        expect(relativeError(deltas.get(module)!, golden), `${name} ${module}`).toBeLessThan(1e-6);
        count++;
      }
    }
    expect(count).toBe(2 * deterministic.length);
  });

  it('adds up adapters of different ranks, which PEFT refuses', () => {
    const each = cases['linear-ranks']!;
    const deltas = deltaOf(combineAdapters(partsOf(each), optionsOf(each)));
    for (const module of modules) expect(relativeError(deltas.get(module)!, sumOf(each, module))).toBeLessThan(1e-6);
  });
});

describe("compat 'peft'", () => {
  it.each(possible)('%s', (name, each) => {
    const result = combineWith(partsOf(each), { ...optionsOf(each), compat: 'peft' }, TorchRandom.afterLayers(each.r));
    const deltas = deltaOf(result);
    for (const module of modules) {
      const [A, B] = ['lora_A', 'lora_B'].map((factor) => goldens.get(`${name}.peft.${module}.${factor}`)!);
      expect(result.tensors.get(`base_model.model.${module}.lora_A.weight`)!.dims).toEqual(A!.dims);
      const golden = deltaOf({
        config: {
          ...result.config,
          r: 1,
          loraAlpha: each.scaling,
          rankPattern: {},
          alphaPattern: {},
          useRslora: false,
        },
        tensors: new Map([
          [`${module}.lora_A.weight`, A!],
          [`${module}.lora_B.weight`, B!],
        ]),
      });
      expect(relativeError(deltas.get(module)!, golden.get(module)!)).toBeLessThan(3e-6);
    }
  });

  it.each(named.filter(([name]) => /^(cat|linear|ties-(total|frequency)|magnitude-prune$|dare-\w+$)/.test(name)))(
    '%s: A and B themselves',
    (name, each) => {
      if (each.error !== undefined) return;
      const { tensors } = combineWith(
        partsOf(each),
        { ...optionsOf(each), compat: 'peft' },
        TorchRandom.afterLayers(each.r),
      );
      for (const module of modules) {
        for (const factor of ['lora_A', 'lora_B']) {
          const golden = goldens.get(`${name}.peft.${module}.${factor}`)!;
          const found = tensors.get(`base_model.model.${module}.${factor}.weight`)!;
          expect(relativeError(found.data as Float32Array, golden.data as Float32Array)).toBeLessThan(1e-6);
        }
      }
    },
  );

  it('refuses what PEFT refuses', () => {
    const each = cases['linear-ranks']!;
    expect(() =>
      combineAdapters(partsOf(each), { ...optionsOf(each), compat: 'peft' }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: PEFT's "linear" refuses adapters of different ranks (2, 4). Leave compat out, or choose "cat" or a method with "_svd".]`,
    );
  });
});

describe('embeddings, convolutions, patterns, modules that only some have', () => {
  const kinds = json<Record<string, Case>>('kinds', 'cases.json');
  const deltas = tensorsIn(fixtures, 'kinds', 'deltas.safetensors');

  /** PEFT shows the delta of an embedding as the table's: `[vocabulary, dim]`. */
  function golden(name: string, module: string): Float64Array {
    const { data, dims } = deltas.get(`${name}.${module}`)!;
    if (module !== 'emb') return Float64Array.from(data as Float32Array);
    const [rows, columns] = dims as [number, number];
    return Float64Array.from(
      data as Float32Array,
      (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number,
    );
  }

  it.each(Object.entries(kinds))("%s as PEFT's", (name, each) => {
    const result = combineAdapters(partsOf(each, 'kinds'), { ...optionsOf(each), compat: 'peft' });
    const found = deltaOf(result);
    const expected = [...deltas.keys()].filter((key) => key.startsWith(`${name}.`)).map((key) => key.split('.')[1]!);
    expect([...found.keys()].sort()).toEqual(expected.sort());
    for (const module of expected)
      expect(relativeError(found.get(module)!, golden(name, module)), module).toBeLessThan(5e-6);
  });

  it.each(['cat', 'cat-rslora'])('%s by the deltas of its parts', (name) => {
    const each = kinds[name]!;
    const found = deltaOf(combineAdapters(partsOf(each, 'kinds'), { method: 'linear' }));
    for (const [module, delta] of found) {
      const sum = new Float64Array(delta.length);
      each.adapters.forEach((adapter, k) => {
        if (!deltas.has(`${adapter}.${module}`)) return;
        golden(adapter, module).forEach((value, i) => (sum[i]! += each.weights[k]! * value));
      });
      expect(relativeError(delta, sum), module).toBeLessThan(1e-6);
    }
  });

  it('say each rank by full path in the config', () => {
    const { config, tensors } = combineAdapters(partsOf(kinds['cat']!, 'kinds'), { method: 'cat' });
    expect(config).toMatchObject({
      targetModules: ['conv', 'emb', 'head', 'lin'],
      rankPattern: { conv: 8, emb: 8, head: 3, lin: 6 },
      alphaPattern: { conv: 8, emb: 8, head: 3, lin: 6 },
      useRslora: false,
    });
    expect(tensors.get('base_model.model.conv.lora_A.weight')!.dims).toEqual([8, 3, 3, 3]);
    expect(tensors.get('base_model.model.conv.lora_B.weight')!.dims).toEqual([4, 8, 1, 1]);
    expect(tensors.get('base_model.model.emb.lora_embedding_A')!.dims).toEqual([8, 9]);
  });
});
