/** @file CLIP: Radford et al. 2021, "Learning transferable visual models from natural language supervision". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, type Graphs } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { patchEmbedding, pixelValues, withTokens } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import { type TransformerSizes, transformerSizes } from '../../layers/sizes.ts';
import { additive, causal, paddingMask, textInputs } from '../../layers/texts/texts.ts';
import {
  batches,
  type ImageTowerSizes,
  imageTowerSizes,
  similarities,
  textTokens,
  towerEncoder,
} from '../../layers/images/towers.ts';

const absent = { act: 'quick_gelu', eps: 1e-5 };

/** Sizes of a text tower. */
export interface ClipTextSizes extends TransformerSizes {
  readonly vocabulary: number;
  readonly positions: number;
  /** The end-of-text token; without it, texts are pooled at their highest token. */
  readonly end?: number;
}

/** Reads a text tower's fields, but the end of texts. */
export function clipTextSizes(c: Config, positions: number): ClipTextSizes {
  return {
    ...transformerSizes(c, { ...absent, hidden: 512, inner: 2048, heads: 8 }),
    vocabulary: c.size('vocab_size', 49_408),
    positions: c.size('max_position_embeddings', positions),
  };
}

function textSizes(c: Config): ClipTextSizes {
  const end = c.whole('eos_token_id', 49_407);
  // Old configs say 2 in any case; the end is then the highest token id.
  return { ...clipTextSizes(c, 77), ...(end !== 2 && { end }) };
}

/** Reads an image tower's fields. */
export function clipVisionSizes(c: Config, image = 224, patch = 32): ImageTowerSizes {
  return imageTowerSizes(c, { ...absent, hidden: 768, inner: 3072, heads: 12 }, patch, image);
}

/** States `[batch, length, hidden]`, and those of one token `[batch, hidden]`. */
export interface Tower {
  readonly states: Value;
  readonly pooled: Value;
}

/** Causal text encoder, pooled at the end of each text. */
export function clipTextTower(m: Module, s: ClipTextSizes, batch?: string): Tower & { readonly ids: Value } {
  const { g } = m;
  const { ids, mask } = textInputs(m, batch === undefined ? {} : { batch });
  const before = additive(m, causal(m, m.sizeOf(ids, 1)));
  const x = textTokens(m.at('embeddings'), ids, s, s);
  const states = m.layerNorm('final_layer_norm', towerEncoder(m, x, s, g.Add(before, paddingMask(m, mask))), s.eps);
  const marks = s.end === undefined ? ids : m.ints(g.Equal(ids, g.scalar(s.end, 'int64')));
  const last = g.emit('ArgMax', [g.Cast(marks, 6)], { axis: 1, keepdims: 1 });
  return { ids, states, pooled: g.emit('GatherND', [states, last], { batch_dims: 1 }) };
}

/** Image encoder, pooled at the class token. @param before name of the norm before its layers */
export function clipVisionTower(m: Module, s: ImageTowerSizes, batch?: string, before = 'pre_layrnorm'): Tower {
  const { g } = m;
  const { hidden, eps } = s;
  const pixels = pixelValues(m, batch === undefined ? s : { ...s, batch });
  const embeddings = m.at('embeddings');
  const patches = patchEmbedding(embeddings, pixels, s, { bias: false, name: 'patch_embedding' });
  const first = g.Reshape(embeddings.parameter('class_embedding', [hidden]), [1, 1, hidden]);
  const tokens = withTokens(embeddings, patches, [first]);
  const x = g.Add(tokens, embeddings.at('position_embedding').parameter('weight', [Number(tokens.shape![1]), hidden]));
  const states = towerEncoder(m, m.layerNorm(before, x, eps), s);
  return { states, pooled: m.layerNorm('post_layernorm', m.row(states, 0), eps) };
}

/** The nested config of a tower; old files repeat it under another name, which takes precedence. */
export function towerOf(c: Config, name: 'text_config' | 'vision_config'): Config {
  const again = `${name}_dict`;
  if (!c.has(again)) return c.inner(name);
  c.skip(name);
  return c.inner(again);
}

