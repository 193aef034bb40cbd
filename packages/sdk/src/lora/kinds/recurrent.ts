/** @file Adapters of recurrent weights: the node reads W + B·A, since a product outside cannot follow its states. */

import type { Site } from '../../match/sites.ts';
import type { LayerKind } from './kind.ts';
import { parameter } from './parameter.ts';

/** torch's gate at each place of ONNX's weight. torch: LSTM i, f, g, o, GRU r, z, n; ONNX: i, o, f, c and z, r, h. */
const gates: Readonly<Record<string, readonly number[]>> = { LSTM: [0, 3, 1, 2], GRU: [1, 0, 2] };

/**
 * torch's `weight_ih_l0` or `weight_hh_l0`, `[gates · hidden, in]`: A `[r, in]`, B `[gates · hidden, r]`, as PEFT's
 * `target_parameters` of a matrix. In the graph, B's rows follow ONNX's order of gates.
 */
export const recurrent: LayerKind = {
  ...parameter,
  matrix: ({ weightShape: [rows, width] }) => ({ out: rows!, width: width!, layout: 'out-in', groups: 1 }),
  factorShape: ({ weightShape: [rows, width] }, factor, r) => (factor === 'lora_A' ? [r, width!] : [rows!, r]),
  rankOf: (_, [r]) => r ?? 0,
  graphShape: (site, factor, r) => recurrent.factorShape(site, factor, r),
  toGraph: (site, factor, values, r) =>
    factor === 'lora_A' ? values.slice() : withGates(values, gatesOf(site), sizeOfGate(site) * r),
  fromGraph: (site, factor, values, r) => {
    const order = gatesOf(site);
    const back = order.map((_, gate) => order.indexOf(gate));
    return factor === 'lora_A' ? values.slice() : withGates(values, back, sizeOfGate(site) * r);
  },
  perOutputShape: ({ weightShape: [rows] }) => [rows!],
  /** Added to the weight of one direction: `[1, gates · hidden, in]`. */
  product: (g, { weightShape }, _, A, B) => g.Reshape(g.MatMul(B, A), [1, ...weightShape]),
  addDelta: (site, weight, { A, B, r, scaling }) => {
    const [rows, width] = site.weightShape as [number, number];
    const own = recurrent.toGraph(site, 'lora_B', B, r);
    const result = weight.slice();
    const start = site.recurrent!.place * rows * width;
    for (let row = 0; row < rows; row++)
      for (let k = 0; k < r; k++) {
        const b = scaling * own[row * r + k]!;
        for (let i = 0; i < width; i++) result[start + row * width + i]! += b * A[k * width + i]!;
      }
    return result;
  },
};

function gatesOf({ node }: Site): readonly number[] {
  return gates[node.opType!]!;
}

function sizeOfGate(site: Site): number {
  return site.weightShape[0]! / gatesOf(site).length;
}

/** The blocks of `size` numbers of a matrix, reordered. */
function withGates(values: Float32Array, order: readonly number[], size: number): Float32Array {
  const result = new Float32Array(values.length);
  order.forEach((gate, at) => {
    result.set(values.subarray(gate * size, (gate + 1) * size), at * size);
  });
  return result;
}
