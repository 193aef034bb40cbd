/** @file BEiT: Bao et al. 2021, "BERT pre-training of image transformers". */

import { int64 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Module } from '../../layers/module.ts';
import { patchEmbedding, pixelValues, withFirstTokens, withTokens } from '../../layers/images/patches.ts';
import { windowDistances } from '../../layers/images/windows.ts';
import { vitLayer, type VitSizes, vitSizes } from './vit.ts';
import { tableOf } from '../../layers/bounds.ts';

interface Sizes extends VitSizes {
  readonly side: number;
  readonly hasPositions: boolean;
  /** Distance biases per layer, and shared by all layers. */
  readonly hasBias: boolean;
  readonly sharesBias: boolean;
  /** Layer scale. */
  readonly isScaled: boolean;
  /** Pools the patches' mean, else the class token. */
  readonly isMean: boolean;
}

function sizes(c: Config): Sizes {
  c.skip(
    'vocab_size',
    'use_mask_token',
    'pool_scales',
    'use_auxiliary_head',
    'auxiliary_channels',
    'auxiliary_num_convs',
  );
  c.skip('auxiliary_concat_input', 'add_fpn', 'reshape_hidden_states', 'segmentation_indices');
  c.skip('out_features', 'out_indices', 'stage_names');
  const s = vitSizes(c);
  const [rows, columns] = s.image.map((size, axis) => Math.floor(size / s.patch[axis]!)) as [number, number];
  const [hasBias, sharesBias] = [c.flag('use_relative_position_bias', false), c.flag('use_shared_relative_position_bias', false)]; // prettier-ignore
  if ((hasBias || sharesBias) && rows !== columns)
    throw c.unsupported('image_size', 'Biases by distance are of a square image.');
  return {
    ...s,
    side: rows,
    hasPositions: c.flag('use_absolute_position_embeddings', false),
    hasBias,
    sharesBias,
    isScaled: c.number('layer_scale_init_value', 0.1) > 0,
    isMean: c.flag('use_mean_pooling', true),
  };
}

/** Distance bias per head, with three extra rows for the class token: `[1, heads, tokens, tokens]`. */
function distanceBias(m: Module, { side, heads }: Sizes): Value {
  const { g } = m;
  const [tokens, count] = [side ** 2 + 1, (2 * side - 1) ** 2];
  const within = windowDistances(side);
  const rows = tableOf(tokens ** 2, (i) => {
    const [query, key] = [Math.floor(i / tokens), i % tokens];
    if (query === 0 || key === 0) return count + (query > 0 ? 1 : key > 0 ? 0 : 2);
    return within[(query - 1) * side ** 2 + key - 1]!;
  });
  const table = m.parameter('relative_position_bias_table', [count + 3, heads]);
  const bias = g.Gather(table, g.constant(int64(rows, [tokens, tokens])), 0);
  return g.Unsqueeze(g.Transpose(bias, [2, 0, 1]), [0]);
}

function layer(m: Module, x: Value, shared: Value | undefined, s: Sizes): Value {
  const own = s.hasBias ? distanceBias(m.at('attention.attention.relative_position_bias'), s) : undefined;
  const mask = own && shared ? m.g.Add(own, shared) : (own ?? shared);
  return vitLayer(m, x, s, { isScaled: s.isScaled, bias: [true, false, true], mask });
}

function states(m: Module, s: Sizes): Value {
  const embeddings = m.at('embeddings');
  const patches = patchEmbedding(embeddings.at('patch_embeddings'), pixelValues(m, s), s);
  let x = s.hasPositions
    ? withFirstTokens(embeddings, patches, ['cls_token'])
    : withTokens(embeddings, patches, ['cls_token']);
  // Names of transformers 4 and 5.
  const names = ['encoder.relative_position_bias', 'shared_position_bias'].map((path) => m.at(path));
  const bias = names.find((each) => each.has('relative_position_bias_table')) ?? names[0]!;
  const shared = s.sharesBias ? distanceBias(bias, s) : undefined;
  for (const each of m.list('encoder.layer', s.layers)) x = layer(each, x, shared, s);
  return s.isMean ? x : m.layerNorm('layernorm', x, s.eps);
}

function pooled(m: Module, x: Value, s: Sizes): Value {
  if (!s.isMean) return m.row(x, 0);
  const patches = m.g.Slice(x, [1], [Number.MAX_SAFE_INTEGER], [1]);
  return m.layerNorm('pooler.layernorm', m.g.ReduceMean(patches, [1], false), s.eps);
}

function beitArchitecture(modelType: string, name: string): Architecture {
  const prefix = modelType.replaceAll('-', '_');
  return {
    modelType,
    prefix,
    others: /^(?:\w+\.)?pooler\.|^classifier\.|^lm_head\.|^layernorm\.|mask_token$/,
    classes: {
      [`${name}Model`]: modelClass(sizes, (m, s) => {
        const x = states(m, s);
        m.graph.output('last_hidden_state', x);
        if (!s.isMean || m.has('pooler.layernorm.weight')) m.graph.output('pooler_output', pooled(m, x, s));
      }),
      [`${name}ForImageClassification`]: classifierClass(sizes, (m, s) => {
        const encoder = m.at(prefix);
        return pooled(encoder, states(encoder, s), s);
      }),
    },
  };
}

export const beit: Architecture = beitArchitecture('beit', 'Beit');

/** data2vec for images: Baevski et al. 2022. */
export const data2vecVision: Architecture = beitArchitecture('data2vec-vision', 'Data2VecVision');
