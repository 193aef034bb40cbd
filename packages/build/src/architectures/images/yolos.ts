/** @file YOLOS: Fang et al. 2021, "You only look at one sequence". A ViT with queries among its tokens. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { boxNumbers, perceptron, skipLoss } from '../../layers/images/detection.ts';
import { patchEmbedding, pixelValues, resampled, withTokens } from '../../layers/images/patches.ts';
import { planeOf } from '../../layers/images/planePositions.ts';
import type { Module } from '../../layers/module.ts';
import { vitLayer, type VitSizes, vitSizes } from './vit.ts';

interface YolosSizes extends VitSizes {
  readonly queries: number;
  /** Whether positions are added after each layer but the last, too. */
  readonly addsEach: boolean;
}

function sizes(c: Config): YolosSizes {
  skipLoss(c);
  // Nothing usable: it would take patches for queries.
  c.skip('auxiliary_loss');
  return {
    ...vitSizes(c),
    image: c.has('image_size') ? c.pair('image_size') : [512, 864],
    queries: c.size('num_detection_tokens', 100),
    addsEach: c.flag('use_mid_position_embeddings', true),
  };
}

/** Class token, patches and queries through all layers and the last norm: `[batch, tokens, hidden]`. */
function states(m: Module, s: YolosSizes): Value {
  const { g } = m;
  const [rows, columns] = s.image.map((size, i) => Math.floor(size / s.patch[i]!)) as [number, number];
  const tokens = [1, rows * columns, s.queries];
  const table = [1, rows * columns + 1 + s.queries, s.hidden];
  const pixels = pixelValues(m, { channels: s.channels });
  const grid = g.Div(planeOf(m, pixels), g.ints(s.patch));
  const positions = (own: Module, stored: Value): Value => {
    const [first, patches, queries] = own.g.Split(stored, tokens, 1) as [Value, Value, Value];
    return own.g.Concat([first, resampled(own, patches, [rows, columns], grid), queries], 1);
  };
  const embeddings = m.at('embeddings');
  const patches = patchEmbedding(embeddings.at('patch_embeddings'), pixels, s);
  const queries = embeddings.parameter('detection_tokens', [1, s.queries, s.hidden]);
  const all = withTokens(embeddings, patches, ['cls_token'], [queries]);
  let x = embeddings.g.Add(all, positions(embeddings, embeddings.parameter('position_embeddings', table)));
  const encoder = m.at('encoder');
  const between = s.addsEach && s.layers > 1 ? encoder.parameter('mid_position_embeddings', [s.layers - 1, ...table]) : undefined; // prettier-ignore
  for (const [i, layer] of encoder.list('layer', s.layers).entries()) {
    x = vitLayer(layer, x, s);
    if (!between || i === s.layers - 1) continue;
    const own = encoder.g.Gather(between, encoder.g.scalar(i, 'int64'), 0);
    x = encoder.g.Add(x, positions(encoder, own));
  }
  return m.layerNorm('layernorm', x, s.eps);
}

export const yolos: Architecture = {
  modelType: 'yolos',
  prefix: 'vit',
  others: /^(?:\w+\.)?pooler\.|^class_labels_classifier\.|^bbox_predictor\./,
  classes: {
    YolosForObjectDetection: modelClass(
      (c) => ({ ...sizes(c), labels: c.labels() }),
      (m, s) => {
        const x = states(m.at('vit'), s);
        const found = m.g.Slice(x, [-s.queries], [2 ** 31 - 1], [1]);
        // A fixed number of queries.
        const queries = m.g.Reshape(found, [0, s.queries, s.hidden]);
        // The extra class is "no object".
        const widths = [s.hidden, s.hidden, s.labels + 1];
        m.graph.output('logits', perceptron(m.at('class_labels_classifier'), queries, widths));
        m.graph.output('pred_boxes', m.g.Sigmoid(boxNumbers(m.at('bbox_predictor'), queries)));
        m.graph.output('last_hidden_state', x);
      },
    ),
    YolosModel: modelClass(sizes, (m, s) => {
      const x = states(m, s);
      m.graph.output('last_hidden_state', x);
      if (!m.has('pooler.dense.weight')) return;
      m.graph.output('pooler_output', m.g.Tanh(m.linear('pooler.dense', m.row(x, 0), s.hidden)));
    }),
  },
};
