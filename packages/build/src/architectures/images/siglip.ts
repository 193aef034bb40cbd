/** @file SigLIP: Zhai et al. 2023, "Sigmoid loss for language image pre-training". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, type Graphs, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { attend, packedProjections } from '../../layers/attention.ts';
import { patchEmbedding, pixelValues } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import { type TransformerSizes, transformerSizes } from '../../layers/sizes.ts';
import { withTowerConfig } from './clip.ts';
import {
  batches,
  type ImageTowerSizes,
  imageTowerSizes,
  similarities,
  textTokens,
  towerEncoder,
  towerMlp,
} from '../../layers/images/towers.ts';

const absent = { hidden: 768, inner: 3072, heads: 12, act: 'gelu_pytorch_tanh', eps: 1e-6 };

interface TextSizes extends TransformerSizes {
  readonly vocabulary: number;
  readonly positions: number;
  readonly out: number;
}

function textSizes(c: Config): TextSizes {
  const s = transformerSizes(c, absent);
  return {
    ...s,
    vocabulary: c.size('vocab_size', 32_000),
    positions: c.size('max_position_embeddings', 64),
    out: c.size('projection_size', s.hidden),
  };
}

function visionSizes(c: Config): ImageTowerSizes {
  return imageTowerSizes(c, absent, 16);
}

/** States of all tokens; texts have one length, without a mask. */
function textStates(m: Module, s: TextSizes, batch = 'batch_size'): Value {
  const ids = m.graph.input('input_ids', 'int64', [batch, 'sequence_length']);
  const x = textTokens(m.at('embeddings'), ids, s, s);
  return m.layerNorm('final_layer_norm', towerEncoder(m, x, s), s.eps);
}

/** Projects the last token, whatever it is. */
function textPooled(m: Module, states: Value, { out }: TextSizes): Value {
  return m.linear('head', m.row(states, -1), out);
}

function visionStates(m: Module, s: ImageTowerSizes, batch?: string): Value {
  const pixels = pixelValues(m, batch === undefined ? s : { ...s, batch });
  const embeddings = m.at('embeddings');
  const patches = patchEmbedding(embeddings, pixels, s, { name: 'patch_embedding' });
  const places = embeddings.at('position_embedding').parameter('weight', [Number(patches.shape![1]), s.hidden]);
  return m.layerNorm('post_layernorm', towerEncoder(m, m.g.Add(patches, places), s), s.eps);
}

/** Attention pooling by a learned query: `[batch, hidden]`. */
function visionPooled(m: Module, states: Value, s: ImageTowerSizes): Value {
  const { g } = m;
  const { hidden } = s;
  const probe = m.parameter('probe', [1, 1, hidden]);
  const attention = m.at('attention');
  const [q, k, v] = packedProjections(attention, [probe, states, states], s.heads);
  const x = attention.linear('out_proj', attend(attention, { q, k, v }), hidden);
  return m.row(g.Add(x, towerMlp(m.at('mlp'), m.layerNorm('layernorm', x, s.eps), s)), 0);
}

function textGraph(m: Module, path: string, s: TextSizes): void {
  const tower = m.at(path);
  const states = textStates(tower, s);
  m.graph.output('last_hidden_state', states);
  m.graph.output('pooler_output', textPooled(tower, states, s));
}

function visionGraph(m: Module, path: string, s: ImageTowerSizes, hasHead = true): void {
  const tower = m.at(path);
  const states = visionStates(tower, s);
  m.graph.output('last_hidden_state', states);
  if (hasHead) m.graph.output('pooler_output', visionPooled(tower.at('head'), states, s));
}

function both(c: Config): Graphs {
  const [text, vision] = [c.inner('text_config'), c.inner('vision_config')];
  vision.only('vision_use_head', true);
  const [t, v] = [textSizes(text), visionSizes(vision)];
  return {
    model: (m) => {
      const [texts, images] = [m.at('text_model'), m.at('vision_model')];
      const textEmbeds = textPooled(texts, textStates(texts, t, batches.texts), t);
      const imageEmbeds = visionPooled(images.at('head'), visionStates(images, v, batches.images), v);
      similarities(m, textEmbeds, imageEmbeds, m.parameter('logit_scale', [1]), m.parameter('logit_bias', [1]));
    },
    text_model: (m) => textGraph(m, 'text_model', t),
    vision_model: (m) => visionGraph(m, 'vision_model', v),
  };
}

const others = /^(?:text_model|vision_model|classifier|head)\.|^logit_(?:scale|bias)$/;

const textClasses: Architecture['classes'] = {
  SiglipTextModel: modelClass(textSizes, (m, s) => textGraph(m, 'text_model', s), 'text_model'),
};

const visionClasses: Architecture['classes'] = {
  SiglipVisionModel: modelClass(
    (c) => ({ s: visionSizes(c), hasHead: c.flag('vision_use_head', true) }),
    (m, { s, hasHead }) => visionGraph(m, 'vision_model', s, hasHead),
    'vision_model',
  ),
};

export const siglip: Architecture = {
  modelType: 'siglip',
  others,
  classes: {
    SiglipModel: both,
    ...withTowerConfig('text_config', textClasses),
    ...withTowerConfig('vision_config', visionClasses),
    SiglipForImageClassification: classifierClass(
      (c) => {
        c.skip('text_config');
        const vision = c.inner('vision_config');
        vision.skip('vision_use_head');
        return visionSizes(vision);
      },
      (m, s) => m.g.ReduceMean(visionStates(m.at('vision_model'), s), [1], false),
    ),
  },
};

export const siglipText: Architecture = {
  modelType: 'siglip_text_model',
  prefix: 'text_model',
  others,
  classes: textClasses,
};

export const siglipVision: Architecture = {
  modelType: 'siglip_vision_model',
  prefix: 'vision_model',
  others,
  classes: visionClasses,
};
