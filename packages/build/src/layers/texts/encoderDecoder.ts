/** @file Encoder-decoders: graph inputs, and caches of tokens and encoder states with Optimum's names. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { additive } from './texts.ts';
import type { Module } from '../module.ts';
import { requireLayers } from '../bounds.ts';
import type { CacheSizes } from './decoder.ts';

/** Keys and values by heads, `[batch, heads, length, size]`. */
export type KeysAndValues = readonly [key: Value, value: Value];

export interface CacheOutputs {
  readonly decoder: KeysAndValues;
  readonly encoder: KeysAndValues;
}

export interface CacheInputs {
  /** Token ids, int64 `[batch, sequence]`. */
  readonly ids: Value;
  /** Encoder states `[batch, frames, hidden]`; absent if their keys and values are cached. */
  readonly encoded?: Value;
  /** Caches per layer; absent for the first tokens. */
  readonly pasts?: readonly CacheOutputs[];
}

export interface KeptSizes extends CacheSizes {
  /** Width of the encoder states. */
  readonly encoded: number;
}

/** Emits a decoder: logits, and the cache per layer. */
export type EmitDecoder = (m: Module, given: CacheInputs) => readonly [logits: Value, kept: readonly CacheOutputs[]];

/** The graphs of a decoder: for the first tokens, for later ones, and both merged. */
export function decoderGraphs(sizes: KeptSizes, decoder: EmitDecoder): Record<string, (m: Module) => void> {
  const emit = (m: Module, given: CacheInputs, parts: readonly (keyof CacheOutputs)[]): void => {
    const [logits, kept] = decoder(m, given);
    m.graph.output('logits', logits);
    for (const part of parts)
      for (const [i, each] of kept.entries()) present(m, `present.${i}.${part}`, part, each[part]);
  };
  return {
    decoder_model: (m) => emit(m, { ids: inputIds(m), encoded: states(m, sizes) }, ['decoder', 'encoder']),
    decoder_with_past_model: (m) => emit(m, { ids: inputIds(m), pasts: pasts(m, sizes) }, ['decoder']),
    decoder_model_merged: (m) => emit(m, either(m, sizes), ['decoder', 'encoder']),
  };
}

/** The whole model without a cache: encoder states and the input `decoder_input_ids` to logits. */
export function wholeModel(m: Module, encoded: Value, decoder: EmitDecoder): void {
  const ids = m.graph.input('decoder_input_ids', 'int64', ['batch_size', TOKENS]);
  m.graph.output('logits', decoder(m, { ids, encoded })[0]);
}

function inputIds(m: Module): Value {
  return m.graph.input('input_ids', 'int64', ['batch_size', TOKENS]);
}

function states(m: Module, { encoded }: KeptSizes): Value {
  return m.graph.input('encoder_hidden_states', 'float32', ['batch_size', FRAMES, encoded]);
}

function pasts(m: Module, { layers, keyHeads, headSize }: KeptSizes): CacheOutputs[] {
  const past = (name: string, length: string): KeysAndValues => {
    const of = (what: string): Value => m.graph.input(`past_key_values.${name}.${what}`, 'float32', ['batch_size', keyHeads, length, headSize]); // prettier-ignore
    return [of('key'), of('value')];
  };
  requireLayers(layers, m.graph.weights.size);
  return Array.from({ length: layers }, (_, i) => {
    return { decoder: past(`${i}.decoder`, PAST), encoder: past(`${i}.encoder`, FRAMES_BEFORE) };
  });
}

/** Merged graph: `use_cache_branch`, bool `[1]`, selects a branch; the other's input is cut to length 0. */
function either(m: Module, sizes: KeptSizes): CacheInputs {
  const { g } = m;
  const [encoded, ids, kept] = [states(m, sizes), inputIds(m), pasts(m, sizes)];
  const isLater = m.ints(m.graph.input('use_cache_branch', 'bool', [1]));
  const isFirst = g.Sub(g.ints([1]), isLater);
  const cut = (x: Value, axis: number, keeps: Value): Value =>
    g.emit('Slice', [x, g.ints([0]), g.Mul(m.sizeOf(x, axis), keeps), g.ints([axis])]);
  const cutPair = ([key, value]: KeysAndValues): KeysAndValues => [cut(key, 2, isLater), cut(value, 2, isLater)];
  return {
    ids,
    encoded: cut(encoded, 1, isFirst),
    pasts: kept.map(({ decoder, encoder }) => ({ decoder: cutPair(decoder), encoder: cutPair(encoder) })),
  };
}

function present(m: Module, name: string, part: keyof CacheOutputs, [key, value]: KeysAndValues): void {
  const [, heads, , size] = key.shape!;
  const dims = ['batch_size', heads!, part === 'decoder' ? `${PAST} + ${TOKENS}` : FRAMES, size!];
  m.graph.output(`${name}.key`, key, dims);
  m.graph.output(`${name}.value`, value, dims);
}

/** Concatenates cached and fresh keys and values, if present. */
export function withPast(
  { g }: Module,
  past: KeysAndValues | undefined,
  fresh: KeysAndValues | undefined,
): KeysAndValues {
  if (past && fresh) return [g.Concat([past[0], fresh[0]], 2), g.Concat([past[1], fresh[1]], 2)];
  return (past ?? fresh)!;
}

export interface Places {
  /** Int64 `[sequence]`. */
  readonly places: Value;
  /** Number of tokens including the cache, `[1]`. */
  readonly total: Value;
  /** Causal mask, `[sequence, total]`. */
  readonly mask: Value;
}

export function placesOf(m: Module, { ids, pasts: kept }: CacheInputs): Places {
  const { g } = m;
  const length = m.sizeOf(ids, 1);
  const past = kept && m.sizeOf(kept[0]!.decoder[0], 2);
  const total = past ? g.Add(past, length) : length;
  const [keys, places] = [m.range(0, total), m.range(past ?? 0, total)];
  return { places, total, mask: additive(m, g.LessOrEqual(g.Unsqueeze(keys, [0]), g.Unsqueeze(places, [1]))) };
}

const TOKENS = 'decoder_sequence_length';
const PAST = 'past_decoder_sequence_length';
const FRAMES = 'encoder_sequence_length';
/** Where the cache is unused, Optimum feeds one of another length or an empty one. */
const FRAMES_BEFORE = 'past_encoder_sequence_length';
