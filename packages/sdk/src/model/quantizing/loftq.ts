/** @file LoftQ: a quantised weight and a low-rank product that together approximate the weight. */

import { weightsDigestInSlices } from '../../graph/file/digest.ts';
import type { GraphProto } from '../../graph/proto.ts';
import { Adapter } from '../../adapter/adapter.ts';
import type { SingularValues } from '../../linalg/decompositions.ts';
import { type Matrix, matmul, matrix, scaleColumns } from '../../linalg/matrix.ts';
import { defaultA } from '../../lora/init/fromRandom.ts';
import { lostComponents } from '../../lora/init/loftq.ts';
import { splitComponents } from '../../lora/init/fromWeight.ts';
import type { Rows } from '../../ops/quantization/blocks.ts';
import {
  type QuantizedForm,
  type QuantizedFrom,
  type QuantizedMatrix,
  quantizeMatrix,
} from '../../ops/quantization/forms.ts';
import type { Random } from '../../runtime/random.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { initSite } from '../planning/initialSite.ts';
import { peftTensors } from '../initial/start.ts';
import type { Model } from '../loaded/model.ts';
import { planAdapter } from '../planning/planAdapter.ts';

/** LoftQ's settings. */
export interface LoftqOptions {
  /** Rank of the adapter. */
  readonly r: number;
  /** As in `LoraOptions`; twice the rank by default. */
  readonly loraAlpha?: number;
  /** Number of alternations; 1 by default, as in PEFT. The best is kept. */
  readonly iterations?: number;
}

/** A quantised weight, and the leading singular values of its error. */
export interface LoftqMatrix {
  readonly quantized: QuantizedMatrix;
  readonly components: SingularValues;
  /** ‖W − Q − U·S·Vᵀ‖ ÷ ‖W‖. */
  readonly error: number;
}

/** Alternates quantisation and truncated SVD. @see https://arxiv.org/abs/2310.08659 algorithm 1 */
export function loftqMatrix(
  rows: Rows,
  form: QuantizedForm,
  { r, iterations = 1 }: LoftqOptions,
  random: Random,
): LoftqMatrix {
  const { values, out, width } = rows;
  const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  if (!values.every(Number.isFinite)) {
    const none = { U: matrix(out, 0), S: new Float64Array(), V: matrix(width, 0) };
    return { quantized: quantizeMatrix(rows, form), components: none, error: NaN };
  }
  let target = values;
  let best: LoftqMatrix | undefined;
  for (let turn = 0; turn < iterations; turn++) {
    const quantized = quantizeMatrix({ ...rows, values: target }, form);
    const lost = matrix(out, width, values.map((value, i) => value - quantized.restored[i]!)); // prettier-ignore
    const components = lostComponents(lost, r, random);
    const product = matmul(scaleColumns(components.U, components.S), components.V, { transposeB: true });
    let left = 0;
    for (let i = 0; i < lost.data.length; i++) left += (lost.data[i]! - product.data[i]!) ** 2;
    const error = size === 0 ? 0 : Math.sqrt(left) / size;
    if (!best || error < best.error) best = { quantized, components, error };
    target = values.map((value, i) => value - product.data[i]!);
  }
  return best!;
}

/**
 * The initial adapter of a quantised model.
 * @param model in float32
 * @param components by module path
 * @param options.graphs the quantised graphs, the base of the adapter
 */
export async function loftqAdapter(
  model: Model,
  components: ReadonlyMap<string, SingularValues>,
  options: LoftqOptions & {
    readonly made: QuantizedFrom;
    readonly graphs: readonly GraphProto[];
    readonly random: Random;
  },
): Promise<Adapter> {
  const { r, loraAlpha, made, graphs, random } = options;
  const targetModules = [...components.keys()];
  const { plan, config } = planAdapter(model, { r, ...(loraAlpha && { loraAlpha }), targetModules });
  const tensors = new Map<string, Tensor>();
  for (const { lowRank } of plan) {
    if (!lowRank) continue;
    const site = initSite(lowRank, config);
    const { S, ...vectors } = components.get(site.path)!;
    const factors = S[0]
      ? splitComponents({ S, ...vectors }, 0, S.length, site.scaling)
      : { A: matrix(0, site.width), B: matrix(site.out, 0) };
    const start = { lowRank, scaling: site.scaling, factors: ofRank(factors, site.r, random) };
    for (const [name, tensor] of peftTensors(start)) tensors.set(name, tensor);
  }
  const [first, ...others] = graphs;
  const digest = await weightsDigestInSlices(first!, ...others);
  return new Adapter(config, tensors, digest, { quantizedBase: { ...made, loftq: true } });
}

/** Pads factors to rank r without effect: a layer may have fewer singular values. */
function ofRank(
  { A, B }: { readonly A: Matrix; readonly B: Matrix },
  r: number,
  random: Random,
): { A: Matrix; B: Matrix } {
  if (A.rows === r) return { A, B };
  const own = defaultA(r, A.columns, random);
  own.data.set(A.data);
  const wide = matrix(B.rows, r);
  for (let row = 0; row < B.rows; row++)
    wide.data.set(B.data.subarray(row * B.columns, (row + 1) * B.columns), row * r);
  return { A: own, B: wide };
}
