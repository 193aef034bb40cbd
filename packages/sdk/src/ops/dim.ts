/** @file Arithmetic on dimensions that may be symbols, so that shapes computed in a graph stay known. */

import { createHash } from 'node:crypto';
import type { Dim } from '../graph/value.ts';

const LONGEST = 160;

/**
 * A symbol for a computed dimension: the expression itself, or a short name for a long one, so that expressions which
 * contain each other twice do not grow without bound. Equal expressions have equal symbols.
 */
export function symbol(expression: string): string {
  return expression.length <= LONGEST
    ? expression
    : `d${createHash('sha256').update(expression).digest('hex').slice(0, 32)}`;
}

/** A symbol that is names of dimensions, or a product of them. */
const PRODUCT = /^[\w.?]+(\*[\w.?]+)*$/;

/** Whether a symbol is a size and so never negative, as differences may be. What a short name stands for is not known. */
export function isSize(symbolic: string): boolean {
  return PRODUCT.test(symbolic) && !/\bd[0-9a-f]{32}\b/.test(symbolic);
}

/** A product: a number times symbols, in a canonical order. */
interface Product {
  readonly factor: number;
  readonly symbols: readonly string[];
}

function parse(dim: Dim): Product {
  // An invalid node can ask for a dimension that is not there: no number.
  if (typeof dim !== 'string') return { factor: Number(dim), symbols: [] };
  if (!PRODUCT.test(dim)) return { factor: 1, symbols: [dim] };
  let factor = 1;
  const symbols: string[] = [];
  for (const part of dim.split('*')) {
    if (/^\d+$/.test(part)) factor *= Number(part);
    else symbols.push(part);
  }
  return { factor, symbols: symbols.sort() };
}

function format({ factor, symbols }: Product): Dim {
  if (factor === 0 || symbols.length === 0) return factor;
  return symbol([...(factor === 1 ? [] : [String(factor)]), ...symbols].join('*'));
}

/** The product of two dimensions. */
export function multiply(a: Dim, b: Dim): Dim {
  const [left, right] = [parse(a), parse(b)];
  return format({ factor: left.factor * right.factor, symbols: [...left.symbols, ...right.symbols].sort() });
}

/** The product of all dimensions; 1 for none. */
export function product(dims: readonly Dim[]): Dim {
  return dims.reduce(multiply, 1);
}

/** The exact quotient of two dimensions, or undefined where it is not known to be whole. */
export function divideExactly(a: Dim, b: Dim): Dim | undefined {
  const [left, right] = [parse(a), parse(b)];
  const symbols = [...left.symbols];
  for (const symbol of right.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  const factor = left.factor / right.factor;
  return Number.isInteger(factor) ? format({ factor, symbols }) : undefined;
}

/** The sum of two dimensions; of symbols, a symbol that is equal for equal operands. */
export function add(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (a === 0) return b;
  if (b === 0) return a;
  return symbol(`(${a}+${b})`);
}

/** The difference of two dimensions. */
export function subtract(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (b === 0) return a;
  if (a === b) return 0;
  return symbol(`(${a}-${b})`);
}

/** The shape of `a` and `b` broadcast together by ONNX's (numpy's) rule, or undefined where they cannot be. */
export function broadcast(a: readonly Dim[], b: readonly Dim[]): Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const result: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const left = a[i - rank + a.length] ?? 1;
    const right = b[i - rank + b.length] ?? 1;
    if (left === right || right === 1) result.push(left);
    else if (left === 1) result.push(right);
    else if (typeof left === 'number' && typeof right === 'number') return undefined;
    // A number above 1 beside a symbol: at run time the symbol is that number or 1.
    else if (typeof left === 'number') result.push(left);
    else if (typeof right === 'number') result.push(right);
    else result.push(symbol(`bcast(${left},${right})`));
  }
  return result;
}
