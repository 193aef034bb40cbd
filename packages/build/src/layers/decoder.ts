/** @file What decoders of texts share: their inputs, the cache of keys and values, what a token may see. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Heads, attend } from './attention.ts';
import { additive } from './masks.ts';
import type { Module } from './module.ts';
import { requireLayers } from './bounds.ts';

/** Sizes of the cache. */
export interface CacheSizes {
  readonly layers: number;
  /** Heads of keys and values. */
  readonly keyHeads: number;
  readonly headSize: number;
}

/** A decoder's inputs, and its cache, layer by layer. */
export class Decoding {
  /** `input_ids`, int64 `[batch, sequence]`. */
  readonly ids: Value;
  /** `position_ids`, int64 `[batch, sequence]`. */
  readonly positions: Value;
  readonly #m: Module;
  /** `attention_mask`, int64 `[batch, past + sequence]`. */
  readonly #mask: Value;
  readonly #pasts: readonly (readonly [key: Value, value: Value])[];
  readonly #masks = new Map<number | undefined, Value>();

  /** Declares the inputs as Optimum has them. */
  constructor(m: Module, { layers, keyHeads, headSize }: CacheSizes) {
    const { graph } = m;
    requireLayers(layers, graph.weights.size);
    const text = ['batch_size', 'sequence_length'] as const;
    this.#m = m;
    this.ids = graph.input('input_ids', 'int64', text);
    this.#mask = graph.input('attention_mask', 'int64', ['batch_size', TOTAL]);
    this.positions = graph.input('position_ids', 'int64', text);
    const past = (name: string): Value => graph.input(name, 'float32', ['batch_size', keyHeads, 'past_sequence_length', headSize]); // prettier-ignore
    this.#pasts = Array.from({ length: layers }, (_, i) => {
      return [past(`past_key_values.${i}.key`), past(`past_key_values.${i}.value`)] as const;
    });
  }

  /**
   * Attention of new tokens on all: keys and values by heads `[batch, heads, sequence, size]` are put behind those of the
   * cache, which is an output.
   *
   * @param window how many tokens a token sees, itself included; all before it where it is undefined
   */
  attend(m: Module, layer: number, { q, k, v, ...rest }: Heads, window?: number): Value {
    const [keys, values] = [k, v].map((x, i) => m.g.Concat([this.#pasts[layer]![i]!, x], 2)) as [Value, Value];
    const [, heads, , size] = k.shape!;
    const outputs = [['key', keys], ['value', values]] as const; // prettier-ignore
    for (const [name, value] of outputs) m.graph.output(`present.${layer}.${name}`, value, ['batch_size', heads!, TOTAL, size!]); // prettier-ignore
    return attend(m, { q, k: keys, v: values, ...rest, mask: this.#maskOf(window) });
  }

  /** How many tokens there are with those of the cache, `[1]`. */
  get total(): Value {
    return this.#m.sizeOf(this.#mask, 1);
  }

  /** `[batch, 1, sequence, past + sequence]`; of one kind for all layers that see as far. */
  #maskOf(window: number | undefined): Value {
    const known = this.#masks.get(window);
    if (known) return known;
    const m = this.#m;
    const { g } = m;
    const { total } = this;
    const keys = g.Unsqueeze(m.range(0, total), [0]);
    const queries = g.Unsqueeze(m.range(g.Sub(total, m.sizeOf(this.ids, 1)), total), [1]);
    const before = g.LessOrEqual(keys, queries);
    const near = window === undefined ? before : g.And(before, g.Less(g.Sub(queries, keys), g.scalar(window, 'int64')));
    const seen = g.And(near, g.Cast(g.Unsqueeze(this.#mask, [1, 2]), 9));
    const mask = additive(m, seen);
    this.#masks.set(window, mask);
    return mask;
  }
}

/** The number of tokens with those before. */
const TOTAL = 'past_sequence_length + sequence_length';
