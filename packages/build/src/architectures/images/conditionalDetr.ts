/** @file Conditional DETR: Meng et al. 2021, "Conditional DETR for fast training convergence". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { attend, splitHeads } from '../../layers/attention.ts';
import {
  boxNumbers,
  type Decoded,
  detectorOutputs,
  inverseSigmoid,
  perceptron,
} from '../../layers/images/detection.ts';
import { sinesOf } from '../../layers/images/planePositions.ts';
import type { Module } from '../../layers/module.ts';
import { added, detrDecoded, detrEncoded, detrMlp, detrQueries, type DetrSizes, detrSizes } from './detr.ts';

function sizes(c: Config): DetrSizes {
  return detrSizes(c, { inner: 2048, queries: 300, kinds: { types: ['resnet', 'timm_backbone'], stages: [4] } });
}

/** Inputs of a decoder's layer. */
interface Asking {
  readonly x: Value;
  readonly from: Value;
  /** Learned positions of queries, `[1, queries, hidden]`. */
  readonly queries: Value;
  /** Positions of the encoder's places. */
  readonly places: Value;
  /** Sines of the queries' points. */
  readonly sines: Value;
  readonly isFirst: boolean;
}

/** Queries on queries. */
function ownAttention(m: Module, { x, queries }: Asking, heads: number): Value {
  const { g } = m;
  const hidden = Number(x.shape!.at(-1));
  const [q, k] = ['q', 'k'].map((name) =>
    g.Add(m.linear(`sa_${name}content_proj`, x, hidden), m.linear(`sa_${name}pos_proj`, queries, hidden)),
  ) as [Value, Value];
  const [qs, ks, vs] = [q, k, m.linear('sa_v_proj', x, hidden)].map((each) => splitHeads(m, each, heads)) as [Value, Value, Value]; // prettier-ignore
  return m.linear('self_attn.out_proj', attend(m, { q: qs, k: ks, v: vs }), hidden);
}

/** Queries on places: contents and positions side by side in each head. */
function placeAttention(m: Module, { x, from, queries, places, sines, isFirst }: Asking, heads: number): Value {
  const { g } = m;
  const hidden = Number(x.shape!.at(-1));
  const layer = (name: string, value: Value): Value => m.linear(`ca_${name}_proj`, value, hidden);
  const split = (value: Value): Value => splitHeads(m, value, heads);
  const [asked, keys, keyPlaces] = [layer('qcontent', x), layer('kcontent', from), layer('kpos', places)];
  const q = isFirst ? g.Add(asked, layer('qpos', queries)) : asked;
  const k = isFirst ? g.Add(keys, keyPlaces) : keys;
  // The positions are those of one example.
  const wide = g.Add(keyPlaces, g.Mul(keys, 0));
  const both = {
    q: g.Concat([split(q), split(layer('qpos_sine', sines))], 3),
    k: g.Concat([split(k), split(wide)], 3),
    v: split(layer('v', from)),
  };
  return m.linear('encoder_attn.out_proj', attend(m, both), hidden);
}

/** States, and the queries' points before the sigmoid `[batch, queries, 2]`. */
function states(m: Module, s: DetrSizes): Decoded & { readonly encoded: Value; readonly points: Value } {
  const { g } = m;
  const encoded = detrEncoded(m, s);
  const [queries, zeros] = detrQueries(m, encoded, s);
  const decoder = m.at('decoder');
  const points = g.Sigmoid(perceptron(decoder.at('ref_point_head'), queries, [s.hidden, 2]));
  const pointSines = sinesOf(decoder, points, s.hidden / 2);
  const { heads, inner } = s.decoder;
  const decoded = detrDecoded(decoder, zeros, s, (each, x, i) => {
    const factor = i === 0 ? undefined : perceptron(decoder.at('query_scale'), x, [s.hidden, s.hidden]);
    const sines = g.Mul(pointSines, factor ?? g.Add(zeros, 1));
    const asking = { x, from: encoded.encoded, queries, places: encoded.places, sines, isFirst: i === 0 };
    const asked = added(each, 'self_attn_layer_norm', x, ownAttention(each, asking, heads));
    const seen = placeAttention(each, { ...asking, x: asked }, heads);
    return detrMlp(each, added(each, 'encoder_attn_layer_norm', asked, seen), inner, s);
  });
  return { ...decoded, encoded: encoded.encoded, points };
}

export const conditionalDetr: Architecture = {
  modelType: 'conditional_detr',
  prefix: 'model',
  // A decoder of one layer has no use for the scale.
  others: /^class_labels_classifier\.|^bbox_predictor\.|^model\.decoder\.query_scale\./,
  classes: {
    ConditionalDetrForObjectDetection: modelClass(
      (c) => ({ ...sizes(c), labels: c.labels() }),
      (m, s) => {
        const all = states(m.at('model'), s);
        const { g } = m;
        const reference = g.Pad(inverseSigmoid(m, all.points), [0, 0, 0, 0, 0, 2]);
        detectorOutputs(m, all, {
          isAuxiliary: s.isAuxiliary,
          logits: (x) => m.linear('class_labels_classifier', x, s.labels),
          boxes: (x) => g.Sigmoid(g.Add(boxNumbers(m.at('bbox_predictor'), x), reference)),
        });
        m.graph.output('last_hidden_state', all.last);
        m.graph.output('encoder_last_hidden_state', all.encoded);
      },
    ),
  },
};
