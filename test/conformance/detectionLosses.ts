/** @file The losses of detectors, as a case.json describes them. */

import type { Feeds } from '@onnx-lora/sdk';
import type { CaseLoss, CaseObjective } from '@onnx-lora/testing';
import {
  type ClassLoss,
  detectionLoss,
  type DetectionLoss,
  detectionTargets,
  detectorOutputs,
  type DetectorPorts,
} from '@onnx-lora/vision';

interface DetectionCase extends DetectorPorts {
  readonly cost: {
    readonly class: number;
    readonly bbox: number;
    readonly giou: number;
    readonly alpha?: number;
    readonly gamma?: number;
  };
  readonly weights: Readonly<Record<string, number>>;
  readonly eosCoefficient?: number;
  readonly focalAlpha?: number;
  readonly focalGamma?: number;
  readonly vflAlpha?: number;
  readonly vflGamma?: number;
  readonly bins?: number;
  readonly regScale?: number;
  readonly up?: number;
}

/** Objectives by the loss's kind. */
export const detectionLosses: Readonly<Record<string, (loss: CaseLoss) => CaseObjective>> = Object.fromEntries(
  ['detr', 'deformable-detr', 'rt-detr', 'd-fine'].map((kind) => [
    kind,
    (loss) => objective(loss as unknown as DetectionCase, kind),
  ]),
);

function objective(loss: DetectionCase, kind: string): CaseObjective {
  const settings = settingsOf(loss, kind);
  return {
    loss: (g, outputs, targets) =>
      detectionLoss(
        g,
        detectorOutputs(g, outputs, loss),
        {
          labels: targets['labels']!,
          boxes: targets['boxes']!,
          counts: targets['counts']!,
          batchCounts: targets['batchCounts']!,
        },
        settings,
      ),
    targets: targetsOf,
  };
}

/** Settings of the loss. */
export function settingsOf(loss: DetectionCase, kind: string): DetectionLoss {
  const {
    cost,
    weights,
    eosCoefficient = 0.1,
    focalAlpha = 0.25,
    focalGamma = 2,
    vflAlpha = 0.75,
    vflGamma = 2,
  } = loss;
  const classes: ClassLoss =
    kind === 'detr'
      ? { kind: 'cross-entropy', noObject: eosCoefficient }
      : kind === 'deformable-detr'
        ? { kind: 'focal', alpha: focalAlpha, gamma: focalGamma }
        : { kind: 'varifocal', alpha: vflAlpha, gamma: vflGamma };
  const { alpha = 0.25, gamma = 2, ...costs } = cost;
  const {
    loss_ce: ce,
    loss_vfl: vfl,
    loss_bbox: bbox = 0,
    loss_giou: giou = 0,
    loss_fgl: fgl,
    loss_ddf: ddf,
  } = weights;
  return {
    classes,
    cost: { ...costs, ...(kind === 'detr' ? {} : { focal: { alpha, gamma } }) },
    weights: {
      class: ce ?? vfl ?? 0,
      bbox,
      giou,
      ...(fgl === undefined ? {} : { fgl }),
      ...(ddf === undefined ? {} : { ddf }),
    },
    clipped: kind === 'd-fine',
    ...(loss.bins === undefined ? {} : { bins: { count: loss.bins, scale: loss.regScale ?? 4, up: loss.up ?? 0.5 } }),
  };
}

/** Objects per image, from those of all images in a row. */
function targetsOf(given: Feeds): Feeds {
  const { 'targets.labels': labels, 'targets.boxes': boxes, 'targets.counts': counts } = given;
  let at = 0;
  const images = Array.from(counts!.data, Number).map((count) => {
    const own = Array.from({ length: count }, (_, i) => at + i);
    at += own.length;
    return {
      labels: own.map((i) => Number(labels!.data[i])),
      boxes: own.map((i) => Array.from(boxes!.data.slice(4 * i, 4 * i + 4), Number)),
    };
  });
  return detectionTargets(images);
}
