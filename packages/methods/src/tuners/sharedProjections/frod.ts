/** @file FRoD: decomposes weights by a basis that layers share; trains the stretches and sparse rotations. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  addScaled,
  matmul,
  type Matrix,
  matrix,
  qr,
  scaleColumns,
  sliceRows,
  solvePositive,
  svd,
  symmetricEigen,
  type TensorNumbers,
  TorchRandom,
  transpose,
  type TargetLayer,
  type TensorSpec,
  type Tuner,
} from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { transposed } from '../rotations/rotation.ts';
import { finite, oneOf, peftModules, trainsWith, whole, wrong } from '../settings.ts';
import { filled, normal, zeros } from '../tensors.ts';

const training = { frod_dropout: 0, bias: 'none' };

export const frod: Tuner = {
  name: 'frod',
  peftType: 'FROD',
  paper: 'https://doi.org/10.1609/aaai.v40i31.39813',
  description:
    "FRoD: trains stretches and a few rotations in a basis that layers of one kind share; steps take products of the weight's size, and PEFT reads right only files of its own",
  defaults: {
    projection_prng_key: 0,
    save_projection: true,
    ...training,
    fan_in_fan_out: false,
    init_weights: true,
    sparse_rate: 0.01,
    regularization_alpha: 1e-3,
    progressbar: true,
    runtime_offload_base_weight: false,
    layers_to_transform: peftModules['layers_to_transform'],
    layers_pattern: peftModules['layers_pattern'],
  },
  tune: (layer, settings, layers, saved) => {
    // A basis computed again would have another library's signs.
    oneOf('frod', settings, 'save_projection', [true]);
    const [rate, alpha, key] = [
      finite(settings, 'sparse_rate'),
      finite(settings, 'regularization_alpha'),
      whole(settings, 'projection_prng_key', 0),
    ];
    if (rate < 0 || rate > 1) throw wrong(settings, 'sparse_rate', 'between 0 and 1');
    const isIdle = settings['init_weights'] === true; // prettier-ignore
    const { in: width, out: height } = layer;
    const category = categoryOf(layer.path);
    const alike = layers.filter((each) => categoryOf(each.path) === category);
    const other = alike.find((each) => each.in !== width);
    if (other) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The tuner "frod" gives layers of one kind ("${category}") one basis, and "${layer.path}" reads ${width} features, "${other.path}" ${other.in}. Leave one of them out (excludeModules).`,
      );
    }
    const asked = Math.min(Math.trunc(width * width * rate), width * (width - 1));
    const count = saved?.['frod_lambda_s_values']?.[0] ?? (rate > 0 && width > 1 ? Math.max(1, asked) : asked);
    const shared = { role: 'frozen', share: { group: category } } as const;
    const integers = (dims: readonly number[], below: number, first: () => BigInt64Array): TensorSpec => ({
      dims,
      ...shared,
      integers: { type: 'int64', below },
      init: first,
      identity: () => new BigInt64Array(dims.reduce((product, dim) => product * dim, 1)),
    });
    // W·V⁻ᵀ: its column norms are trained, its directions are not.
    let known: { readonly V: TensorNumbers; readonly parts: ReturnType<typeof columnsOf> } | undefined;
    const parts = (V: TensorNumbers): ReturnType<typeof columnsOf> => {
      if (known?.V !== V) known = { V, parts: columnsOf(matrix(height, width, layer.weight()), matrix(width, width, V as Float32Array)) }; // prettier-ignore
      return known.parts;
    };
    const lengths = (numbersOf: (name: string) => TensorNumbers): Float32Array => Float32Array.from(parts(numbersOf('frod_V')).lengths); // prettier-ignore
    const own = normal([width], 0.1);
    /** U·(S + diag(l)). */
    const stretched = (g: GraphBuilder, tensors: Readonly<Record<string, Value>>): Value => {
      const { frod_s_indices: places, frod_lambda_s_values: values, frod_lambda_l: diagonal, frod_U: U } = tensors;
      const [rows, columns] = [0, 1].map((i) => g.Reshape(g.Slice(places!, [i], [i + 1], [0]), [count])) as [Value, Value]; // prettier-ignore
      const flat = g.Add(g.Mul(rows, width), columns);
      const empty = g.Expand(g.scalar(0), [width * width]);
      const S = g.Reshape(g.emit('ScatterElements', [empty, flat, values!], { axis: 0 }), [width, width]);
      return g.Add(g.MatMul(U!, S), g.Mul(U!, diagonal!));
    };
    return {
      tensors: {
        frod_V: { ...zeros([width, width]), ...shared, init: () => Float32Array.from(basisOf(alike, alpha).data) },
        frod_s_indices: integers([2, count], width, () => drawn(width, count, key)),
        frod_s_size: integers([2], width + 1, () => BigInt64Array.of(BigInt(width), BigInt(width))),
        frod_U: { ...zeros([height, width]), role: 'seeded', init: (_, numbersOf) => Float32Array.from(parts(numbersOf('frod_V')).directions.data) }, // prettier-ignore
        // 0 without the adapter, where the layer is the base's.
        frod_on: { ...filled([1], 1, 0), role: 'seeded' },
        frod_lambda_l: {
          ...zeros([width]),
          init: (random, numbersOf) => {
            const begun = lengths(numbersOf);
            if (isIdle) return begun;
            const more = own.init(random, numbersOf) as Float32Array;
            return begun.map((each, i) => each + more[i]!);
          },
        },
        frod_lambda_s_values: isIdle ? zeros([count]) : normal([count], 0.1),
      },
      apply: (g, { x, forward, training: isTraining }, tensors) => {
        const product = g.MatMul(g.MatMul(x, tensors['frod_V']!), transposed(g, stretched(g, tensors)));
        const bias = layer.ownBias();
        const y = bias ? g.Add(product, g.constant({ type: 'float32', dims: [height], data: bias })) : product;
        if (isTraining) return y;
        const on = tensors['frod_on']!;
        return g.Add(g.Mul(y, on), g.Mul(forward(x), g.Sub(g.scalar(1), on)));
      },
      // The product replaces W, so it cannot be unmerged.
      weight: (g, _, tensors) => g.MatMul(stretched(g, tensors), transposed(g, tensors['frod_V']!)),
    };
  },
  ...trainsWith('frod', training),
};

