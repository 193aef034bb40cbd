/**
 * @file OWL-ViT: Minderer et al. 2022, "Simple open-vocabulary object detection with vision transformers"; OWLv2: the same
 * authors 2023, "Scaling open-vocabulary object detection". Boxes at the patches of a CLIP, named by texts.
 */

import { float32 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { gelu } from '../../layers/activations.ts';
import { batches, type ImageTowerSizes } from '../../layers/images/towers.ts';
import type { Module } from '../../layers/module.ts';
import { normalized } from '../../layers/texts/texts.ts';
import { type ClipTextSizes, clipTextSizes, clipTextTower, clipVisionSizes, clipVisionTower, towerOf } from './clip.ts';

interface OwlSizes {
  readonly text: ClipTextSizes;
  readonly vision: ImageTowerSizes;
  readonly projection: number;
  /** Whether each box also has a score of being any object. */
  readonly hasObjectness: boolean;
}

/** Added to a length before division, as in transformers. */
const LEAST_LENGTH = 1e-6;
const LOWEST = -3.4028234663852886e38;

function sizes(c: Config, patch: number, hasObjectness: boolean): OwlSizes {
  c.skip('logit_scale_init_value');
  const [text, vision] = [towerOf(c, 'text_config'), towerOf(c, 'vision_config')];
  for (const each of [text, vision]) each.skip('projection_dim');
  // Padding and the end of texts are known by their numbers: 0 and the highest.
  text.skip('pad_token_id', 'bos_token_id', 'eos_token_id');
  return {
    text: clipTextSizes(text, 16),
    vision: clipVisionSizes(vision, 768, patch),
    projection: c.size('projection_dim', 512),
    hasObjectness,
  };
}

/** Three layers: numbers of each patch. */
function boxHead(m: Module, x: Value, out: number): Value {
  const hidden = Number(x.shape!.at(-1));
  const inner = ['dense0', 'dense1'].reduce((y, name) => gelu(m.g, m.linear(name, y, hidden)), x);
  return m.linear('dense2', inner, out);
}

/** Logits of a box as large as a patch that ends where the patch does: `[1, patches, 4]`. */
function patchBoxes({ g }: Module, { image, patch }: ImageTowerSizes): Value {
  const [rows, columns] = [0, 1].map((axis) => Math.floor(image[axis]! / patch[axis]!)) as [number, number];
  const logit = (share: number): number => Math.log(share + 1e-4) - Math.log1p(1e-4 - share);
  const numbers = Array.from({ length: rows * columns }, (_, i) =>
    [((i % columns) + 1) / columns, (Math.floor(i / columns) + 1) / rows, 1 / columns, 1 / rows].map(logit),
  );
  return g.constant(float32(Float32Array.from(numbers.flat()), [1, rows * columns, 4]));
}

/** Divides by the length. */
function direction({ g }: Module, x: Value): Value {
  return g.Div(x, g.Add(g.ReduceL2(x, [-1], true), LEAST_LENGTH));
}

/** Likeness of patches `[images, patches, hidden]` and texts `[images, texts, width]`, moved and scaled by patch. */
function classScores(m: Module, x: Value, texts: Value): Value {
  const { g } = m;
  const own = direction(m, m.linear('dense0', x, Number(texts.shape!.at(-1))));
  const likeness = g.MatMul(own, g.Transpose(direction(m, texts), [0, 2, 1]));
  const scale = g.Add(g.emit('Elu', [m.linear('logit_scale', x, 1)]), 1);
  return g.Mul(g.Add(likeness, m.linear('logit_shift', x, 1)), scale);
}

function detect(m: Module, model: Module, s: OwlSizes): void {
  const { g, graph } = m;
  const { hidden, eps } = s.vision;
  const { ids, pooled } = clipTextTower(model.at('text_model'), s.text, batches.texts);
  const tower = model.at('vision_model');
  const { states } = clipVisionTower(tower, s.vision, batches.images, 'pre_layernorm');
  const tokens = tower.layerNorm('post_layernorm', states, eps);
  const first = g.Slice(tokens, [0], [1], [1]);
  const patches = m.layerNorm('layer_norm', g.Mul(g.Slice(tokens, [1], [Number.MAX_SAFE_INTEGER], [1]), first), eps);
  // Each image has texts of its own, all as many.
  const perImage = (value: Value, width: Value): Value =>
    g.Reshape(value, g.Concat([m.sizeOf(patches, 0), g.ints([-1]), width], 0));
  const embeds = normalized(m, model.linear('text_projection', pooled, s.projection, { bias: false }));
  const texts = perImage(embeds, g.ints([s.projection]));
  const marks = g.Slice(perImage(ids, m.sizeOf(ids, 1)), [0], [1], [2]);
  const isText = g.Greater(g.Transpose(marks, [0, 2, 1]), g.scalar(0, 'int64'));
  const scores = classScores(m.at('class_head'), patches, texts);
  const [rows, columns] = [0, 1].map((axis) => Math.floor(s.vision.image[axis]! / s.vision.patch[axis]!)) as [number, number]; // prettier-ignore
  const [images, queries] = [batches.images, 'num_queries'];
  graph.output('logits', g.Where(isText, scores, LOWEST), [images, rows * columns, queries]);
  graph.output('pred_boxes', g.Sigmoid(g.Add(boxHead(m.at('box_head'), patches, 4), patchBoxes(m, s.vision))));
  if (s.hasObjectness) graph.output('objectness_logits', g.Squeeze(boxHead(m.at('objectness_head'), patches, 1), [2]));
  graph.output('text_embeds', texts, [images, queries, s.projection]);
  graph.output('image_embeds', g.Reshape(patches, [0, rows, columns, hidden]));
}

function named(name: string, modelType: string, patch: number, hasObjectness: boolean): Architecture {
  return {
    modelType,
    prefix: modelType,
    // Scale and projection of the whole image's likeness to a text.
    others: new RegExp(`^(?:${modelType}\\.)?(?:visual_projection\\.weight|logit_scale)$`),
    classes: {
      [`${name}ForObjectDetection`]: modelClass(
        (c) => sizes(c, patch, hasObjectness),
        (m, s) => detect(m, m.at(modelType), s),
      ),
    },
  };
}

export const owlvit: Architecture = named('OwlViT', 'owlvit', 32, false);
export const owlv2: Architecture = named('Owlv2', 'owlv2', 16, true);
