/** @file DETR: Carion et al. 2020, "End-to-end object detection with transformers". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import {
  boxNumbers,
  type Decoded,
  detectorOutputs,
  lookingAttention as attention,
  skipLoss,
} from '../../layers/images/detection.ts';
import { asSequence } from '../../layers/images/patches.ts';
import { learnedPositions, sinePositions } from '../../layers/images/planePositions.ts';
import type { Module } from '../../layers/module.ts';
import type { Stack } from '../../layers/sizes.ts';
import { type Backbone, type BackboneKinds, readBackbone } from './backbones.ts';
import { detrMasks } from './detrMasks.ts';

/** Sizes of DETR and its nearest kin. */
export interface DetrSizes {
  readonly backbone: Backbone;
  readonly hidden: number;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly queries: number;
  readonly act: Activation;
  readonly isLearned: boolean;
  /** Has the outputs of auxiliary losses, with which the decoder's norm is applied after each layer. */
  readonly isAuxiliary: boolean;
}

const EPSILON = 1e-5;

/** Defaults of fields that differ among DETR's kin. */
export interface DetrDefaults {
  readonly inner: number;
  /** Number of learned queries; undefined for a model without. */
  readonly queries: number | undefined;
  readonly kinds: BackboneKinds;
}

/** Reads the fields of DETR. */
export function detrSizes(
  c: Config,
  { inner, queries, kinds }: DetrDefaults = {
    inner: 2048,
    queries: 100,
    kinds: { types: ['resnet', 'timm_backbone'], stages: [4] },
  },
): DetrSizes {
  skipLoss(c);
  c.skip('num_queries', 'num_hidden_layers', 'use_pretrained_backbone', 'max_position_embeddings', 'scale_embedding');
  c.only('dilation', false, null);
  const hidden = c.size('d_model', 256);
  if (hidden % 4 !== 0)
    throw c.unsupported('d_model', 'A position is sines and cosines of rows and of columns: a multiple of 4.');
  const stack = (name: string): Stack => ({
    layers: c.size(`${name}_layers`, 6),
    heads: c.divisor(`${name}_attention_heads`, hidden, 8),
    inner: c.size(`${name}_ffn_dim`, inner),
  });
  return {
    backbone: readBackbone(c, kinds),
    hidden,
    encoder: stack('encoder'),
    decoder: stack('decoder'),
    queries: queries === undefined ? 0 : c.size('num_queries', queries),
    act: c.activation('activation_function', 'relu'),
    isLearned: c.word('position_embedding_type', ['sine', 'learned'], 'sine') === 'learned',
    isAuxiliary: c.flag('auxiliary_loss', false),
  };
}

/** Norm of a sum. */
export function added(m: Module, name: string, x: Value, y: Value): Value {
  return m.layerNorm(name, m.g.Add(x, y), EPSILON);
}

/** Two layers, added and normed. */
export function detrMlp(m: Module, x: Value, inner: number, { act, hidden }: Pick<DetrSizes, 'act' | 'hidden'>): Value {
  return added(m, 'final_layer_norm', x, m.linear('fc2', act(m.g, m.linear('fc1', x, inner)), hidden));
}

/** States for the decoder `[batch, places, hidden]`, and their positions. */
export interface Encoded {
  /** The backbone's maps, and the last one as the encoder reads it `[batch, hidden, height, width]`. */
  readonly maps: readonly Value[];
  readonly map: Value;
  readonly encoded: Value;
  readonly places: Value;
}

/** Backbone and encoder. */
export function detrEncoded(m: Module, s: DetrSizes): Encoded {
  const { hidden } = s;
  const maps = s.backbone(m.at('backbone.conv_encoder.model'));
  const map = m.conv('input_projection', maps.at(-1)!, { out: hidden, kernel: [1, 1] });
  const places = s.isLearned ? learnedPositions(m, map, hidden) : sinePositions(m, map, hidden);
  let encoded = asSequence(m, map);
  for (const each of m.list('encoder.layers', s.encoder.layers)) {
    const seen = { x: encoded, from: encoded, places: [places, places], heads: s.encoder.heads } as const;
    const attended = added(each, 'self_attn_layer_norm', encoded, attention(each.at('self_attn'), seen));
    encoded = detrMlp(each, attended, s.encoder.inner, s);
  }
  return { maps, map, encoded, places };
}

