/** @file The gradient of Einsum: another Einsum with output and operand exchanged. */

import type { Value } from '../graph/builder.ts';
import { float32 } from '../runtime/tensor.ts';
import { castTo, eye, input, rankOf, staticShape, type Vjp, type VjpSite } from './vjp.ts';
import { equationOf } from '../ops/schema.ts';

const alphabet = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'];

/** An equation with a letter per dimension. */
interface Labels {
  readonly terms: readonly string[];
  readonly result: string;
  readonly free: string[];
}

/** Expands ellipses, aligned at the right as in broadcasting, and an implicit output. */
function labelsOf({ node, x }: VjpSite): Labels {
  const { terms, result } = equationOf(node);
  const free = alphabet.filter((letter) => ![...terms, result].join('').includes(letter));
  const widths = terms.map((term, i) => (term.includes('...') ? rankOf(x[i]!) - (term.length - 3) : 0));
  const hidden = free.splice(0, Math.max(...widths)).join('');
  return {
    terms: terms.map((term, i) => term.replace('...', hidden.slice(hidden.length - widths[i]!))),
    result: result.replace('...', hidden),
    free,
  };
}

/** dx of operand `index`: dy times the others. Ones expand the operand's own letters, an identity repeated ones. */
export const einsumOperand: Vjp = (site, index) => {
  const { g, x, dy } = site;
  const { terms, result, free } = labelsOf(site);
  const own = terms[index]!;
  const shape = staticShape(input(site, index));
  const factors = [
    { term: result, value: dy },
    ...terms.map((term, i) => ({ term, value: x[i]! })).filter((_, i) => i !== index),
  ];
  // A broadcast dimension of size 1 does not tell the operand's size.
  const isKnown = (letter: string, size: number): boolean =>
    factors.some(({ term, value }) => {
      const at = term.indexOf(letter);
      return at >= 0 && (size === 1 || value.shape?.[at] !== 1);
    });
  const constant = (data: Float32Array, dims: readonly number[]): Value =>
    castTo(g, g.constant(float32(data, dims)), dy.type);
  let target = '';
  [...own].forEach((letter, axis) => {
    const size = shape[axis]!;
    const isAgain = target.includes(letter);
    const label = isAgain ? free.shift()! : letter;
    if (isAgain) factors.push({ term: letter + label, value: constant(eye(size), [size, size]) });
    else if (!isKnown(letter, size))
      factors.push({ term: letter, value: constant(new Float32Array(size).fill(1), [size]) });
    target += label;
  });
  const equation = `${factors.map(({ term }) => term).join(',')}->${target}`;
  return g.emit(
    'Einsum',
    factors.map(({ value }) => value),
    { equation },
  );
};
