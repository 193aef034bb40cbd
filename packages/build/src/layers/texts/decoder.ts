/** @file Shared parts of text decoders: inputs, key-value cache, causal masks. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { dataTypeNumber, float } from '@onnx-lora/sdk/plugin';
import { type Heads, attend, joinHeads } from '../attention.ts';
import { RUNTIME } from '../fused.ts';
import { additive } from './texts.ts';
import { requireLayers } from '../bounds.ts';
import { type Module, widthOf } from '../module.ts';

export interface CacheSizes {
  readonly layers: number;
  readonly keyHeads: number;
  readonly headSize: number;
}

interface Lengths {
  readonly total: Value;
  readonly longest: Value;
}

/** Whether queries share key heads, where the fused operator pays; its kernel needs head sizes divisible by 8. */
function isGrouped(q: Value, k: Value): boolean {
  return q.shape![1] !== k.shape![1] && widthOf(k) % 8 === 0;
}

/** A decoder's inputs and key-value cache. */
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
  #known: Lengths | undefined;

  /** Declares the inputs with Optimum's names. */
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
   * Attention over the cache and the new tokens; extends the cache and declares it as outputs.
   * @param window number of visible tokens including itself; all earlier ones if undefined
   */
  attend(m: Module, layer: number, { q, k, v, ...rest }: Heads, window?: number): Value {
    const mask = this.#maskOf(window);
    if (m.isFused && isGrouped(q, k)) return this.#grouped(m, layer, { q, k, v, ...rest, mask });
    const [keys, values] = [k, v].map((x, i) => m.g.Concat([this.#pasts[layer]![i]!, x], 2)) as [Value, Value];
    this.#keep(m, layer, k, [keys, values]);
    return attend(m, { q, k: keys, v: values, ...rest, mask });
  }

  #keep({ graph }: Module, layer: number, { shape }: Value, [key, value]: readonly [key: Value, value: Value]): void {
    const dims = ['batch_size', shape![1]!, TOTAL, shape![3]!];
    graph.output(`present.${layer}.key`, key, dims);
    graph.output(`present.${layer}.value`, value, dims);
  }

  /** Fused form. The mask decides; lengths are the maximum, as the operator expects padding at the end. */
  #grouped(m: Module, layer: number, { q, k, v, scale, cap, mask }: Heads & { readonly mask: Value }): Value {
    const { total, longest } = this.#lengths;
    const [past, before] = this.#pasts[layer]!;
    const [attended, keys, values] = m.g.emitMany(
      'GroupQueryAttention',
      [...[q, k, v].map((x) => joinHeads(m, x)), past, before, longest, total, undefined, undefined, undefined, mask],
      3,
      {
        num_heads: Number(q.shape![1]),
        kv_num_heads: Number(k.shape![1]),
        scale: scale === undefined ? undefined : float(scale),
        softcap: cap === undefined ? undefined : float(cap),
      },
      RUNTIME,
    ) as [Value, Value, Value];
    this.#keep(m, layer, k, [keys, values]);
    return attended;
  }

  /** Number of tokens including the cache, `[1]`. */
  get total(): Value {
    return this.#m.sizeOf(this.#mask, 1);
  }

  /** Total length, and each text's last index, int32. */
  get #lengths(): Lengths {
    const { g } = this.#m;
    const int32 = (x: Value): Value => g.Cast(x, dataTypeNumber('int32'));
    const lasts = (): Value => g.Expand(g.Sub(this.total, g.ints([1])), this.#m.sizeOf(this.ids, 0));
    return (this.#known ??= { total: int32(this.total), longest: int32(lasts()) });
  }

  /** `[batch, 1, sequence, past + sequence]`, cached per window. */
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

const TOTAL = 'past_sequence_length + sequence_length';
