/** @file Layers that detectors share: attention with positions, perceptrons of heads, box coordinates. */

import type { Dim } from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import { type Activation, activationNamed } from '../activations.ts';
import { attend, splitHeads } from '../attention.ts';
import type { Module } from '../module.ts';

/** Attention of x on `from`; positions are added to queries and keys only. */
export interface Looking {
  readonly x: Value;
  readonly from: Value;
  /** Positions of both; none where the model adds none. */
  readonly places?: readonly [x: Value, from: Value] | undefined;
  readonly heads: number;
}

/** Attention with positions and its output projection: `[batch, length, width]` → the same. */
export function lookingAttention(m: Module, { x, from, places, heads }: Looking): Value {
  const { g } = m;
  const hidden = Number(x.shape!.at(-1));
  const placed = (value: Value, i: 0 | 1): Value => (places ? g.Add(value, places[i]) : value);
  const inputs = { q_proj: placed(x, 0), k_proj: placed(from, 1), v_proj: from };
  const [q, k, v] = Object.entries(inputs).map(([name, each]) => splitHeads(m, m.linear(name, each, hidden), heads)) as [Value, Value, Value]; // prettier-ignore
  return m.linear('out_proj', attend(m, { q, k, v }), hidden);
}

/** Layers `layers.0` … with these widths, and an activation between them; relu by default. */
export function perceptron(
  m: Module,
  x: Value,
  widths: readonly number[],
  act: Activation = activationNamed('relu')!,
): Value {
  const last = widths.length - 1;
  return widths.reduce((y, width, i) => {
    const each = m.linear(`layers.${i}`, y, width);
    return i < last ? act(m.g, each) : each;
  }, x);
}

/** Three layers to four numbers of a box, before the sigmoid. */
export function boxNumbers(m: Module, x: Value): Value {
  const hidden = Number(x.shape!.at(-1));
  return perceptron(m, x, [hidden, hidden, 4]);
}

/** `ln(x ÷ (1 − x))` of shares, bounded as in transformers. */
export function inverseSigmoid({ g }: Module, x: Value, epsilon = 1e-5): Value {
  const share = g.Max(g.Min(x, 1), 0);
  return g.Log(g.Div(g.Max(share, epsilon), g.Max(g.Sub(1, share), epsilon)));
}

/** Values of each layer as one: `[batch, layers, …]`. */
export function stacked({ g }: Module, values: readonly Value[]): Value {
  return g.Concat(values.map((each) => g.Unsqueeze(each, [1])), 1); // prettier-ignore
}

/** Decoder states per query `[batch, queries, hidden]`: the last, and those of each layer. */
export interface Decoded {
  readonly last: Value;
  readonly each: readonly Value[];
}

/** Heads of a detector, by the number of the layer whose states they read. */
export interface Heads {
  /** Whether the outputs of auxiliary losses are declared. */
  readonly isAuxiliary: boolean;
  readonly logits: (x: Value, layer: number) => Value;
  readonly boxes: (x: Value, layer: number) => Value;
}

/** Declares `logits` and `pred_boxes`, and those of the layers but the last as `aux_logits` and `aux_boxes`. */
export function detectorOutputs(m: Module, { last, each }: Decoded, { isAuxiliary, logits, boxes }: Heads): void {
  const { graph } = m;
  const output = (name: string, value: Value): void => graph.output(name, value, ofBatch(value));
  output('logits', logits(last, each.length - 1));
  output('pred_boxes', boxes(last, each.length - 1));
  const earlier = isAuxiliary ? each.slice(0, -1) : [];
  if (earlier.length === 0) return;
  output('aux_logits', stacked(m, earlier.map(logits)));
  output('aux_boxes', stacked(m, earlier.map(boxes)));
}

/** The shape of a value whose first dimension is the batch. */
export function ofBatch({ shape }: Value): readonly Dim[] | undefined {
  return shape && ['batch_size', ...shape.slice(1)];
}

/** The fields of a detector's loss, which no graph depends on. */
export function skipLoss(c: Config): void {
  c.skip('class_cost', 'bbox_cost', 'giou_cost', 'mask_loss_coefficient', 'dice_loss_coefficient');
  c.skip('cls_loss_coefficient', 'bbox_loss_coefficient', 'giou_loss_coefficient', 'eos_coefficient', 'focal_alpha');
  c.skip('matcher_alpha', 'matcher_gamma', 'matcher_class_cost', 'matcher_bbox_cost', 'matcher_giou_cost');
  c.skip('use_focal_loss', 'focal_loss_alpha', 'focal_loss_gamma', 'num_denoising', 'label_noise_ratio');
  c.skip('box_noise_scale', 'weight_loss_vfl', 'weight_loss_bbox', 'weight_loss_giou');
  c.skip('weight_loss_fgl', 'weight_loss_ddf', 'init_xavier_std');
}
