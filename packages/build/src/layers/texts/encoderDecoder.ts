/**
 * @file What decoders share that read an encoder's states: the inputs of their graphs, and the keys and values that are kept
 * of tokens (`decoder`) and of the encoder's states (`encoder`), as Optimum names them.
 */

import type { Value } from '@onnx-lora/sdk/tasks';
import { additive } from './masks.ts';
import type { Module } from '../module.ts';
import { requireLayers } from '../bounds.ts';

/** Keys and values by heads, `[batch, heads, length, size]`. */
export type Pair = readonly [key: Value, value: Value];

/** What a layer keeps, and finds again at the next token. */
export interface Kept {
  readonly decoder: Pair;
  readonly encoder: Pair;
}

/** What a graph of a decoder takes. */
export interface Given {
  /** Token ids, int64 `[batch, sequence]`. */
  readonly ids: Value;
  /** The encoder's states `[batch, frames, hidden]`; absent where keys and values of them were kept. */
  readonly encoded?: Value;
  /** What was kept, layer by layer; absent for the first tokens. */
  readonly pasts?: readonly Kept[];
}

/** Sizes of what is kept. */
export interface KeptSizes {
  readonly layers: number;
  /** Heads of keys and values. */
  readonly keyHeads: number;
  readonly headSize: number;
  /** Width of the encoder's states. */
  readonly encoded: number;
}

/** Emits a decoder: its logits, and what each layer keeps. */
export type EmitDecoder = (m: Module, given: Given) => readonly [logits: Value, kept: readonly Kept[]];

/** The graphs of a decoder: for the first tokens, for those after, and for both in one. */
export function decoderGraphs(sizes: KeptSizes, decoder: EmitDecoder): Record<string, (m: Module) => void> {
  const emit = (m: Module, given: Given, parts: readonly (keyof Kept)[]): void => {
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

/** Both in one graph, without a cache: the encoder's states, and the input `decoder_input_ids`, to logits. */
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

function pasts(m: Module, { layers, keyHeads, headSize }: KeptSizes): Kept[] {
  const past = (name: string, length: string): Pair => {
    const of = (what: string): Value => m.graph.input(`past_key_values.${name}.${what}`, 'float32', ['batch_size', keyHeads, length, headSize]); // prettier-ignore
    return [of('key'), of('value')];
  };
  requireLayers(layers, m.graph.weights.size);
  return Array.from({ length: layers }, (_, i) => {
    return { decoder: past(`${i}.decoder`, PAST), encoder: past(`${i}.encoder`, FRAMES_BEFORE) };
  });
}

/**
 * Both in one: `use_cache_branch`, bool `[1]`, tells which. Where it holds, the encoder's states are cut to none of them, so
 * that nothing is computed of them; else what was kept is.
 */
function either(m: Module, sizes: KeptSizes): Given {
  const { g } = m;
  const [encoded, ids, kept] = [states(m, sizes), inputIds(m), pasts(m, sizes)];
  const isLater = m.ints(m.graph.input('use_cache_branch', 'bool', [1]));
  const isFirst = g.Sub(g.ints([1]), isLater);
  const cut = (x: Value, axis: number, keeps: Value): Value =>
    g.emit('Slice', [x, g.ints([0]), g.Mul(m.sizeOf(x, axis), keeps), g.ints([axis])]);
  const cutPair = ([key, value]: Pair): Pair => [cut(key, 2, isLater), cut(value, 2, isLater)];
  return {
    ids,
    encoded: cut(encoded, 1, isFirst),
    pasts: kept.map(({ decoder, encoder }) => ({ decoder: cutPair(decoder), encoder: cutPair(encoder) })),
  };
}

function present(m: Module, name: string, part: keyof Kept, [key, value]: Pair): void {
  const [, heads, , size] = key.shape!;
  const dims = ['batch_size', heads!, part === 'decoder' ? `${PAST} + ${TOKENS}` : FRAMES, size!];
  m.graph.output(`${name}.key`, key, dims);
  m.graph.output(`${name}.value`, value, dims);
}

/** Keys and values with those that were kept before them, as far as there are any of either. */
export function withPast({ g }: Module, past: Pair | undefined, fresh: Pair | undefined): Pair {
  if (past && fresh) return [g.Concat([past[0], fresh[0]], 2), g.Concat([past[1], fresh[1]], 2)];
  return (past ?? fresh)!;
}

/** Where tokens stand in a text. */
export interface Places {
  /** Their places, int64 `[sequence]`. */
  readonly places: Value;
  /** How many tokens there are with those before, `[1]`. */
  readonly total: Value;
  /** By what each sees those before it and itself, `[sequence, total]`. */
  readonly mask: Value;
}

/** The places of a decoder's tokens. */
export function placesOf(m: Module, { ids, pasts: kept }: Given): Places {
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
/** Optimum feeds what was kept of another length, or of none, where it does not count. */
const FRAMES_BEFORE = 'past_encoder_sequence_length';
