/** @file The gradient of GRU: gates z, r and candidate, in ONNX's order. */

import type { Value } from '../../graph/builder.ts';
import { intAttribute } from '../../graph/walk.ts';
import { complement, type Direction, type Gradients, parts, positions, stacked } from './recurrent.ts';
import { staticShape } from '../vjp.ts';

/**
 * `h = (1 − z)·n + z·h₋₁`, with the candidate `n = tanh(Wx + r·(Rh₋₁ + b))`, or `tanh(Wx + R(r·h₋₁) + b)` if the reset
 * precedes the product.
 */
export function gruCell(direction: Direction): Gradients {
  const linearBeforeReset = intAttribute(direction.node, 'linear_before_reset', 0) === 1;
  const { g, hidden, x, previous, w, r: recurrent, biases, order, dStates } = direction;
  const [length, batch] = staticShape(previous) as [number, number];
  const rows = (value: Value): Value => g.Reshape(value, [length * batch, staticShape(value).at(-1)!]);
  const overTime = (value: Value): Value => g.Reshape(value, [length, batch, staticShape(value).at(-1)!]);
  const ofInput = overTime(g.Gemm(x, w, biases?.[0], { transB: true }));
  const [ofGates, ofCandidate] = g.Split(ofInput, [2 * hidden, hidden], 2) as [Value, Value];
  const [rGates, rCandidate] = g.Split(recurrent, [2 * hidden, hidden], 0) as [Value, Value];
  const [bGates, bCandidate] = biases ? g.Split(biases[1], [2 * hidden, hidden], 0) : [];
  const flat = rows(previous);
  const gate = g.Sigmoid(g.Add(ofGates, overTime(g.Gemm(flat, rGates, bGates, { transB: true }))));
  const [z, r] = parts(g, gate, 2) as [Value, Value];
  const reset = g.Mul(r, previous);
  const product = overTime(g.Gemm(linearBeforeReset ? flat : rows(reset), rCandidate, bCandidate, { transB: true }));
  const n = g.Tanh(g.Add(ofCandidate, linearBeforeReset ? g.Mul(r, product) : product));

  const slope = (value: Value): Value => g.Mul(value, complement(g, value));
  const ofState = positions(g, g.Mul(complement(g, z), complement(g, g.Mul(n, n))));
  const ofUpdate = positions(g, g.Mul(g.Sub(previous, n), slope(z)));
  const ofReset = positions(g, g.Mul(linearBeforeReset ? product : previous, slope(r)));
  const [kept, resets] = [positions(g, z), positions(g, r)];
  const gates: Value[] = [];
  let dNext: Value | undefined;
  for (const t of order.toReversed()) {
    const outside = dStates[t];
    const d = outside && dNext ? g.Add(outside, dNext) : (outside ?? dNext!);
    const dN = g.Mul(d, ofState[t]!);
    const [dZ, dProduct] = [g.Mul(d, ofUpdate[t]!), linearBeforeReset ? g.Mul(dN, resets[t]!) : dN];
    const dRead = g.MatMul(dProduct, rCandidate);
    const dR = g.Mul(linearBeforeReset ? dN : dRead, ofReset[t]!);
    const viaCandidate = linearBeforeReset ? dRead : g.Mul(dRead, resets[t]!);
    const viaGates = g.MatMul(g.Concat([dZ, dR], 2), rGates);
    gates[t] = g.Concat([dZ, dR, dN], 2);
    dNext = g.Add(g.Add(g.Mul(d, kept[t]!), viaCandidate), viaGates);
  }
  const all = stacked(g, gates);
  const [dGates, dN] = g.Split(all, [2 * hidden, hidden], 2) as [Value, Value];
  return {
    gates: rows(all),
    recurrent: [
      { d: rows(dGates), read: flat },
      linearBeforeReset ? { d: rows(g.Mul(dN, r)), read: flat } : { d: rows(dN), read: rows(reset) },
    ],
    first: dNext!,
  };
}
