/** @file Adapters of stacked parameters, y = x·W[e] + (x·P[e])·Q[e] for each expert e, and of recurrent weights. */

import type { Value } from '../../graph/builder.ts';
import type { Site } from '../../match/sites.ts';
import { permute } from '../../match/weights/index.ts';
import type { Factor, LayerKind } from './kind.ts';

/**
 * A parameter W `[experts, d1, d2]` (PEFT's `target_parameters`). A `[r·experts, d2]` stacks r rows per expert, B `[d1,
 * r·experts]` a column per expert for each rank; the delta of expert e is s·Σₖ B[:, k·experts + e]·A[e·r + k], as in
 * PEFT since 0.19 (earlier with d1 and d2 swapped). In the graph both are stacked matrices for Einsum.
 */
export const parameter: LayerKind = {
  names: { lora_A: 'lora_A', lora_B: 'lora_B' },
  perRow: false,
  leastRank: () => 1,
  matrix: ({ weightShape: [, first, second] }) => ({ out: first!, width: second!, layout: 'out-in', groups: 1 }),
  factorShape: ({ weightShape: [experts, first, second] }, factor, r) =>
    factor === 'lora_A' ? [r * experts!, second!] : [first!, r * experts!],
  rankOf: ({ weightShape: [experts] }, [rows]) => (rows ?? 0) / experts!,
  graphShape: (site, factor, r) => arrangement(site, factor, r).after,
  toGraph: (site, factor, values, r) => {
    const { before, perm } = arrangement(site, factor, r);
    return permute(values, before, perm);
  },
  fromGraph: (site, factor, values, r) => {
    const { after, perm } = arrangement(site, factor, r);
    return permute(
      values,
      after,
      perm.map((_, axis) => perm.indexOf(axis)),
    );
  },
  perOutputShape: ({ weightShape: [, first] }) => [first!],
  refuses: (_, { dora, bias }) =>
    dora || bias ? `is a bare parameter, for which there is no ${dora ? 'DoRA' : 'bias of lora_B'}` : undefined,
  product: (g, { equations, contracted, experts }, x, A, B) => {
    const chosen = experts === undefined ? undefined : g.Reshape({ name: experts, type: 'int64' }, [-1]);
    const [first, second] = (contracted === 2 ? [A, B] : [B, A]).map((each) => (chosen ? g.Gather(each, chosen, 0) : each)) as [Value, Value]; // prettier-ignore
    return g.emit('Einsum', [g.emit('Einsum', [x, first], { equation: equations![0] }), second], {
      equation: equations![1],
    });
  },
  adaptedNorm: () => {
    throw new Error('A parameter has no DoRA.');
  },
  outputBias: (_, __, bias) => bias,
  addDelta: ({ weightShape }, weight, { A, B, r, scaling }) => {
    const [experts, first, second] = weightShape as [number, number, number];
    const result = weight.slice();
    const width = r * experts;
    for (let e = 0; e < experts; e++)
      for (let o = 0; o < first; o++)
        for (let i = 0; i < second; i++) {
          let sum = 0;
          for (let k = 0; k < r; k++) sum += B[o * width + k * experts + e]! * A[(e * r + k) * second + i]!;
          result[(e * first + o) * second + i]! += scaling * sum;
        }
    return result;
  },
};

/** PEFT's layout of a factor with separate dimensions, their order in the graph, and the graph's shape. */
function arrangement(
  { weightShape, contracted }: Site,
  factor: Factor,
  r: number,
): { readonly before: readonly number[]; readonly perm: readonly number[]; readonly after: readonly number[] } {
  const [experts, first, second] = weightShape as [number, number, number];
  // The factor multiplied with the input has the rank last, the other one in the middle.
  const meetsInput = (factor === 'lora_A') === (contracted === 2);
  const before = factor === 'lora_A' ? [experts, r, second] : [first, r, experts];
  const perm = factor === 'lora_A' ? (meetsInput ? [0, 2, 1] : [0, 1, 2]) : meetsInput ? [2, 0, 1] : [2, 1, 0];
  return { before, perm, after: perm.map((axis) => before[axis]!) };
}

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
