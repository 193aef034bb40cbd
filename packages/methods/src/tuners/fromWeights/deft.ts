/** @file DEFT: removes a subspace of the outputs from the weight, and adds a low-rank product in its place. */

import { type ByTensor, matmul, matrix, qr, type TensorSpec, type Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { identity, inverse, table, transposed } from '../rotations/rotation.ts';
import { oneOf, peftModules, trainsWith, whole } from '../settings.ts';
import { normal, zeros } from '../tensors.ts';

const training = { deft_dropout: 0, bias: 'none' };

export const deft: Tuner = {
  name: 'deft',
  peftType: 'DEFT',
  paper:
    'https://proceedings.neurips.cc/paper_files/paper/2025/hash/93a34a7138bdad95e874018d5f491cc6-Abstract-Conference.html',
  description: 'DEFT: takes a subspace out of the weight and puts a low-rank product there; `para` only takes it out',
  defaults: {
    r: 8,
    decomposition_method: 'relu',
    init_scale: 1,
    alpha: null,
    para: false,
    fan_in_fan_out: false,
    ...training,
    init_weights: true,
    ...peftModules,
  },
  tune: (layer, settings) => {
    oneOf('deft', settings, 'decomposition_method', ['relu', 'qr']);
    const { alpha, para, init_scale: spread, decomposition_method: method, init_weights: isIdle } = settings as { alpha: number | null; para: boolean; init_scale: number; decomposition_method: string; init_weights: boolean }; // prettier-ignore
    const { in: width, out: height } = layer;
    const rank = Math.min(whole(settings, 'r'), height);
    const scaling = alpha ? alpha / rank : 1;
    /** The subspace, and the factor that projects the weight onto it. */
    const projection = (g: GraphBuilder, own: Value): readonly [Q: Value, right: Value] => {
      if (method === 'relu') return [own, g.Relu(own)];
      const Q = orthonormal(g, own, height, rank);
      return [Q, Q];
    };
    const scaled = (g: GraphBuilder, { deft_R: R }: ByTensor<Value>): Value | undefined => R && g.Mul(R, scaling);
    // R's init makes ΔW zero.
    const first: TensorSpec['init'] = (_, numbersOf) => {
      const drawn = matrix(height, rank, numbersOf('deft_P') as Float32Array);
      const right = method === 'qr' ? qr(drawn).Q : { ...drawn, data: drawn.data.map((each) => Math.max(each, 0)) };
      const taken = matmul(right, matrix(height, width, layer.weight()), { transposeA: true });
      return Float32Array.from(taken.data, (each) => each / scaling);
    };
    return {
      tensors: {
        deft_P: normal([height, rank], 0.02),
        ...(para
          ? {}
          : { deft_R: isIdle ? { ...zeros([rank, width]), init: first } : normal([rank, width], 0.02 * spread) }),
      },
      apply: (g, { x, forward }, tensors) => {
        const [y, bias, R] = [forward(x), layer.ownBias(), scaled(g, tensors)];
        const [Q, right] = projection(g, tensors['deft_P']!);
        const product = bias ? g.Sub(y, g.constant({ type: 'float32', dims: [height], data: bias })) : y;
        const taken = g.MatMul(product, right);
        const change = R ? g.Sub(g.MatMul(x, transposed(g, R)), taken) : g.Neg(taken);
        return g.Add(y, g.MatMul(change, transposed(g, Q)));
      },
      weight: (g, weight, tensors) => {
        const [R, [Q, right]] = [scaled(g, tensors), projection(g, tensors['deft_P']!)];
        const taken = g.MatMul(transposed(g, right), weight);
        return g.Add(weight, g.MatMul(Q, R ? g.Sub(R, taken) : g.Neg(taken)));
      },
    };
  },
  ...trainsWith('deft', training),
};

/**
 * Q of a QR decomposition, `[rows, columns]`, with LAPACK's signs: R by Householder reflections, then Q = P·R⁻¹.
 * Zero columns stay zero.
 */
function orthonormal(g: GraphBuilder, P: Value, rows: number, columns: number): Value {
  const found: Value[] = [];
  let rest = g.stopGradient(P);
  for (let k = 0; k < columns; k++) {
    if (k < rows - 1) {
      const x = g.Slice(rest, [0], [1], [1]);
      const head = g.Slice(x, [0], [1], [0]);
      const norm = g.ReduceL2(x, [0, 1], true);
      const signed = g.Where(g.GreaterOrEqual(head, 0), norm, g.Neg(norm));
      const v = g.Concat([g.Add(head, signed), g.Slice(x, [1], [rows - k], [0])], 0);
      const factor = g.Div(g.scalar(2), g.Max(g.ReduceSumSquare(v, [0, 1], true), 1e-30));
      rest = g.Sub(rest, g.MatMul(v, g.Mul(g.MatMul(transposed(g, v), rest), factor)));
    }
    const row = g.Slice(rest, [0], [1], [0]);
    found.push(k === 0 ? row : g.Concat([g.constant(table(1, k, () => 0)), row], 1));
    if (k < columns - 1) rest = g.Slice(rest, [1, 1], [rows - k, columns - k], [0, 1]);
  }
  const R = g.Concat(found, 0);
  const whole = g.Where(g.Greater(g.Abs(R), 0), R, identity(g, columns));
  const Y = g.stopGradient(g.Reshape(inverse(g, g.Reshape(whole, [1, columns, columns]), columns), [columns, columns]));
  // One correction step where QᵀQ differs from I: R moves by the upper triangle of the difference, with half its
  // diagonal.
  const Q = g.MatMul(P, Y);
  const half = g.constant(table(columns, columns, (row, column) => (row === column ? 0.5 : Number(row < column))));
  const off = g.Mul(g.Sub(g.MatMul(transposed(g, Q), Q), identity(g, columns)), half);
  return g.Sub(Q, g.MatMul(Q, off));
}
