/** @file Losses of detectors with queries, by the settings of their config.json, as transformers computes them. */

import type { DetectionLoss } from './losses/detectionLoss.ts';

/** Models with a class for "no object". */
export const withNothing: ReadonlySet<unknown> = new Set(['detr', 'yolos', 'table-transformer']);
/** Models with a varifocal loss. */
export const varifocal: ReadonlySet<unknown> = new Set(['rt_detr', 'rt_detr_v2', 'd_fine']);
/** Models whose classes have independent scores and a focal loss, or one like it. */
export const focal: ReadonlySet<unknown> = new Set([
  'conditional_detr',
  'deformable_detr',
  'owlvit',
  'owlv2',
  'rf_detr',
]);
/** Models that give classes and masks, and no boxes; with a class for "no object". */
export const masksAlone: ReadonlySet<unknown> = new Set(['maskformer', 'mask2former', 'oneformer']);

/** Facts about a detector's queries. */
interface Given {
  /** True if the last score is for "no object". */
  readonly hasNothing: boolean;
  readonly boxes: boolean;
  /** True if masks are learned. */
  readonly masks: boolean;
}

/** The loss that transformers computes for a config. */
export function lossOf(config: Readonly<Record<string, unknown>>, { hasNothing, boxes, masks }: Given): DetectionLoss {
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
  if (!boxes) {
    const isFormer = type === 'maskformer';
    const weights = {
      class: number(isFormer ? 'cross_entropy_weight' : 'class_weight', isFormer ? 1 : 2),
      mask: number('mask_weight', isFormer ? 20 : 5),
      dice: number('dice_weight', isFormer ? 1 : 5),
      bbox: 0,
      giou: 0,
    };
    const classes = { kind: 'cross-entropy', noObject: number('no_object_weight', 0.1) } as const;
    return { classes, cost: weights, weights, pixels: isFormer ? 'focal' : 'cross-entropy' };
  }
  const cost = {
    class: number('class_cost', ['conditional_detr', 'owlvit', 'owlv2', 'rf_detr'].includes(String(type)) ? 2 : 1),
    bbox: number('bbox_cost', 5),
    giou: number('giou_cost', 2),
  };
  const isDense = type === 'rf_detr';
  const outlines = {
    mask: isDense ? number('mask_class_loss_coefficient', 5) : number('mask_loss_coefficient', 1),
    dice: isDense ? number('mask_dice_loss_coefficient', 5) : number('dice_loss_coefficient', 1),
  };
  const weights = {
    class: isDense ? number('class_loss_coefficient', 1) : 1,
    bbox: number('bbox_loss_coefficient', 5),
    giou: number('giou_loss_coefficient', 2),
    ...(masks && outlines),
  };
  if (isDense) {
    const focalCost = { focal: { alpha: 0.25, gamma: 2 } };
    const classes = { kind: 'aligned', alpha: number('focal_alpha', 0.25) } as const;
    return { classes, cost: { ...cost, ...focalCost, ...(masks && outlines) }, weights, pixels: 'cross-entropy' };
  }
  if (hasNothing)
    return { classes: { kind: 'cross-entropy', noObject: number('eos_coefficient', 0.1) }, cost, weights };
  return {
    classes: { kind: 'focal', alpha: number('focal_alpha', 0.25), gamma: 2 },
    // transformers fixes these two.
    cost: { ...cost, focal: { alpha: 0.25, gamma: 2 } },
    weights,
  };
}
