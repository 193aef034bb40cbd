/** @file Facts of a detector from its graph and config.json: outputs, classes, settings of its loss. */

import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { type ImagePort, imagePort } from '../imagePorts.ts';
import type { ScoreKind } from './decodeBoxes.ts';
import { type DenseHead, denseHeadOf } from './denseHead.ts';
import type { DetectorPorts } from './detectorPorts.ts';
import type { DetectionLoss } from './losses/detectionLoss.ts';

/** Queries that give classes and boxes. */
export interface QueryHead {
  readonly kind: 'queries';
  readonly ports: DetectorPorts;
  /** True if the last score is for "no object". */
  readonly hasNothing: boolean;
  readonly scores: ScoreKind;
  readonly loss: DetectionLoss;
}

/** A detector of objects. */
export interface Detector {
  readonly input: ImagePort;
  /** The input that says which pixels of a padded batch are an image's, if any. */
  readonly mask?: string | undefined;
  readonly head: QueryHead | DenseHead;
  /** Names of the classes, in the order of the scores. */
  readonly labels: readonly string[];
  /** Words about what is not known of the model. */
  readonly notes: readonly string[];
}

/** Names of the outputs of auxiliary losses, by their roles. */
const auxiliaryNames: Readonly<Record<Exclude<keyof DetectorPorts, 'logits' | 'boxes'>, string>> = {
  auxLogits: 'aux_logits',
  auxBoxes: 'aux_boxes',
  encoderLogits: 'enc_logits',
  encoderBoxes: 'enc_boxes',
  intermediateLogits: 'intermediate_logits',
  intermediateBoxes: 'intermediate_boxes',
  corners: 'corners',
  references: 'references',
};

/** Models with a class for "no object". */
const withNothing: ReadonlySet<unknown> = new Set(['detr', 'yolos', 'table-transformer']);
/** Models with a varifocal loss. */
const varifocal: ReadonlySet<unknown> = new Set(['rt_detr', 'rt_detr_v2', 'd_fine']);
/** Models whose scores are of a text, for which a class head cannot be exchanged. */
const focal: ReadonlySet<unknown> = new Set(['conditional_detr', 'deformable_detr', 'owlvit', 'owlv2']);
/** Models whose scores learn the overlap of their box. */
const iouAware: ReadonlySet<unknown> = new Set(['rf_detr', 'lw_detr']);
/** Costs of a class, where a config does not say. */
const doubled: ReadonlySet<unknown> = new Set(['conditional_detr', 'owlvit', 'owlv2', ...iouAware]);
/** Pairs of queries and classes that Deformable DETR's processor takes. */
const MOST_PAIRS = 100;

/** Reads a detector. @throws OnnxLoraError `MODEL_UNSUPPORTED` for another model, with what it has */
export function detectorOf(model: TaskModel): Detector {
  const input = imagePort(model);
  const { outputs, config = {} } = model;
  const isOf = (last: (size: unknown) => boolean) =>
    Object.keys(outputs).filter((name) => outputs[name]!.dims?.length === 3 && last(outputs[name]!.dims![2]));
  const boxes = Object.hasOwn(outputs, 'pred_boxes') ? 'pred_boxes' : only(isOf((size) => size === 4));
  const logits = Object.hasOwn(outputs, 'logits') ? 'logits' : only(isOf((size) => size !== 4));
  if (boxes === undefined || logits === undefined) return denseDetector(model, input);
  const auxiliary = Object.entries(auxiliaryNames).filter(([, name]) => Object.hasOwn(outputs, name));
  const ports: DetectorPorts = { logits, boxes, ...Object.fromEntries(auxiliary) };
  const type = config['model_type'];
  const isKnown = [withNothing, varifocal, focal, iouAware].some((kind) => kind.has(type));
  const names = namesIn(config);
  const width = outputs[logits]!.dims?.[2];
  const count = typeof width === 'number' ? width : (names?.length ?? 0) + (withNothing.has(type) ? 1 : 0);
  const hasNothing = isKnown ? withNothing.has(type) : names?.length === count - 1;
  const classes = count - (hasNothing ? 1 : 0);
  const labels = Array.from({ length: classes }, (_, i) => names?.[i] ?? String(i));
  const mask = Object.hasOwn(model.inputs, 'pixel_mask') ? 'pixel_mask' : undefined;
  const notes = [
    ...(isKnown
      ? []
      : [
          `config.json does not say which detector this is, so its loss is ${hasNothing ? "DETR's" : "Deformable DETR's"}, and gradients flow everywhere, also where its authors may have stopped them. Put the model's config.json beside it.`,
        ]),
    ...(auxiliary.length === 0 && !withNothing.has(type)
      ? [
          'The export has no outputs of auxiliary losses (aux_logits, aux_boxes, enc_logits, enc_boxes), so the decoder layers but the last, and the choice of queries, learn less than in transformers. Export with them for the best results.',
        ]
      : []),
  ];
  return {
    input,
    ...(mask === undefined ? {} : { mask }),
    head: {
      kind: 'queries',
      ports,
      hasNothing,
      scores: hasNothing
        ? { kind: 'softmax' }
        : { kind: 'sigmoid', ...(type === 'deformable_detr' && { most: MOST_PAIRS }) },
      loss: lossOf(config, hasNothing),
    },
    labels,
    notes,
  };
}

