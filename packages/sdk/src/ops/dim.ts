/** @file Arithmetic on static and symbolic dimensions. */

import { sha256 } from '../platform/hash.ts';
import type { Dim } from '../graph/value.ts';

const LONGEST = 160;

/** A symbol for a computed dimension, equal for equal expressions: the expression, or a hash of a long one. */
export function symbol(expression: string): string {
  return expression.length <= LONGEST ? expression : `d${sha256().update(expression).digest('hex').slice(0, 32)}`;
}

/** A product of dimension names. */
const PRODUCT = /^[\w.?]+(\*[\w.?]+)*$/;

/** Whether a symbol is never negative, unlike differences. A hash may stand for anything. */
export function isSize(symbolic: string): boolean {
  return PRODUCT.test(symbolic) && !/\bd[0-9a-f]{32}\b/.test(symbolic);
}

interface Product {
  readonly factor: number;
  readonly symbols: readonly string[];
}

function parse(dim: Dim): Product {
  // An invalid node may yield an undefined dimension: NaN.
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

/** The exact quotient of two dimensions; undefined if it may be fractional. */
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

/** The sum of two dimensions; equal operands give equal symbols. */
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

/** The shape of `a` and `b` broadcast as in numpy, or undefined. */
export function broadcast(a: readonly Dim[], b: readonly Dim[]): Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const result: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const left = a[i - rank + a.length] ?? 1;
    const right = b[i - rank + b.length] ?? 1;
    if (left === right || right === 1) result.push(left);
    else if (left === 1) result.push(right);
    else if (typeof left === 'number' && typeof right === 'number') return undefined;
    // At run time, the symbol is that number or 1.
    else if (typeof left === 'number') result.push(left);
    else if (typeof right === 'number') result.push(right);
    else result.push(symbol(`bcast(${left},${right})`));
  }
  return result;
}