/** The queries, positions of states that begin as zeros `[batch, queries, hidden]`. */
export function detrQueries(m: Module, { encoded }: Encoded, s: DetrSizes): readonly [queries: Value, zeros: Value] {
  const { g } = m;
  const queries = g.Unsqueeze(m.at('query_position_embeddings').parameter('weight', [s.queries, s.hidden]), [0]);
  const batch = g.Concat([m.sizeOf(encoded, 0), g.ints([s.queries, s.hidden])], 0);
  return [queries, g.Mul(g.Expand(queries, batch), 0)];
}

/** Runs the layers of a decoder, with its norm as `auxiliary_loss` has it. */
export function detrDecoded(
  m: Module,
  zeros: Value,
  s: DetrSizes,
  layer: (each: Module, x: Value, i: number) => Value,
): Decoded {
  const norm = (x: Value): Value => m.layerNorm('layernorm', x, EPSILON);
  const states: Value[] = [];
  let x = zeros;
  for (const [i, each] of m.list('layers', s.decoder.layers).entries()) {
    x = layer(each, x, i);
    if (s.isAuxiliary) x = norm(x);
    states.push(x);
  }
  return { last: norm(x), each: states };
}

function states(m: Module, s: DetrSizes): Decoded & Encoded {
  const encoded = detrEncoded(m, s);
  const [queries, zeros] = detrQueries(m, encoded, s);
  const decoded = detrDecoded(m.at('decoder'), zeros, s, (each, x) => {
    const { heads } = s.decoder;
    const own = attention(each.at('self_attn'), { x, from: x, places: [queries, queries], heads });
    const asked = added(each, 'self_attn_layer_norm', x, own);
    const seen = attention(each.at('encoder_attn'), { x: asked, from: encoded.encoded, places: [queries, encoded.places], heads }); // prettier-ignore
    return detrMlp(each, added(each, 'encoder_attn_layer_norm', asked, seen), s.decoder.inner, s);
  });
  return { ...decoded, ...encoded };
}

function stateOutputs({ graph }: Module, { last, encoded }: Decoded & Encoded): void {
  graph.output('last_hidden_state', last);
  graph.output('encoder_last_hidden_state', encoded);
}

/** Declares scores and boxes of a DETR. */
function detector(m: Module, s: DetrSizes & { readonly labels: number }): Decoded & Encoded {
  const all = states(m.at('model'), s);
  detectorOutputs(m, all, {
    isAuxiliary: s.isAuxiliary,
    // The extra class is "no object".
    logits: (x) => m.linear('class_labels_classifier', x, s.labels + 1),
    boxes: (x) => m.g.Sigmoid(boxNumbers(m.at('bbox_predictor'), x)),
  });
  return all;
}

/** Sizes of a DETR with masks, which reads all of its backbone's maps. */
function maskedSizes(c: Config): DetrSizes & { readonly labels: number } {
  const kinds = { types: ['resnet', 'timm_backbone'], stages: [1, 2, 3, 4] } as const;
  const s = detrSizes(c, { inner: 2048, queries: 100, kinds });
  if (s.hidden % 16 !== 0 || (s.hidden + s.encoder.heads) % 8 !== 0)
    throw c.unsupported('d_model', 'Masks halve it four times, and with the heads it is a multiple of 8.');
  return { ...s, labels: c.labels() };
}

export const detr: Architecture = {
  modelType: 'detr',
  prefix: 'model',
  others: /^class_labels_classifier\.|^bbox_predictor\.|^mask_head\.|^bbox_attention\./,
  classes: {
    DetrForObjectDetection: modelClass(
      (c) => ({ ...detrSizes(c), labels: c.labels() }),
      (m, s) => stateOutputs(m, detector(m, s)),
    ),
    DetrForSegmentation: modelClass(maskedSizes, (m, s) => {
      const all = detector(m.at('detr'), s);
      if (all.maps.length < 3) throw new RangeError(`masks need three maps of the backbone, and ${all.maps.length} are read`); // prettier-ignore
      m.graph.output('pred_masks', detrMasks(m, all.last, all, s));
      stateOutputs(m, all);
    }),
    DetrModel: modelClass(
      (c) => detrSizes(c),
      (m, s) => stateOutputs(m, states(m, s)),
    ),
  },
};
