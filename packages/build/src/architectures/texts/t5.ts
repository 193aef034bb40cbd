/** @file T5's encoder: Raffel et al. 2020, "Exploring the limits of transfer learning"; gated MLP: Shazeer 2020. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { selfAttention } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import type { Stack, TransformerSizes } from '../../layers/sizes.ts';
import { type Buckets, distanceBias, readBuckets } from '../../layers/texts/positions.ts';
import { paddingMask, stateOutputs, textInputs, type TextInputs } from '../../layers/texts/texts.ts';

interface Sizes extends TransformerSizes {
  readonly vocabulary: number;
  readonly headSize: number;
  readonly isGated: boolean;
  readonly buckets: Buckets;
}

/** Defaults in which T5 and mT5 differ. */
interface Defaults extends Stack {
  readonly vocabulary: number;
  readonly feedForward: string;
}

function sizes(c: Config, absent: Defaults): Sizes {
  c.only('is_decoder', false);
  c.skip('num_decoder_layers', 'scale_decoder_outputs', 'n_positions');
  return {
    vocabulary: c.size('vocab_size', absent.vocabulary),
    hidden: c.size('d_model', 512),
    layers: c.size('num_layers', absent.layers),
    heads: c.size('num_heads', absent.heads),
    headSize: c.size('d_kv', 64),
    inner: c.size('d_ff', absent.inner),
    ...feedForward(c, absent.feedForward),
    eps: c.number('layer_norm_epsilon', 1e-6),
    buckets: readBuckets(c, ['relative_attention_num_buckets', 32], ['relative_attention_max_distance', 128]),
  };
}

/** `relu`, `gated-silu` and the like; `gated-gelu` has always meant the tanh form. Two newer fields take precedence. */
function feedForward(c: Config, absent: string): Pick<Sizes, 'act' | 'isGated'> {
  // Read only without the newer fields.
  c.skip('feed_forward_proj');
  if (c.has('dense_act_fn') && c.has('is_gated_act')) {
    return { act: c.activation('dense_act_fn'), isGated: c.flag('is_gated_act') };
  }
  const said = c.raw('feed_forward_proj') ?? absent;
  const [, gated, name] = /^(gated-)?(\w+)$/.exec(typeof said === 'string' ? said : '') ?? [];
  if (name === undefined) throw c.unsupported('feed_forward_proj', 'Known are relu, gated-gelu and the like.');
  const isGated = gated !== undefined;
  const act = isGated && name === 'gelu' ? 'gelu_new' : name;
  return { act: c.activation('dense_act_fn', act), isGated: c.flag('is_gated_act', isGated) };
}

function block(m: Module, x: Value, s: Sizes, mask: readonly Value[]): Value {
  const [attention, feedForward] = [m.at('layer.0'), m.at('layer.1')];
  const { heads, headSize, hidden } = s;
  const names = ['q', 'k', 'v'] as const;
  const inner = attention.at('SelfAttention');
  const normed = attention.rmsNorm('layer_norm', x, s.eps);
  const context = selfAttention(inner, normed, { names, heads, headSize, bias: false, scale: 1, mask });
  x = m.g.Add(x, inner.linear('o', context, hidden, { bias: false }));
  return m.g.Add(x, dense(feedForward.at('DenseReluDense'), feedForward.rmsNorm('layer_norm', x, s.eps), s));
}

function dense(m: Module, x: Value, { inner, hidden, act, isGated }: Sizes): Value {
  const into = (name: string): Value => m.linear(name, x, inner, { bias: false });
  const wide = isGated ? m.g.Mul(act(m.g, into('wi_0')), into('wi_1')) : act(m.g, into('wi'));
  return m.linear('wo', wide, hidden, { bias: false });
}

function encoder(m: Module, s: Sizes): { readonly x: Value; readonly inputs: TextInputs } {
  const inputs = textInputs(m);
  const { ids, mask } = inputs;
  const own = 'encoder.embed_tokens.weight';
  const table = m.parameter(m.has('shared.weight') ? 'shared.weight' : own, [s.vocabulary, s.hidden]);
  m.graph.weights.use(m.under(own));
  const first = m.at('encoder.block.0.layer.0.SelfAttention');
  const bias = first.parameter('relative_attention_bias.weight', [s.buckets.buckets, s.heads]);
  const masks = [distanceBias(first, bias, m.sizeOf(ids, 1), s.buckets), paddingMask(m, mask)];
  let x = m.g.Gather(table, ids, 0);
  for (const each of m.list('encoder.block', s.layers)) x = block(each, x, s, masks);
  return { x: m.rmsNorm('encoder.final_layer_norm', x, s.eps), inputs };
}

function architecture(modelType: string, name: string, absent: Defaults): Architecture {
  return {
    modelType,
    prefix: 'transformer',
    others: /^decoder\.|^lm_head\.|^classification_head\.|^classifier\.|^qa_outputs\./,
    classes: {
      [`${name}EncoderModel`]: modelClass(
        (c, { pooling }) => ({ s: sizes(c, absent), pooling }),
        (m, { s, pooling }) => {
          const { x, inputs } = encoder(m, s);
          stateOutputs(m, x, inputs.mask, pooling);
        },
      ),
      [`${name}ForTokenClassification`]: classifierClass(
        (c) => sizes(c, absent),
        (m, s) => encoder(m.at('transformer'), s).x,
      ),
    },
  };
}

export const t5: Architecture = architecture('t5', 'T5', {
  vocabulary: 32_128,
  layers: 6,
  heads: 8,
  inner: 2048,
  feedForward: 'relu',
});

/** Xue et al. 2020, "mT5: a massively multilingual pre-trained text-to-text transformer". */
export const mt5: Architecture = architecture('mt5', 'MT5', { vocabulary: 250_112, layers: 8, heads: 6, inner: 1024, feedForward: 'gated-gelu' }); // prettier-ignore
