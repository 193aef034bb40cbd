/** @file ModernBERT: Warner et al. 2024, "Smarter, better, faster, longer". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, type Graphs, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { attend, splitHeads } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import type { TransformerSizes } from '../../layers/sizes.ts';
import { rotaryFrequencies, rotated, rotaryAngles, type RotaryAngles } from '../../layers/texts/positions.ts';
import { vocabularyScores } from '../../layers/heads.ts';
import {
  meanOfReal,
  slidingWindowMask,
  paddingMask,
  stateOutputs,
  type TextInputs,
  textInputs,
} from '../../layers/texts/texts.ts';
import { tableOf } from '../../layers/bounds.ts';

interface Sizes extends Omit<TransformerSizes, 'layers'> {
  readonly vocabulary: number;
  readonly normBias: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** Whether each layer has a sliding window. */
  readonly isLocal: readonly boolean[];
  /** Visible tokens to either side in such layers. */
  readonly reach: number;
  readonly bases: { readonly global: number; readonly local: number };
  readonly headBias: boolean;
  readonly headAct: Activation;
}

function sizes(c: Config): Sizes {
  // Fields that no version reads, and options of equivalent implementations.
  c.skip('position_embedding_type', 'layer_norm_eps', 'max_position_embeddings', 'classifier_pooling', 'decoder_bias');
  c.skip('reference_compile', 'repad_logits_with_grad', 'sparse_prediction', 'sparse_pred_ignore_index', 'deterministic_flash_attn'); // prettier-ignore
  const layers = c.size('num_hidden_layers', 22);
  const every = c.size('global_attn_every_n_layers', 3);
  const types = c.raw('layer_types');
  return {
    vocabulary: c.size('vocab_size', 50368),
    hidden: c.size('hidden_size', 768),
    heads: c.size('num_attention_heads', 12),
    inner: c.size('intermediate_size', 1152),
    act: c.activation('hidden_activation', 'gelu'),
    eps: c.number('norm_eps', 1e-5),
    normBias: c.flag('norm_bias', false),
    attentionBias: c.flag('attention_bias', false),
    mlpBias: c.flag('mlp_bias', false),
    isLocal: tableOf(layers, (i) => (Array.isArray(types) ? types[i] === 'sliding_attention' : i % every > 0)),
    reach: Math.floor(c.size('local_attention', 128) / 2),
    bases: bases(c),
    headBias: c.flag('classifier_bias', false),
    headAct: c.activation('classifier_activation', 'gelu'),
  };
}

/** Separate fields in older configs, by layer type in newer ones. */
function bases(c: Config): Sizes['bases'] {
  c.only('rope_scaling', null);
  const of = (kind: string, absent: number): number => {
    const recent = c.inner('rope_parameters').inner(kind);
    recent.only('rope_type', 'default');
    return recent.number('rope_theta', absent);
  };
  const global = c.number('global_rope_theta', 160_000);
  const local = c.isNull('local_rope_theta') ? global : c.number('local_rope_theta', 10_000);
  return { global: of('full_attention', global), local: of('sliding_attention', local) };
}

interface View {
  readonly mask: readonly Value[];
  readonly angles: RotaryAngles;
}

function layer(m: Module, x: Value, i: number, s: Sizes, { mask, angles }: View): Value {
  const { g } = m;
  const { hidden, inner } = s;
  const attention = m.at('attn');
  // The embeddings' norm precedes the first layer.
  const normed = i === 0 ? x : norm(m, 'attn_norm', x, s);
  const all = g.Split(
    attention.linear('Wqkv', normed, 3 * hidden, { bias: s.attentionBias }),
    [hidden, hidden, hidden],
    -1,
  );
  const [q, k, v] = all.map((each) => splitHeads(attention, each, s.heads)) as [Value, Value, Value];
  const context = attend(attention, { q: rotated(attention, q, angles), k: rotated(attention, k, angles), v, mask });
  x = g.Add(x, attention.linear('Wo', context, hidden, { bias: s.attentionBias }));
  const wide = m.linear('mlp.Wi', norm(m, 'mlp_norm', x, s), 2 * inner, { bias: s.mlpBias });
  const [value, gate] = g.Split(wide, [inner, inner], -1) as [Value, Value];
  return g.Add(x, m.linear('mlp.Wo', g.Mul(s.act(g, value), gate), hidden, { bias: s.mlpBias }));
}

function norm(m: Module, name: string, x: Value, { eps, normBias: bias }: Sizes): Value {
  return m.layerNorm(name, x, eps, { bias });
}

function states(m: Module, s: Sizes): { readonly x: Value; readonly inputs: TextInputs } {
  const { g } = m;
  const inputs = textInputs(m);
  const length = m.sizeOf(inputs.ids, 1);
  const places = g.Unsqueeze(m.range(0, length), [0]);
  const angles = (base: number): RotaryAngles => rotaryAngles(m, places, rotaryFrequencies(base, s.hidden / s.heads));
  const padding = paddingMask(m, inputs.mask);
  const global = { mask: [padding], angles: angles(s.bases.global) };
  const local = { mask: [slidingWindowMask(m, length, s.reach), padding], angles: angles(s.bases.local) };
  let x = norm(m, 'embeddings.norm', m.embedding('embeddings.tok_embeddings', inputs.ids, s.vocabulary, s.hidden), s);
  for (const [i, each] of m.list('layers', s.isLocal.length).entries())
    x = layer(each, x, i, s, s.isLocal[i] ? local : global);
  return { x: norm(m, 'final_norm', x, s), inputs };
}

function head(m: Module, x: Value, s: Sizes): Value {
  return norm(m, 'norm', s.headAct(m.g, m.linear('dense', x, s.hidden, { bias: s.headBias })), s);
}

function withHead(c: Config, logits: (m: Module, x: Value, s: Sizes, inputs: TextInputs) => Value): Graphs {
  const s = sizes(c);
  return {
    model: (m) => {
      const { x, inputs } = states(m.at('model'), s);
      m.graph.output('logits', logits(m, x, s, inputs));
    },
  };
}

export const modernbert: Architecture = {
  modelType: 'modernbert',
  prefix: 'model',
  others: /^head\.|^decoder\.|^classifier\./,
  classes: {
    ModernBertModel: modelClass(
      (c, { pooling }) => ({ s: sizes(c), pooling }),
      (m, { s, pooling }) => {
        const { x, inputs } = states(m, s);
        stateOutputs(m, x, inputs.mask, pooling);
      },
    ),
    ModernBertForMaskedLM: (c) => {
      const [tied, bias] = [c.flag('tie_word_embeddings', true), c.flag('decoder_bias', true)];
      return withHead(c, (m, x, s) => {
        const table = m.parameter('model.embeddings.tok_embeddings.weight', [s.vocabulary, s.hidden]);
        const y = head(m.at('head'), x, s);
        return vocabularyScores(m, 'decoder', y, { table, isTied: tied }, bias);
      });
    },
    ModernBertForSequenceClassification: (c) => {
      const [labels, pooling] = [c.labels(), c.word('classifier_pooling', ['cls', 'mean'], 'cls')];
      return withHead(c, (m, x, s, { mask }) => {
        const pooled = pooling === 'cls' ? m.row(x, 0) : meanOfReal(m, x, mask);
        return m.linear('classifier', head(m.at('head'), pooled, s), labels);
      });
    },
    ModernBertForTokenClassification: (c) => {
      const labels = c.labels();
      return withHead(c, (m, x, s) => m.linear('classifier', head(m.at('head'), x, s), labels));
    },
  },
};
