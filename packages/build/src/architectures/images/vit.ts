/** @file ViT: Dosovitskiy et al. 2020, "An image is worth 16x16 words". */

import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { selfAttention } from '../../layers/attention.ts';
import { patchEmbedding, pixelValues, withFirstTokens } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import type { Value } from '@onnx-lora/sdk/tasks';

export interface VitSizes {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
  readonly act: Activation;
  readonly eps: number;
  readonly qkvBias: boolean;
  readonly channels: number;
  readonly image: readonly [number, number];
  readonly patch: readonly [number, number];
}

/** Reads the fields of ViT and DeiT; `eps` is the default of `layer_norm_eps`. */
export function vitSizes(c: Config, eps = 1e-12): VitSizes {
  c.skip('encoder_stride');
  const hidden = c.size('hidden_size', 768);
  return {
    hidden,
    layers: c.size('num_hidden_layers', 12),
    heads: c.divisor('num_attention_heads', hidden, 12),
    inner: c.size('intermediate_size', 3072),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', eps),
    qkvBias: c.flag('qkv_bias', true),
    channels: c.size('num_channels', 3),
    image: c.pair('image_size', 224),
    patch: c.pair('patch_size', 16),
  };
}

/** All layers and the last norm: `[batch, tokens, hidden]`. */
export function vitEncoder(m: Module, x: Value, s: VitSizes): Value {
  for (const layer of m.list('encoder.layer', s.layers)) x = vitLayer(layer, x, s);
  return m.layerNorm('layernorm', x, s.eps);
}

function vitLayer(m: Module, x: Value, s: VitSizes): Value {
  const names = ['query', 'key', 'value'] as const;
  const bias = s.qkvBias;
  const normed = m.layerNorm('layernorm_before', x, s.eps);
  const context = selfAttention(m.at('attention.attention'), normed, { names, heads: s.heads, bias });
  x = m.g.Add(x, m.linear('attention.output.dense', context, s.hidden));
  const inner = s.act(m.g, m.linear('intermediate.dense', m.layerNorm('layernorm_after', x, s.eps), s.inner));
  return m.g.Add(x, m.linear('output.dense', inner, s.hidden));
}

/** A pooler over token 0. */
export function vitPooler(m: Module, c: Config, states: Value, hidden: number): Value {
  const act = c.activation('pooler_act', 'tanh');
  return act(m.g, m.linear('pooler.dense', m.row(states, 0), c.size('pooler_output_size', hidden)));
}

interface VitKind {
  readonly modelType: string;
  readonly name: string;
  /** The encoder's path in a model with a head; the model type by default. */
  readonly prefix?: string;
  /** Default of `layer_norm_eps`; 1e-12. */
  readonly eps?: number;
  /** Whether a class token is prepended and classified; else the patches' mean is. */
  readonly hasToken?: boolean;
}

function vitArchitecture({ modelType, name, prefix = modelType, eps, hasToken = true }: VitKind): Architecture {
  const states = (m: Module, s: VitSizes): Value => {
    const embeddings = m.at('embeddings');
    const patches = patchEmbedding(embeddings.at('patch_embeddings'), pixelValues(m, s), s);
    return vitEncoder(m, withFirstTokens(embeddings, patches, hasToken ? ['cls_token'] : []), s);
  };
  return {
    modelType,
    prefix,
    others: /^(?:\w+\.)?pooler\.|^classifier\.|^decoder\.|mask_token$/,
    classes: {
      [`${name}Model`]: (c) => {
        const s = vitSizes(c, eps);
        c.skip('pooler_act', 'pooler_output_size');
        return {
          model: (m) => {
            const hidden = states(m, s);
            m.graph.output('last_hidden_state', hidden);
            if (m.has('pooler.dense.weight')) m.graph.output('pooler_output', vitPooler(m, c, hidden, s.hidden));
          },
        };
      },
      [`${name}ForImageClassification`]: (c) => {
        const [s, labels] = [vitSizes(c, eps), c.labels()];
        c.skip('pooler_act', 'pooler_output_size');
        return {
          model: (m) => {
            const x = states(m.at(prefix), s);
            const pooled = hasToken ? m.row(x, 0) : m.g.ReduceMean(x, [1], false);
            m.graph.output('logits', m.linear('classifier', pooled, labels));
          },
        };
      },
    },
  };
}

export const vit: Architecture = vitArchitecture({ modelType: 'vit', name: 'ViT' });

/** ViT-MSN: Assran et al. 2022, "Masked siamese networks for label-efficient learning". */
export const vitMsn: Architecture = vitArchitecture({ modelType: 'vit_msn', name: 'ViTMSN', prefix: 'vit', eps: 1e-6 });

/**
 * I-JEPA: Assran et al. 2023, "Self-supervised learning from images with a joint-embedding predictive architecture".
 */
export const ijepa: Architecture = vitArchitecture({ modelType: 'ijepa', name: 'IJepa', hasToken: false });
