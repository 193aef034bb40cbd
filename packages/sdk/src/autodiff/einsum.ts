/** @file The gradient of Einsum: another Einsum, in which the output and the operand exchange their places. */

import { OnnxLoraError } from '../errors.ts';
import { stringAttribute } from '../graph/walk.ts';
import type { Vjp } from './vjp.ts';

/** dx of operand `index`: dy times the other operands, summed over what the operand does not have. */
export const einsumOperand: Vjp = ({ g, node, x, dy }, index) => {
  const equation = stringAttribute(node, 'equation', '').replaceAll(' ', '');
  const [left = '', result] = equation.split('->');
  const terms = left.split(',');
  const own = terms[index] ?? '';
  const others = terms.filter((_, i) => i !== index);
  const known = new Set([result ?? '', ...others].join(''));
  // A label that stands in the operand alone was summed away, and one that stands there twice takes its diagonal.
  const isPlain = result !== undefined && !equation.includes('.') && new Set(own).size === own.length;
  if (!isPlain || [...own].some((label) => !known.has(label))) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The gradient of Einsum "${node.name}" is not known for the equation "${equation}".`,
    );
  }
  const operands = [dy, ...x.filter((_, i) => i !== index)];
  return g.emit('Einsum', operands, { equation: `${[result, ...others].join(',')}->${own}` });
};
