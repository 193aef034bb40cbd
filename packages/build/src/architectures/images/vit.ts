/** @file ViT: Dosovitskiy et al. 2020, "An image is worth 16x16 words". */

import { type Architecture, classifierClass, modelClass, type ReadClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { type Heads, type Projections, selfAttention } from '../../layers/attention.ts';
import { patchEmbedding, type Patches, pixelValues, withFirstTokens } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import { type TransformerSizes, transformerSizes } from '../../layers/sizes.ts';
import type { Value } from '@onnx-lora/sdk/tasks';

export interface VitSizes extends TransformerSizes, Patches {
  readonly qkvBias: boolean;
}

/** Reads the fields of ViT and DeiT; `eps` is the default of `layer_norm_eps`. */
export function vitSizes(c: Config, eps = 1e-12): VitSizes {
  c.skip('encoder_stride');
  return {
    ...transformerSizes(c, { hidden: 768, heads: 12, inner: 3072, act: 'gelu', eps }),
    qkvBias: c.flag('qkv_bias', true),
    channels: c.size('num_channels', 3),
    image: c.pair('image_size', 224),
    patch: c.pair('patch_size', 16),
  };
}

/** Tokens before patches, all layers and the last norm: `[batch, tokens, hidden]`. */
export function vitStates(m: Module, s: VitSizes, tokens: readonly string[]): Value {
  const embeddings = m.at('embeddings');
  const patches = patchEmbedding(embeddings.at('patch_embeddings'), pixelValues(m, s), s);
  return vitEncoder(m, withFirstTokens(embeddings, patches, tokens), s);
}

/** All layers and the last norm: `[batch, tokens, hidden]`. */
export function vitEncoder(m: Module, x: Value, s: VitSizes): Value {
  for (const layer of m.list('encoder.layer', s.layers)) x = vitLayer(layer, x, s);
  return m.layerNorm('layernorm', x, s.eps);
}

/** A pre-norm layer; `isScaled` is for layer scale. */
export function vitLayer(
  m: Module,
  x: Value,
  s: VitSizes,
  { isScaled = false, ...heads }: { isScaled?: boolean } & Pick<Projections, 'bias'> & Pick<Heads, 'mask'> = {},
): Value {
  const names = ['query', 'key', 'value'] as const;
  const scaled = (name: string, y: Value): Value => (isScaled ? m.g.Mul(m.parameter(name, [s.hidden]), y) : y);
  const normed = m.layerNorm('layernorm_before', x, s.eps);
  const context = selfAttention(m.at('attention.attention'), normed, {
    names,
    heads: s.heads,
    bias: s.qkvBias,
    ...heads,
  });
  x = m.g.Add(x, scaled('lambda_1', m.linear('attention.output.dense', context, s.hidden)));
  const inner = s.act(m.g, m.linear('intermediate.dense', m.layerNorm('layernorm_after', x, s.eps), s.inner));
  return m.g.Add(x, scaled('lambda_2', m.linear('output.dense', inner, s.hidden)));
}

/** A bare encoder, and a pooler over token 0 if it is stored. */
export function vitModel(read: (c: Config) => VitSizes, tokens: readonly string[]): ReadClass {
  return modelClass(
    (c) => {
      // Only a pooler reads these.
      c.skip('pooler_act', 'pooler_output_size');
      return { c, s: read(c) };
    },
    (m, { c, s }) => {
      const x = vitStates(m, s, tokens);
      m.graph.output('last_hidden_state', x);
      if (!m.has('pooler.dense.weight')) return;
      const act = c.activation('pooler_act', 'tanh');
      const pooled = m.linear('pooler.dense', m.row(x, 0), c.size('pooler_output_size', s.hidden));
      m.graph.output('pooler_output', act(m.g, pooled));
    },
  );
}

/** Reads a classifier's sizes. */
export function vitClassifierSizes(c: Config, eps?: number): VitSizes {
  c.skip('pooler_act', 'pooler_output_size');
  return vitSizes(c, eps);
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
  const tokens = hasToken ? ['cls_token'] : [];
  return {
    modelType,
    prefix,
    others: /^(?:\w+\.)?pooler\.|^classifier\.|^decoder\.|mask_token$/,
    classes: {
      [`${name}Model`]: vitModel((c) => vitSizes(c, eps), tokens),
      [`${name}ForImageClassification`]: classifierClass(
        (c) => vitClassifierSizes(c, eps),
        (m, s) => {
          const x = vitStates(m.at(prefix), s, tokens);
          return hasToken ? m.row(x, 0) : m.g.ReduceMean(x, [1], false);
        },
      ),
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
