/** @file Facts of a detector from its graph and config.json: outputs, classes, settings of its loss. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { describedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { Size } from '../../preprocess/imagePlan.ts';
import { type ImagePort, imagePort } from '../imagePorts.ts';
import type { ScoreKind } from './decodeBoxes.ts';
import { type DenseHead, denseHeadOf } from './denseHead.ts';
import type { DetectorPorts } from './detectorPorts.ts';
import { focal, lossOf, masksAlone, varifocal, withNothing } from './detectorLoss.ts';
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
const auxiliaryNames: Readonly<Record<Exclude<keyof DetectorPorts, 'logits' | 'boxes' | 'masks'>, string>> = {
  auxLogits: 'aux_logits',
  auxBoxes: 'aux_boxes',
  encoderLogits: 'enc_logits',
  encoderBoxes: 'enc_boxes',
  intermediateLogits: 'intermediate_logits',
  intermediateBoxes: 'intermediate_boxes',
  corners: 'corners',
  references: 'references',
};

/** Pairs of queries and classes that Deformable DETR's processor takes. */
const MOST_PAIRS = 100;

/** Objects of an answer: boxes alone, or also masks. */
export type ObjectKind = 'boxes' | 'masks';

/** Facts that a detector is read by. */
export interface DetectorFacts {
  /** Boxes by default. */
  readonly kind?: ObjectKind;
  /** Size of the images, for a graph of a dense head that leaves it open. */
  readonly size?: Size | undefined;
}

/** Reads a detector. @throws OnnxLoraError `MODEL_UNSUPPORTED` for another model, with what it has */
export function detectorOf(model: TaskModel, { kind = 'boxes', size }: DetectorFacts = {}): Detector {
  const input = imagePort(model);
  const { outputs, config = {} } = model;
  const masks = kind === 'masks' ? masksOf(model) : undefined;
  const isOf = (last: (size: unknown) => boolean) =>
    Object.keys(outputs).filter((name) => outputs[name]!.dims?.length === 3 && last(outputs[name]!.dims![2]));
  const boxes = Object.hasOwn(outputs, 'pred_boxes') ? 'pred_boxes' : only(isOf((last) => last === 4));
  const logits = ['logits', 'class_queries_logits'].find((name) => Object.hasOwn(outputs, name)) ?? only(isOf((last) => last !== 4)); // prettier-ignore
  if (logits === undefined || (boxes === undefined && masks === undefined)) return denseDetector(model, input, size);
  const auxiliary = Object.entries(auxiliaryNames).filter(([, name]) => Object.hasOwn(outputs, name));
  const ports: DetectorPorts = { logits, ...withoutUndefined({ boxes, masks }), ...Object.fromEntries(auxiliary) };
  const type = config['model_type'];
  const isKnown = withNothing.has(type) || masksAlone.has(type) || varifocal.has(type) || focal.has(type);
  const mayHaveNothing = withNothing.has(type) || masksAlone.has(type);
  const names = namesIn(config);
  const width = outputs[logits]!.dims?.[2];
  const count = typeof width === 'number' ? width : (names?.length ?? 0) + (mayHaveNothing ? 1 : 0);
  const hasNothing = isKnown ? mayHaveNothing : boxes === undefined || names?.length === count - 1;
  const classes = count - (hasNothing ? 1 : 0);
  const labels = Array.from({ length: classes }, (_, i) => names?.[i] ?? String(i));
  const mask = Object.hasOwn(model.inputs, 'pixel_mask') ? 'pixel_mask' : undefined;
  const notes = [
    ...(isKnown
      ? []
      : [
          `config.json does not say which detector this is, so its loss is ${boxes === undefined ? "Mask2Former's" : hasNothing ? "DETR's" : "Deformable DETR's"}, and gradients flow everywhere, also where its authors may have stopped them. Put the model's config.json beside it.`,
        ]),
    ...(auxiliary.length === 0 && !mayHaveNothing && masks === undefined
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
      loss: lossOf(config, { hasNothing, boxes: boxes !== undefined, masks: masks !== undefined }),
    },
    labels,
    notes,
  };
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without masks of queries */
function masksOf({ name, outputs }: TaskModel): string {
  const found = ['pred_masks', 'masks_queries_logits'].find((each) => Object.hasOwn(outputs, each));
  const masks = found ?? only(Object.keys(outputs).filter((each) => outputs[each]!.dims?.length === 4));
  if (masks !== undefined) return masks;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" gives no masks of objects: it has no output "pred_masks" or "masks_queries_logits" [batch, queries, rows, columns] (it has ${describedPorts(outputs)}). Use object-detection, or an export with masks of DETR, RF-DETR, MaskFormer or Mask2Former.`,
  );
}

function denseDetector(model: TaskModel, input: ImagePort, size: Size | undefined): Detector {
  const names = namesIn(model.config ?? {}) ?? [];
  const head = denseHeadOf(model, input, { labels: names.length, size });
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

/**
 * OWL-ViT and Grounding DINO find what texts say: their scores belong to the texts or tokens of one call.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for such a model
 */
export function requireNumberedClasses({ inputs, name }: TaskModel): void {
  if (!Object.hasOwn(inputs, 'input_ids')) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" finds what texts say: it reads "input_ids" beside the image, and its scores belong to these texts, not to numbered classes as this task has them. Take a detector with classes of its own, such as RF-DETR or RT-DETR, or train it as a task of your own: detectionLoss of @onnx-lora/vision takes its logits and boxes.`,
  );
}

function only(names: readonly string[]): string | undefined {
  return names.length === 1 ? names[0] : undefined;
}
