/** @file ESM-1b and ESM-2, models of proteins: Lin et al. 2022. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { gelu } from '../../layers/activations.ts';
import { attend, project } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import type { TransformerSizes } from '../../layers/sizes.ts';
import {
  positionsPastPadding,
  rotaryFrequencies,
  rotated,
  rotaryAngles,
  type RotaryAngles,
} from '../../layers/texts/positions.ts';
import { paddingMask, type TextInputs, textInputs } from '../../layers/texts/texts.ts';
import { type Encoded, robertaHeads, textEncoder } from './textEncoder.ts';

interface Sizes extends Omit<TransformerSizes, 'act'> {
  readonly vocabulary: number;
  readonly positions: number;
  /** Base of the rotary positions; undefined for learned ones. */
  readonly rotary: number | undefined;
  readonly padding: number;
  /** Mask id, if embeddings are rescaled for masked tokens. */
  readonly dropped: number | undefined;
  readonly hasNormBefore: boolean;
}

/** Share of masked tokens in training. */
const MASKED = 0.15 * 0.8;

function sizes(c: Config): Sizes {
  c.only('is_folding_model', false);
  c.only('is_decoder', false);
  c.only('add_cross_attention', false);
  const hidden = c.size('hidden_size', 768);
  // Exact GELU, whatever it says.
  c.skip('hidden_act', 'vocab_list', 'esmfold_config');
  const recent = c.inner('rope_parameters');
  recent.only('rope_type', 'default');
  c.skip('rope_theta');
  const base = (): number => recent.number('rope_theta', c.number('rope_theta', 10_000));
  const kind = c.word('position_embedding_type', ['absolute', 'rotary'], 'absolute');
  // Read with learned positions, or with token dropout, only.
  c.skip('max_position_embeddings', 'pad_token_id', 'mask_token_id');
  const learned = kind === 'absolute';
  return {
    vocabulary: c.size('vocab_size'),
    hidden,
    layers: c.size('num_hidden_layers', 12),
    heads: c.divisor('num_attention_heads', hidden, 12),
    inner: c.size('intermediate_size', 3072),
    eps: c.number('layer_norm_eps', 1e-12),
    positions: learned ? c.size('max_position_embeddings', 1026) : 0,
    rotary: learned ? undefined : base(),
    padding: learned ? c.whole('pad_token_id', 1) : 0,
    dropped: c.flag('token_dropout', false) ? c.whole('mask_token_id') : undefined,
    hasNormBefore: c.flag('emb_layer_norm_before', false),
  };
}

function embeddings(m: Module, { ids, mask }: TextInputs, s: Sizes): Value {
  const { g } = m;
  let x = m.embedding('word_embeddings', ids, s.vocabulary, s.hidden);
  const real = m.floats(mask);
  if (s.dropped !== undefined) {
    const isMask = g.Equal(ids, g.scalar(s.dropped, 'int64'));
    const part = g.Div(g.ReduceSum(m.floats(isMask), [1], true), g.ReduceSum(real, [1], true));
    x = g.Where(g.Unsqueeze(isMask, [2]), 0, x);
    x = g.Mul(x, g.Unsqueeze(g.Div(g.scalar(1 - MASKED), g.Sub(g.scalar(1), part)), [2]));
  }
  if (s.rotary === undefined) {
    const places = positionsPastPadding(m, ids, s.padding);
    x = g.Add(x, m.embedding('position_embeddings', places, s.positions, s.hidden));
  }
  if (s.hasNormBefore) x = m.layerNorm('layer_norm', x, s.eps);
  return g.Mul(x, g.Unsqueeze(real, [2]));
}

function block(m: Module, x: Value, mask: Value, s: Sizes, angles: RotaryAngles | undefined): Value {
  const attention = m.at('attention.self');
  const normed = m.layerNorm('attention.LayerNorm', x, s.eps);
  const [q, k, v] = project(attention, normed, { names: ['query', 'key', 'value'], heads: s.heads });
  const turn = (y: Value): Value => (angles ? rotated(attention, y, angles) : y);
  const context = attend(attention, { q: turn(q), k: turn(k), v, mask });
  x = m.g.Add(x, m.linear('attention.output.dense', context, s.hidden));
  const inner = gelu(m.g, m.linear('intermediate.dense', m.layerNorm('LayerNorm', x, s.eps), s.inner));
  return m.g.Add(x, m.linear('output.dense', inner, s.hidden));
}

function states(m: Module, s: Sizes): Encoded {
  const inputs = textInputs(m);
  const mask = paddingMask(m, inputs.mask);
  // Padding counts too.
  const places = m.g.Unsqueeze(m.range(0, m.sizeOf(inputs.ids, 1)), [0]);
  const angles = s.rotary && rotaryAngles(m, places, rotaryFrequencies(s.rotary, s.hidden / s.heads));
  let x = embeddings(m.at('embeddings'), inputs, s);
  for (const layer of m.list('encoder.layer', s.layers)) x = block(layer, x, mask, s, angles || undefined);
  return { x: m.layerNorm('encoder.emb_layer_norm_after', x, s.eps), inputs };
}

export const esm: Architecture = textEncoder<Sizes>({
  modelType: 'esm',
  name: 'Esm',
  prefix: 'esm',
  // Rotary models come with an unused position table.
  others: /^(?:esm\.)?(?:contact_head\.|pooler\.|embeddings\.position_embeddings\.)|^lm_head\.|^classifier\./,
  sizes,
  states,
  ...robertaHeads,
  hasAnswers: false,
});
