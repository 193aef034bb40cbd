/** @file The gradient of LSTM: gates i, o, f and candidate, in ONNX's order. */

import type { Value } from '../../graph/builder.ts';
import { complement, type Direction, type Gradients, parts, positions, stacked } from './recurrent.ts';
import { staticShape } from '../vjp.ts';

/**
 * With cell state c and state h: `c = f·c₋₁ + i·g`, `h = o·tanh c`. Backwards, `dc = dc₊₁·f₊₁ + dh·o·(1 − tanh² c)`;
 * each gate's gradient is dc or dh times a factor computed for all positions at once.
 */
export function lstmCell(direction: Direction): Gradients {
  const { g, hidden, x, previous, w, r, biases, order, dStates, dLastCell } = direction;
  const [length, batch] = staticShape(previous) as [number, number];
  const flat = g.Reshape(previous, [length * batch, hidden]);
  const ofInput = g.Gemm(x, w, biases && g.Add(...biases), { transB: true });
  const before = g.Reshape(g.Gemm(flat, r, ofInput, { transB: true }), [length, batch, 4 * hidden]);
  const [iPre, oPre, fPre, gPre] = parts(g, before, 4) as [Value, Value, Value, Value];
  const [i, o, f, candidate] = [g.Sigmoid(iPre), g.Sigmoid(oPre), g.Sigmoid(fPre), g.Tanh(gPre)];

  const [forgotten, added] = [positions(g, f), positions(g, g.Mul(i, candidate))];
  const cellsBefore: Value[] = [];
  const cells: Value[] = [];
  let cell = direction.firstCell!;
  for (const t of order) {
    cellsBefore[t] = cell;
    cells[t] = cell = g.Add(g.Mul(forgotten[t]!, cell), added[t]!);
  }
  const tanh = g.Tanh(stacked(g, cells));
  const slope = (gate: Value): Value => g.Mul(gate, complement(g, gate));
  const ofState = positions(g, g.Mul(tanh, slope(o)));
  const toCell = positions(g, g.Mul(o, complement(g, g.Mul(tanh, tanh))));
  // For i, f and the candidate, concatenated.
  const ofCell = positions(
    g,
    g.Concat(
      [
        g.Mul(candidate, slope(i)),
        g.Mul(stacked(g, cellsBefore), slope(f)),
        g.Mul(i, complement(g, g.Mul(candidate, candidate))),
      ].map((each) => g.Unsqueeze(each, [2])),
      2,
    ),
  );

  // Gate order o, i, f, candidate saves splitting i and f at each position.
  const [rI, rO, rF, rG] = g.Split(r, [hidden, hidden, hidden, hidden], 0) as [Value, Value, Value, Value];
  const turned = g.Concat([rO, rI, rF, rG], 0);
  const gates: Value[] = [];
  let [dNext, dCellNext]: (Value | undefined)[] = [undefined, dLastCell];
  for (const t of order.toReversed()) {
    const outside = dStates[t];
    const d = outside && dNext ? g.Add(outside, dNext) : (outside ?? dNext);
    const viaState = d && g.Mul(d, toCell[t]!);
    const dCell = viaState && dCellNext ? g.Add(viaState, dCellNext) : (viaState ?? dCellNext!);
    const dO = d ? g.Mul(d, ofState[t]!) : g.Mul(dCell, 0);
    const rest = g.Mul(g.Unsqueeze(dCell, [2]), ofCell[t]!);
    const all = g.Reshape(g.Concat([g.Unsqueeze(dO, [2]), rest], 2), [1, batch, 4 * hidden]);
    gates[t] = all;
    dNext = g.MatMul(all, turned);
    dCellNext = g.Mul(dCell, forgotten[t]!);
  }
  const [dO, dI, dF, dG] = parts(g, stacked(g, gates), 4) as [Value, Value, Value, Value];
  const d = g.Reshape(g.Concat([dI, dO, dF, dG], 2), [length * batch, 4 * hidden]);
  return { gates: d, recurrent: [{ d, read: flat }], first: dNext!, firstCell: dCellNext! };
}
