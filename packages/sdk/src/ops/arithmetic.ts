/** @file THE table of arithmetic: elementwise operators in double precision. */

import { roundedToEven } from '../runtime/halfFloat.ts';

/** Unary operators. Bools are 0 and 1. */
export const unary: Readonly<Record<string, (x: number) => number>> = {
  Abs: Math.abs,
  Ceil: Math.ceil,
  Cos: Math.cos,
  Erf: erf,
  Exp: Math.exp,
  Floor: Math.floor,
  Log: Math.log,
  Neg: (x) => 0 - x,
  Not: (x) => (x === 0 ? 1 : 0),
  Reciprocal: (x) => 1 / x,
  Relu: (x) => Math.max(x, 0),
  Round: roundedToEven,
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Sign: Math.sign,
  Sin: Math.sin,
  Sqrt: Math.sqrt,
  Tanh: Math.tanh,
};

/** Binary operators, for integers and floats. */
export const binary: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  And: (a, b) => Number(a !== 0 && b !== 0),
  Div: (a, b) => a / b,
  Equal: (a, b) => Number(a === b),
  Greater: (a, b) => Number(a > b),
  GreaterOrEqual: (a, b) => Number(a >= b),
  Less: (a, b) => Number(a < b),
  LessOrEqual: (a, b) => Number(a <= b),
  Max: (a, b) => Math.max(a, b),
  Min: (a, b) => Math.min(a, b),
  Mul: (a, b) => a * b,
  Or: (a, b) => Number(a !== 0 || b !== 0),
  Pow: (a, b) => a ** b,
  Sub: (a, b) => a - b,
  Xor: (a, b) => Number((a !== 0) !== (b !== 0)),
};

/** The error function: 2/√π·e^(−x²)·Σ 2ⁿ·x^(2n+1)/(2n+1)!!, whose terms all have one sign (DLMF 7.6.2). */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
