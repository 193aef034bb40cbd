/** @file Whisper: Radford et al. 2022, "Robust speech recognition via large-scale weak supervision". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { type Activation, gelu } from '../../layers/activations.ts';
import { attend, splitHeads } from '../../layers/attention.ts';
import {
  decoderGraphs,
  type CacheInputs,
  type CacheOutputs,
  type KeysAndValues,
  placesOf,
  wholeModel,
  withPast,
} from '../../layers/texts/encoderDecoder.ts';
import { weightedSum } from '../../layers/audio/speechEncoder.ts';
import { vocabularyScores } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import type { Stack } from '../../layers/sizes.ts';

interface Sizes {
  readonly mels: number;
  readonly hidden: number;
  /** Output frames, half of the input's. */
  readonly frames: number;
  readonly act: Activation;
  readonly encoder: Stack;
}

interface WholeSizes extends Sizes {
  readonly vocabulary: number;
  readonly tokens: number;
  readonly decoder: Stack;
}

/** Fixed in all norms, whatever config.json says. */
const EPSILON = 1e-5;

function stack(c: Config, part: string, layers: number): Stack {
  return {
    layers: c.size(`${part}_layers`, layers),
    heads: c.size(`${part}_attention_heads`, 6),
    inner: c.size(`${part}_ffn_dim`, 1536),
  };
}

function sizes(c: Config): Sizes {
  // `scale_embedding` is applied by no version of the model; the other is for timestamps.
  c.skip('scale_embedding', 'median_filter_width');
  return {
    mels: c.size('num_mel_bins', 80),
    hidden: c.size('d_model', 384),
    frames: c.size('max_source_positions', 1500),
    act: c.activation('activation_function', 'gelu'),
    encoder: stack(c, 'encoder', c.size('num_hidden_layers', 4)),
  };
}

function wholeSizes(c: Config): WholeSizes {
  return {
    ...sizes(c),
    vocabulary: c.size('vocab_size', 51865),
    tokens: c.size('max_target_positions', 448),
    decoder: stack(c, 'decoder', 4),
  };
}

/** Attention on the sequence `from`, on the cache, or on both; returns the new cache too. */
function attention(
  m: Module,
  x: Value,
  heads: number,
  {
    from,
    past,
    mask,
  }: { readonly from?: Value | undefined; readonly past?: KeysAndValues | undefined; readonly mask?: Value },
): [attended: Value, present: KeysAndValues] {
  const hidden = Number(x.shape!.at(-1));
  const by = (name: string, of: Value, bias: boolean): Value =>
    splitHeads(m, m.linear(name, of, hidden, { bias }), heads);
  const [k, v] = withPast(m, past, from && [by('k_proj', from, false), by('v_proj', from, true)]);
  return [m.linear('out_proj', attend(m, { q: by('q_proj', x, true), k, v, mask }), hidden), [k, v]];
}

function feedForward(m: Module, x: Value, inner: number, act: Activation): Value {
  const hidden = Number(x.shape!.at(-1));
  const wide = act(m.g, m.linear('fc1', m.layerNorm('final_layer_norm', x, EPSILON), inner));
  return m.g.Add(x, m.linear('fc2', wide, hidden));
}

/** Spectra `[batch, mels, 2 · frames]` → inputs of each layer and the final states `[batch, frames, hidden]`. */
function encoderStates(m: Module, spectra: Value, s: Sizes): Value[] {
  const { layers, heads, inner } = s.encoder;
  // Exact GELU, whatever `activation_function` says.
  let x = gelu(m.g, m.conv('conv1', spectra, { out: s.hidden, kernel: [3], pads: [1] }));
  x = gelu(m.g, m.conv('conv2', x, { out: s.hidden, kernel: [3], strides: [2], pads: [1] }));
  x = m.g.Add(m.g.Transpose(x, [0, 2, 1]), m.parameter('embed_positions.weight', [s.frames, s.hidden]));
  const read: Value[] = [];
  for (const layer of m.list('layers', layers)) {
    read.push(x);
    const from = layer.layerNorm('self_attn_layer_norm', x, EPSILON);
    const [attended] = attention(layer.at('self_attn'), from, heads, { from });
    x = feedForward(layer, m.g.Add(x, attended), inner, s.act);
  }
  return [...read, m.layerNorm('layer_norm', x, EPSILON)];
}

function decoder(m: Module, given: CacheInputs, s: WholeSizes, tied: boolean): [logits: Value, kept: CacheOutputs[]] {
  const { heads, layers, inner } = s.decoder;
  const base = m.at('model.decoder');
  const { places, mask } = placesOf(base, given);
  let x = base.embedding('embed_tokens', given.ids, s.vocabulary, s.hidden);
  x = m.g.Add(x, base.embedding('embed_positions', places, s.tokens, s.hidden));
  const kept = base.list('layers', layers).map((layer, i) => {
    const past = given.pasts?.[i];
    const from = layer.layerNorm('self_attn_layer_norm', x, EPSILON);
    const [own, tokens] = attention(layer.at('self_attn'), from, heads, { from, past: past?.decoder, mask });
    x = layer.g.Add(x, own);
    const asking = layer.layerNorm('encoder_attn_layer_norm', x, EPSILON);
    const sources = { from: given.encoded, past: past?.encoder };
    const [across, frames] = attention(layer.at('encoder_attn'), asking, heads, sources);
    x = feedForward(layer, layer.g.Add(x, across), inner, s.act);
    return { decoder: tokens, encoder: frames };
  });
  x = base.layerNorm('layer_norm', x, EPSILON);
  const table = base.parameter('embed_tokens.weight', [s.vocabulary, s.hidden]);
  return [vocabularyScores(m, 'proj_out', x, { table, isTied: tied }), kept];
}

function inputFeatures(m: Module, s: Sizes): Value {
  return m.graph.input('input_features', 'float32', ['batch_size', s.mels, 2 * s.frames]);
}

export const whisper: Architecture = {
  modelType: 'whisper',
  prefix: 'model',
  others: /^(?:model\.)?decoder\.|^proj_out\.|^projector\.|^classifier\.|^layer_weights$/,
  classes: {
    WhisperForConditionalGeneration: (c) => {
      const [s, tied] = [wholeSizes(c), c.flag('tie_word_embeddings', true)];
      c.skip('classifier_proj_size', 'use_weighted_layer_sum');
      const encoded = (m: Module): Value => encoderStates(m.at('model.encoder'), inputFeatures(m, s), s).at(-1)!;
      const decode = (m: Module, given: CacheInputs): [Value, CacheOutputs[]] => decoder(m, given, s, tied);
      const { heads, layers } = s.decoder;
      const kept = { layers, keyHeads: heads, headSize: s.hidden / heads, encoded: s.hidden };
      return {
        encoder_model: (m) => m.graph.output('last_hidden_state', encoded(m)),
        ...decoderGraphs(kept, decode),
        model: (m) => wholeModel(m, encoded(m), decode),
      };
    },
    WhisperForAudioClassification: classifierClass(
      (c) => {
        c.skip('vocab_size', 'max_target_positions', 'decoder_layers', 'decoder_attention_heads', 'decoder_ffn_dim');
        const isWeighted = c.flag('use_weighted_layer_sum', false);
        return { s: sizes(c), isWeighted, width: c.size('classifier_proj_size', 256) };
      },
      (m, { s, isWeighted, width }) => {
        const all = encoderStates(m.at('encoder'), inputFeatures(m, s), s);
        const states = isWeighted ? weightedSum(m, all) : all.at(-1)!;
        return m.g.ReduceMean(m.linear('projector', states, width), [1], false);
      },
    ),
  },
};
