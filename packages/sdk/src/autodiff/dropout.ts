/** @file The gradient of Dropout. */

import { OnnxLoraError } from '../errors.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import type { Vjp } from './vjp.ts';

/** dy · mask ÷ (1 − ratio) if `training_mode` (since opset 12) is true or dynamic, else dy. */
export const dropoutBack: Vjp = ({ g, node, x, y, dy }) => {
  const [, ratio, training] = x;
  if (!training || training.ints?.[0] === 0) return dy;
  const mask = y[1];
  if (!mask?.name) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `Dropout "${node.name}" is in training mode and does not say what it dropped. Give it its second output, mask, or export the model in evaluation mode (model.eval()).`,
    );
  }
  const type = dy.type ?? 'float32';
  const dropped =
    ratio?.type && ratio.type !== type ? g.Cast(ratio, dataTypeNumber(type)) : (ratio ?? g.scalar(0.5, type));
  const one = g.scalar(1, type);
  const factor = g.Where(training, g.Reciprocal(g.Sub(one, dropped)), one);
  return g.Where(mask, g.Mul(dy, factor), 0);
};
