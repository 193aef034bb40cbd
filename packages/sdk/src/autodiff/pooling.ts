/** @file Gradients of pooling over windows and over whole images. */

import { OnnxLoraError } from '../errors.ts';
import type { Attributes } from '../graph/builder.ts';
import { intAttribute, intsAttribute, stringAttribute } from '../graph/walk.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { input, staticShape, type Vjp } from './vjp.ts';

/** dy spread evenly over the positions that were averaged. */
export const globalAverageBack: Vjp = (site) => {
  const { g, dy } = site;
  const shape = staticShape(input(site, 0));
  return g.Expand(g.Mul(dy, 1 / sizeOf(shape.slice(2))), shape);
};

/** dy put where the maxima were, which the operator tells when asked a second time. Windows may overlap. */
export const maxPoolBack: Vjp = (site) => {
  const { g, node, dy } = site;
  if (g.opset < 16) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The gradient of MaxPool "${node.name}" needs opset 16 or newer; this model has ${g.opset}.`,
    );
  }
  const shape = staticShape(input(site, 0));
  const attributes: Attributes = {
    kernel_shape: intsAttribute(node, 'kernel_shape'),
    strides: intsAttribute(node, 'strides'),
    dilations: intsAttribute(node, 'dilations'),
    auto_pad: stringAttribute(node, 'auto_pad', 'NOTSET'),
    // Pads beside an automatic padding are not allowed.
    pads: stringAttribute(node, 'auto_pad', 'NOTSET') === 'NOTSET' ? intsAttribute(node, 'pads') : undefined,
    ceil_mode: intAttribute(node, 'ceil_mode', 0),
  };
  const [, at] = g.emitMany('MaxPool', [input(site, 0)], 2, attributes);
  // Positions count through the whole tensor, images and channels included.
  const zeros = g.Expand(g.scalar(0, dy.type), [sizeOf(shape)]);
  const summed = g.emit('ScatterElements', [zeros, g.Reshape(at!, [-1]), g.Reshape(dy, [-1])], {
    axis: 0,
    reduction: 'add',
  });
  return g.Reshape(summed, shape);
};