function both(c: Config): Graphs {
  const [text, vision] = [towerOf(c, 'text_config'), towerOf(c, 'vision_config')];
  for (const each of [text, vision]) each.skip('projection_dim');
  c.skip('logit_scale_init_value');
  const [t, v, out] = [textSizes(text), clipVisionSizes(vision), c.size('projection_dim', 512)];
  const textEmbeds = (m: Module, { pooled }: Tower): Value => m.linear('text_projection', pooled, out, { bias: false });
  const imageEmbeds = (m: Module, { pooled }: Tower): Value => m.linear('visual_projection', pooled, out, { bias: false }); // prettier-ignore
  return {
    model: (m) => {
      const texts = textEmbeds(m, clipTextTower(m.at('text_model'), t, batches.texts));
      const images = imageEmbeds(m, clipVisionTower(m.at('vision_model'), v, batches.images));
      similarities(m, texts, images, m.parameter('logit_scale', []));
    },
    text_model: (m) => outputs(m, clipTextTower(m.at('text_model'), t), 'text_embeds', textEmbeds),
    vision_model: (m) => outputs(m, clipVisionTower(m.at('vision_model'), v), 'image_embeds', imageEmbeds),
  };
}

function outputs(m: Module, tower: Tower, name: string, embeds: (m: Module, tower: Tower) => Value): void {
  m.graph.output(name, embeds(m, tower));
  m.graph.output('last_hidden_state', tower.states);
}

/** A tower's graph is called as beside the other's, after the module that it is. */
function towerClasses(
  name: string,
  path: 'text_model' | 'vision_model',
  embeds: readonly [projection: string, output: string],
  read: (c: Config) => (m: Module) => Tower,
): Architecture['classes'] {
  return {
    [name]: (c) => {
      const tower = read(c);
      c.skip('projection_dim');
      return { [path]: (m) => outputs(m, tower(m.at(path)), 'pooler_output', (_, { pooled }) => pooled) };
    },
    [`${name}WithProjection`]: (c) => {
      const tower = read(c);
      const out = c.size('projection_dim', 512);
      const [projection, output] = embeds;
      const project = (m: Module, { pooled }: Tower): Value => m.linear(projection, pooled, out, { bias: false });
      return { [path]: (m) => outputs(m, tower(m.at(path)), output, project) };
    },
  };
}

const others = /^(?:text_model|vision_model|text_projection|visual_projection|classifier)\.|^logit_scale$/;

const textClasses = towerClasses('CLIPTextModel', 'text_model', ['text_projection', 'text_embeds'], (c) => {
  const s = textSizes(c);
  return (m) => clipTextTower(m, s);
});

const visionClasses = towerClasses('CLIPVisionModel', 'vision_model', ['visual_projection', 'image_embeds'], (c) => {
  const s = clipVisionSizes(c);
  return (m) => clipVisionTower(m, s);
});

/** Classes of one tower, built from the config and weights of both. */
export function withTowerConfig(
  name: 'text_config' | 'vision_config',
  classes: Architecture['classes'],
): Architecture['classes'] {
  const built = Object.entries(classes).map(([each, build]) => {
    const whole: typeof build = (c, checkpoint) => {
      c.skip('text_config', 'vision_config', 'text_config_dict', 'vision_config_dict');
      c.skip('projection_dim', 'logit_scale_init_value');
      return build(towerOf(c, name), checkpoint);
    };
    return [each, whole] as const;
  });
  return Object.fromEntries(built);
}

export const clip: Architecture = {
  modelType: 'clip',
  others,
  classes: {
    CLIPModel: both,
    ...withTowerConfig('text_config', textClasses),
    ...withTowerConfig('vision_config', visionClasses),
    CLIPForImageClassification: classifierClass(
      (c) => {
        const vision = towerOf(c, 'vision_config');
        vision.skip('projection_dim');
        c.skip('text_config', 'text_config_dict', 'projection_dim', 'logit_scale_init_value');
        return clipVisionSizes(vision);
      },
      (m, s) => {
        const patches = m.g.Slice(clipVisionTower(m.at('vision_model'), s).states, [1], [Number.MAX_SAFE_INTEGER], [1]);
        return m.g.ReduceMean(patches, [1], false);
      },
    ),
  },
};

export const clipText: Architecture = {
  modelType: 'clip_text_model',
  prefix: 'text_model',
  others,
  classes: textClasses,
};

export const clipVision: Architecture = {
  modelType: 'clip_vision_model',
  prefix: 'vision_model',
  others,
  classes: visionClasses,
};