function denseDetector(model: TaskModel, input: ImagePort): Detector {
  const names = namesIn(model.config ?? {}) ?? [];
  const head = denseHeadOf(model, input, names.length);
  const labels = Array.from({ length: head.classes }, (_, i) => names[i] ?? `LABEL_${i}`);
  const isInner = head.levels.some(({ values }) => values.some((value) => !Object.hasOwn(model.outputs, value)));
  const notes = isInner
    ? ['Boxes are learned from the last convolutions; what the graph computes after them is not part of the training.']
    : [];
  return { input, head, labels, notes };
}

/** Names of the classes in config.json. */
function namesIn({ id2label }: Readonly<Record<string, unknown>>): string[] | undefined {
  return typeof id2label === 'object' && id2label !== null ? Object.values(id2label).map(String) : undefined;
}

/** The loss that transformers computes for a config. */
function lossOf(config: Readonly<Record<string, unknown>>, hasNothing: boolean): DetectionLoss {
  const number = (name: string, usual: number): number => {
    const value = config[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : usual;
  };
  const type = config['model_type'];
  if (varifocal.has(type)) {
    const bins = { count: number('max_num_bins', 32), scale: number('reg_scale', 4), up: number('up', 0.5) };
    const focalCost = { focal: { alpha: number('matcher_alpha', 0.25), gamma: number('matcher_gamma', 2) } };
    return {
      classes: { kind: 'varifocal', alpha: number('focal_loss_alpha', 0.75), gamma: number('focal_loss_gamma', 2) },
      cost: {
        class: number('matcher_class_cost', 2),
        bbox: number('matcher_bbox_cost', 5),
        giou: number('matcher_giou_cost', 2),
        ...(config['use_focal_loss'] === false ? {} : focalCost),
      },
      weights: {
        class: number('weight_loss_vfl', 1),
        bbox: number('weight_loss_bbox', 5),
        giou: number('weight_loss_giou', 2),
        ...(type === 'd_fine' && { fgl: number('weight_loss_fgl', 0.15), ddf: number('weight_loss_ddf', 1.5) }),
      },
      ...(type === 'd_fine' && { clipped: true, bins }),
    };
  }
  const cost = {
    class: number('class_cost', doubled.has(type) ? 2 : 1),
    bbox: number('bbox_cost', 5),
    giou: number('giou_cost', 2),
  };
  const share = iouAware.has(type) ? number('class_loss_coefficient', 1) : 1;
  const weights = { class: share, bbox: number('bbox_loss_coefficient', 5), giou: number('giou_loss_coefficient', 2) };
  if (hasNothing)
    return { classes: { kind: 'cross-entropy', noObject: number('eos_coefficient', 0.1) }, cost, weights };
  const alpha = number('focal_alpha', 0.25);
  return {
    classes: iouAware.has(type) ? { kind: 'iou-aware', alpha } : { kind: 'focal', alpha, gamma: 2 },
    // transformers fixes these two.
    cost: { ...cost, focal: { alpha: 0.25, gamma: 2 } },
    weights,
  };
}

function only(names: readonly string[]): string | undefined {
  return names.length === 1 ? names[0] : undefined;
}