function categoryOf(path: string): string {
  const parts = path.split('.');
  const [before = '', last = ''] = parts.slice(-2);
  if (parts.length === 1 || /^\d+$/.test(before)) return parts.at(-1)!;
  return path.endsWith('attention.output.dense') ? 'attention_output' : `${before}_${last}`;
}

/** Norms and directions of the columns of W·V⁻ᵀ. */
function columnsOf(W: Matrix, V: Matrix): { readonly lengths: Float64Array; readonly directions: Matrix } {
  const whole = divided(W, V);
  const lengths = new Float64Array(whole.columns);
  whole.data.forEach((each, i) => (lengths[i % whole.columns]! += each * each));
  for (const [i, each] of lengths.entries()) lengths[i] = Math.sqrt(each);
  return { lengths, directions: scaleColumns(whole, lengths.map((each) => (each > 1e-12 ? 1 / each : 0))) }; // prettier-ignore
}

/** W·V⁻ᵀ, by the pseudo-inverse for a singular V. */
function divided(W: Matrix, V: Matrix): Matrix {
  try {
    return transpose(solvePositive(matmul(V, V, { transposeA: true }), transpose(matmul(W, V))));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const { U, S, V: right } = svd(V);
    const inverses = S.map((each) => (each > 1e-6 * S[0]! ? 1 / each : 0));
    return matmul(scaleColumns(matmul(W, U), inverses), right, { transposeB: true });
  }
}

/** The basis of a higher-order generalised SVD of the layers' weights, `[in, in]`. */
function basisOf(layers: readonly TargetLayer[], alpha: number): Matrix {
  const [{ in: width }] = layers as [TargetLayer];
  const rows = layers.reduce((sum, each) => sum + each.out, 0);
  const stacked = matrix(rows, width);
  let at = 0;
  for (const each of layers) at += (stacked.data.set(each.weight(), at), each.out * width);
  if (rows < width) return symmetricEigen(matmul(stacked, stacked, { transposeA: true })).V;
  const { Q, R } = qr(stacked);
  const one = matrix(
    width,
    width,
    Float64Array.from({ length: width * width }, (_, i) => Number(i % (width + 1) === 0)),
  );
  let [sum, row] = [matrix(width, width), 0];
  for (const { out } of layers) {
    const part = sliceRows(Q, row, (row += out));
    const ridge = addScaled(matmul(part, part, { transposeA: true }), one, alpha);
    sum = addScaled(sum, solvePositive(ridge, one), 1 / layers.length);
  }
  return matmul(R, symmetricEigen(sum).V, { transposeA: true });
}

/** Off-diagonal places `[2, count]`, seeded. */
function drawn(width: number, count: number, key: number): BigInt64Array {
  const places = new BigInt64Array(2 * count);
  for (const [i, place] of new TorchRandom(key).permuted(count, width * (width - 1)).entries()) {
    const [row, column] = [Math.floor(place / (width - 1)), place % (width - 1)];
    places[i] = BigInt(row);
    places[count + i] = BigInt(column < row ? column : column + 1);
  }
  return places;
}
