/** @file Gradients of quantised operators: those of the float operators that they stand for, within the range of the integers. */

import { describe, expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../test/support/differentiated.ts';
import { modelOf, runOnce } from '../../../../test/support/graphs.ts';
import { randomFloats } from '../../../../test/support/storedWeights.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { inferNode } from '../ops/infer.ts';
import { rowIntegers, rowProduct } from '../ops/quantization/forms.ts';
import { Random } from '../runtime/random.ts';
import { float32, sizeOf } from '../runtime/tensor.ts';
import { scalesOfRows } from './activeValues.ts';
import { packedInParts } from './quantized.ts';
import type { StraightThroughOp } from './rules.ts';
import type { VjpSite } from './vjp.ts';

const random = new Random(5);
const CONTRIB = 'com.microsoft';
const floats = (...dims: number[]): Float32Array => randomFloats(dims, random);
const integers = (type: 'uint8' | 'int8' | 'int32', dims: number[], data: number[]) =>
  ({ type, dims, data: type === 'uint8' ? Uint8Array.from(data) : type === 'int8' ? Int8Array.from(data) : Int32Array.from(data) }) as const; // prettier-ignore
const bytes = (type: 'uint8' | 'int8', dims: number[]) =>
  integers(type, dims, Array.from({ length: sizeOf(dims) }, () => Math.floor(random.uniform(0, 256)) - (type === 'int8' ? 128 : 0))); // prettier-ignore

/** d⟨w, f(x)⟩/dx, w random but the same for every f of one result. */
async function gradientOf(
  x: Float32Array,
  dims: readonly number[],
  build: (g: GraphBuilder, x: Value) => Value,
  opset = 18,
): Promise<number[]> {
  const graph = differentiated({ x: dims }, ['x'], (g, { x: value }) => weighted(g, build(g, value!)), opset);
  const { x: gradient } = await gradientValues(graph, { x: float32(x, dims) });
  return Array.from(gradient!.data as Float32Array);
}

function weighted(g: GraphBuilder, y: Value): Value {
  const shape = y.shape as readonly number[];
  const weights = float32(weightsOf(sizeOf(shape)), shape);
  return g.ReduceSum(g.Mul(y, g.constant(weights)), shape.map((_, i) => i), false); // prettier-ignore
}

const weightsOf = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  const largest = Math.max(...expected.map(Math.abs));
  expect(actual.length).toBe(expected.length);
  actual.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-5 * largest));
}

/** The value of a graph without inputs. */
async function valueOf(build: (g: GraphBuilder) => Value): Promise<number[]> {
  const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'c/' });
  const y = build(g);
  const outputs = await runOnce(modelOf({ opset: 18, inputs: [], outputs: [y.name], nodes: g.nodes, initializers: g.initializers }), {}); // prettier-ignore
  return Array.from(outputs[y.name]!.data as Float32Array);
}

const scale = (g: GraphBuilder, ...values: number[]): Value =>
  g.constant(float32(values, values.length === 1 ? [] : [values.length]));
const zero = (g: GraphBuilder, type: 'uint8' | 'int8', ...values: number[]): Value =>
  g.constant(integers(type, values.length === 1 ? [] : [values.length], values));

/** Integers of [−25.6, 25.5]·0.1: these are inside, on both ends, and outside. */
const around = [-30, -12.84, -12.7, 0, 3.3, 12.74, 12.76, 40];
const inside = [0, 1, 1, 1, 1, 1, 0, 0];

const roundings: Readonly<Record<string, (g: GraphBuilder, x: Value) => Value>> = {
  'turned back with the same scale': (g, x) => {
    const [by, at] = [scale(g, 0.1), zero(g, 'int8', 0)];
    return g.emit('DequantizeLinear', [g.emit('QuantizeLinear', [x, by, at]), by, at]);
  },
  'behind a Transpose': (g, x) => {
    const [by, at] = [scale(g, 0.1), zero(g, 'int8', 0)];
    const back = g.emit('DequantizeLinear', [g.Transpose(g.emit('QuantizeLinear', [x, by, at]), [1, 0]), by, at]);
    return g.Transpose(back, [1, 0]);
  },
  'by another scale': (g, x) => {
    const codes = g.emit('QuantizeLinear', [x, scale(g, 0.1), zero(g, 'int8', 0)]);
    return g.Mul(g.emit('DequantizeLinear', [codes, scale(g, 0.05), zero(g, 'int8', 3)]), 2);
  },
  'for some readers as integers': (g, x) => {
    const [by, at] = [scale(g, 0.1), zero(g, 'int8', 0)];
    const codes = g.emit('QuantizeLinear', [x, by, at]);
    const half = g.Mul(g.emit('DequantizeLinear', [codes, by, at]), 0.5);
    return g.Add(half, g.Mul(g.Cast(codes, 1), 0.05));
  },
};

/** y = dy·W, as a reference: W `[n, k]` row by row, dy `[rows, n]`. */
function times(dy: ArrayLike<number>, weight: readonly number[], rows: number, n: number, k: number): number[] {
  return Array.from({ length: rows * k }, (_, i) => {
    const [row, column] = [Math.floor(i / k), i % k];
    return Array.from({ length: n }, (__, j) => dy[row * n + j]! * weight[j * k + column]!).reduce((a, b) => a + b, 0);
  });
}

const packed = (op: string, attributes: Record<string, number>, operands: Parameters<GraphBuilder['constant']>[0][]) =>
  async function check(): Promise<void> {
    const { K, N } = attributes as { K: number; N: number };
    const product = (g: GraphBuilder, x: Value): Value =>
      g.emit(op, [x, ...operands.map((each) => g.constant(each))], attributes, CONTRIB);
    const identity = Float32Array.from({ length: K * K }, (_, i) => Number(i % (K + 1) === 0));
    // The operator's own kernel gives the weight: [K, N].
    const columns = await valueOf((g) => product(g, g.constant(float32(identity, [K, K]))));
    const weight = Array.from({ length: N * K }, (_, i) => columns[(i % K) * N + Math.floor(i / K)]!);
    const dims = [2, 3, K];
    expectClose(await gradientOf(floats(...dims), dims, product), times(weightsOf(6 * N), weight, 6, N, K));
    expectClose(await gradientOf(floats(...dims), dims, product, 12), times(weightsOf(6 * N), weight, 6, N, K));
  };

const nBits = (bits: number, more: Parameters<GraphBuilder['constant']>[0][] = []) =>
  packed('MatMulNBits', { K: 40, N: 6, block_size: 16, bits }, [
    bytes('uint8', [6, 3, 2 * bits]),
    float32(floats(18), [18]),
    ...more,
  ]);

/** The mapped type makes an operator without a check an error of the compiler. */
const checks: Readonly<Record<StraightThroughOp, Readonly<Record<string, () => Promise<void>>>>> = {
  QuantizeLinear: {
    ...Object.fromEntries(
      Object.entries(roundings).map(([name, build]) => [
        name,
        async () => {
          const gradient = await gradientOf(Float32Array.from(around), [2, 4], build);
          expectClose(gradient, [...weightsOf(8)].map((value, i) => value * inside[i]!)); // prettier-ignore
        },
      ]),
    ),
    'a scale for each column': async () => {
      const x = Float32Array.of(12.7, 12.7, -30, -30);
      const gradient = await gradientOf(x, [2, 2], (g, value) => {
        const [by, at] = [scale(g, 0.1, 1), zero(g, 'int8', 10, 0)];
        return g.emit('DequantizeLinear', [g.emit('QuantizeLinear', [value, by, at]), by, at]);
      });
      const [, second, , fourth] = weightsOf(4);
      expectClose(gradient, [0, second!, 0, fourth!]);
    },
  },
  DequantizeLinear: {
    'by a scale for each row': async () => {
      const gradient = await gradientOf(floats(2, 3), [2, 3], (g, x) => {
        const codes = g.emit('QuantizeLinear', [x, scale(g, 0.1), zero(g, 'uint8', 128)]);
        return g.emit('DequantizeLinear', [codes, scale(g, 0.3, 0.2), zero(g, 'uint8', 5, 6)], { axis: 0 });
      });
      expectClose(gradient, [...weightsOf(6)].map((value, i) => value * (i < 3 ? 3 : 2))); // prettier-ignore
    },
  },
  DynamicQuantizeLinear: {
    'is the identity': async () => {
      const gradient = await gradientOf(floats(2, 3), [2, 3], (g, x) =>
        g.emit('DequantizeLinear', g.emitMany('DynamicQuantizeLinear', [x], 3)),
      );
      expectClose(gradient, [...weightsOf(6)]);
    },
  },
  MatMulInteger: Object.fromEntries(
    [[13], [13, 200, 7]].map((zeros) => [
      `${zeros.length} zero points`,
      async () => {
        const codes = bytes('uint8', [4, 3]);
        const gradient = await gradientOf(floats(2, 4), [2, 4], (g, x) => {
          const [left, leftScale, leftZero] = g.emitMany('DynamicQuantizeLinear', [x], 3) as [Value, Value, Value];
          const product = g.emit('MatMulInteger', [left, g.constant(codes), leftZero, zero(g, 'uint8', ...zeros)]);
          return g.Mul(g.Cast(product, 1), g.Mul(leftScale, 0.25));
        });
        const weight = Array.from({ length: 12 }, (_, i) => {
          const [column, row] = [Math.floor(i / 4), i % 4];
          return 0.25 * (codes.data[row * 3 + column]! - zeros[zeros.length === 1 ? 0 : column]!);
        });
        expectClose(gradient, times(weightsOf(6), weight, 2, 3, 4));
      },
    ]),
  ),
  MatMulIntegerToFloat: {
    ...Object.fromEntries(
      (['', 'with zero points and a bias', 'of a scaled input'] as const).map((name) => [
        `${name === '' ? 'one scale' : name}`,
        async () => {
          const [codes, dims] = [bytes('int8', [4, 3]), [2, 5, 4]];
          const scales = name === '' ? [0.25] : [0.25, 0.5, 2];
          const zeros = name === '' ? [0] : [3, -7, 11];
          const gradient = await gradientOf(floats(...dims), dims, (g, x) => {
            const [by, at] = [scale(g, 0.02), zero(g, 'uint8', 128)];
            // By another scale than x is rounded by, as little as that makes sense, the product is half as large.
            const own = name === 'of a scaled input' ? scale(g, 0.01) : by;
            const integer = g.emit('QuantizeLinear', [x, by, at]);
            const operands = [integer, g.constant(codes), own, scale(g, ...scales), at, zero(g, 'int8', ...zeros), scale(g, 1, 2, 3)]; // prettier-ignore
            return g.emit('MatMulIntegerToFloat', operands, {}, CONTRIB);
          });
          const weight = Array.from({ length: 12 }, (_, i) => {
            const [column, row] = [Math.floor(i / 4), i % 4];
            const of = (values: readonly number[]): number => values[values.length === 1 ? 0 : column]!;
            return of(scales) * (codes.data[row * 3 + column]! - of(zeros)) * (name === 'of a scaled input' ? 0.5 : 1);
          });
          expectClose(gradient, times(weightsOf(30), weight, 10, 3, 4));
        },
      ]),
    ),
    'by integers on the right': async () => {
      const codes = bytes('uint8', [2, 3]);
      const gradient = await gradientOf(floats(3, 4), [3, 4], (g, x) => {
        const [by, at] = [scale(g, 0.02), zero(g, 'int8', 0)];
        const operands = [g.constant(codes), g.emit('QuantizeLinear', [x, by, at]), scale(g, 0.5), by, undefined, at];
        return g.emit('MatMulIntegerToFloat', operands, {}, CONTRIB);
      });
      // dW = xᵀ·dy, for x of 2 rows.
      const dy = weightsOf(8);
      const expected = Array.from({ length: 12 }, (_, i) => {
        const [row, column] = [Math.floor(i / 4), i % 4];
        return 0.5 * [0, 1].reduce((sum, each) => sum + codes.data[each * 3 + row]! * dy[each * 4 + column]!, 0);
      });
      expectClose(gradient, expected);
    },
    'of rows that are divided by their largest magnitude': async () => {
      const codes = bytes('int8', [4, 3]);
      const gradient = await gradientOf(floats(2, 5, 4), [2, 5, 4], (g, x) => {
        const input = rowIntegers(g, x);
        const product = rowProduct(g, input, g.constant(codes), scale(g, 0.25, 0.5, 2));
        expect(scalesOfRows(g.nodes)).toEqual([input.rows.name]);
        for (const each of scalesOfRows(g.nodes)) g.stopped.add(each);
        return product;
      });
      const weight = Array.from({ length: 12 }, (_, i) => [0.25, 0.5, 2][Math.floor(i / 4)]! * codes.data[(i % 4) * 3 + Math.floor(i / 4)]!); // prettier-ignore
      expectClose(gradient, times(weightsOf(30), weight, 10, 3, 4));
    },
  },
  ConvInteger: {
    'as the convolution of the numbers': async () => {
      const codes = bytes('uint8', [4, 2, 3, 3]);
      const attributes = { pads: [1, 1, 1, 1], strides: [2, 2] };
      const [x, dims] = [floats(1, 2, 5, 5), [1, 2, 5, 5]];
      const gradient = await gradientOf(x, dims, (g, value) => {
        const [left, leftScale, leftZero] = g.emitMany('DynamicQuantizeLinear', [value], 3) as [Value, Value, Value];
        const product = g.emit('ConvInteger', [left, g.constant(codes), leftZero, zero(g, 'uint8', 9)], attributes);
        return g.Mul(g.Cast(product, 1), leftScale);
      }); // prettier-ignore
      const weight = Float32Array.from(codes.data, (code) => code - 9);
      const expected = await gradientOf(x, dims, (g, value) =>
        g.emit('Conv', [value, g.constant(float32(weight, codes.dims))], attributes),
      );
      expectClose(gradient, expected);
    },
  },
  MatMulNBits: {
    '2 bits': nBits(2),
    '4 bits': nBits(4),
    '8 bits': nBits(8),
    '4 bits with zero points': nBits(4, [bytes('uint8', [12])]),
    '8 bits with zero points': nBits(8, [bytes('uint8', [18])]),
    'zero points that are floats': nBits(4, [float32(floats(18), [18])]),
    'an order of its own is refused': async () => {
      const order = integers('int32', [32], Array.from({ length: 32 }, (_, i) => i % 2)); // prettier-ignore
      const built = gradientOf(floats(2, 32), [2, 32], (g, x) =>
        g.emit(
          'MatMulNBits',
          [x, g.constant(bytes('uint8', [3, 2, 8])), scale(g, 1, 2, 3, 4, 5, 6), undefined, g.constant(order)],
          { K: 32, N: 3, block_size: 16, bits: 4 },
          CONTRIB,
        ),
      );
      await expect(built).rejects.toThrow(/The gradient of MatMulNBits .* is not known for the form/);
    },
  },
  MatMulBnb4: Object.fromEntries(
    [0, 1].map((type) => [
      type === 0 ? 'FP4' : 'NF4',
      packed('MatMulBnb4', { K: 32, N: 6, block_size: 16, quant_type: type }, [
        bytes('uint8', [96]),
        float32(floats(12), [12]),
      ]),
    ]),
  ),
  DynamicQuantizeLSTM: {
    'a scale for all': () => quantizedLstm(1, 'one')(),
    'a scale for each column': () => quantizedLstm(1, 'columns')(),
    'both directions': () => quantizedLstm(2, 'columns')(),
  },
};

/** Gradients for x and the initial states, against an LSTM with the dequantized weights. */
const quantizedLstm = (directions: 1 | 2, scales: 'one' | 'columns') =>
  async function check(): Promise<void> {
    const [features, hidden, batch, length] = [3, 2, 2, 4];
    const gates = 4 * hidden;
    const count = scales === 'one' ? directions : directions * gates;
    const dims = scales === 'one' ? [directions] : [directions, gates];
    const stored = [features, hidden].map((width) => ({
      width,
      codes: bytes('int8', [directions, width, gates]),
      scale: Float32Array.from({ length: count }, () => random.uniform(0.004, 0.01)),
      // ONNX Runtime has them for whole matrices alone.
      zero: Array.from({ length: count }, () => (scales === 'one' ? Math.floor(random.uniform(-9, 9)) : 0)),
    }));
    const bias = floats(directions, 2 * gates);
    const shape = { hidden_size: hidden, ...(directions === 2 ? { direction: 'bidirectional' } : {}) };
    /** [directions, gates, width] of [directions, width, gates]. */
    const weights = stored.map(({ width, codes, scale: by, zero: at }) =>
      Float32Array.from({ length: codes.data.length }, (_, i) => {
        const [d, gate, column] = [Math.floor(i / (gates * width)), Math.floor(i / width) % gates, i % width];
        const of = scales === 'one' ? d : d * gates + gate;
        return (codes.data[(d * width + column) * gates + gate]! - at[of]!) * by[of]!;
      }),
    );
    const build =
      (isQuantized: boolean) =>
      (g: GraphBuilder, x: Value): Value => {
        const first = g.Unsqueeze(g.Slice(g.ReduceMean(x, [0], false), [0], [hidden], [1]), [0]);
        const state = directions === 1 ? first : g.Concat([first, first], 0);
        const rest = [g.constant(float32(bias, [directions, 2 * gates])), undefined, state, g.Mul(state, 0.5)];
        const [y, , cell] = isQuantized
          ? g.emitMany(
              'DynamicQuantizeLSTM',
              [
                x,
                ...stored.map(({ codes }) => g.constant(codes)),
                ...rest,
                undefined,
                ...stored.flatMap(({ scale: by, zero: at }) => [
                  g.constant(float32(by, dims)),
                  g.constant(integers('int8', dims, at)),
                ]),
              ],
              3,
              shape,
              CONTRIB,
            )
          : g.emitMany('LSTM', [x, ...weights.map((values, i) => g.constant(float32(values, [directions, gates, stored[i]!.width]))), ...rest], 3, shape); // prettier-ignore
        return g.Concat([g.Reshape(y!, [-1]), g.Reshape(cell!, [-1])], 0);
      };
    const x = floats(length, batch, features);
    const [actual, expected] = [
      await gradientOf(x, [length, batch, features], build(true)),
      await gradientOf(x, [length, batch, features], build(false)),
    ];
    const largest = Math.max(...expected.map(Math.abs));
    expect(largest).toBeGreaterThan(0.1);
    // The states that it is taken at were rounded to 8 bits.
    actual.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(0.05 * largest));
  };

describe.each(Object.entries(checks))('%s', (_, named) => {
  test.each(Object.entries(named))('%s', async (__, check) => expect(check()).resolves.toBeUndefined());
});

test('both operands of a product may be computed', async () => {
  const x = floats(2, 3, 4);
  const product = (g: GraphBuilder, left: Value, right: Value): Value => {
    const [a, aScale, aZero] = g.emitMany('DynamicQuantizeLinear', [left], 3) as [Value, Value, Value];
    const [b, bScale, bZero] = g.emitMany('DynamicQuantizeLinear', [right], 3) as [Value, Value, Value];
    return g.Mul(g.Cast(g.emit('MatMulInteger', [a, b, aZero, bZero]), 1), g.Mul(aScale, bScale));
  };
  const turned = (g: GraphBuilder, value: Value): Value => g.Transpose(value, [0, 2, 1]);
  const actual = await gradientOf(x, [2, 3, 4], (g, value) => product(g, value, turned(g, value)));
  const expected = await gradientOf(x, [2, 3, 4], (g, value) => g.MatMul(value, turned(g, value)));
  const largest = Math.max(...expected.map(Math.abs));
  // 8 bits of the other operand are read.
  actual.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(0.02 * largest));
});

describe('packed weights some rows at a time', () => {
  const forms = {
    MatMulBnb4: (N: number) => ({
      attributes: { K: 32, N, block_size: 16, quant_type: 1 },
      operands: [bytes('uint8', [N * 16]), float32(floats(N * 2), [N * 2])],
    }),
    // Two numbers side by side, and blocks over rows.
    'MatMulBnb4 of 10': (N: number) => ({
      attributes: { K: 10, N, block_size: 16, quant_type: 0 },
      operands: [bytes('uint8', [N * 5]), float32(floats(Math.ceil((N * 10) / 16)), [Math.ceil((N * 10) / 16)])],
    }),
    // The last block of a row is not full.
    MatMulNBits: (N: number) => ({
      attributes: { K: 40, N, block_size: 16, bits: 4 },
      operands: [bytes('uint8', [N, 3, 8]), float32(floats(N * 3), [N * 3]), bytes('uint8', [N * 2])],
    }),
    'MatMulNBits without zeros': (N: number) => ({
      attributes: { K: 32, N, block_size: 16, bits: 4 },
      operands: [bytes('uint8', [N, 2, 8]), float32(floats(N * 2), [N * 2])],
    }),
    'MatMulNBits of 8 bits': (N: number) => ({
      attributes: { K: 32, N, block_size: 16, bits: 8 },
      operands: [bytes('uint8', [N, 2, 16]), float32(floats(N * 2), [N * 2])],
    }),
  };
  test.each(
    Object.keys(forms).flatMap((form) => [1, 2, 7, 8].flatMap((N) => [1, 3 * 40, 1000].map((most) => [form, N, most] as const))),
  )('%s, %i rows, %i numbers at a time', async (form, N, most) => {
    const { attributes, operands } = forms[form as keyof typeof forms](N);
    const [op = '', K] = [form.split(' ')[0], attributes.K];
    const weights = float32(weightsOf(6 * N), [2, 3, N]);
    const found = await valueOf((g) => {
      const dy = g.constant(weights);
      const x: Value = { name: 'x', type: 'float32', shape: [2, 3, K] };
      const all = [x, ...operands.map((each) => g.constant(each))];
      const y = g.emit(op, all, attributes, CONTRIB);
      const node = g.nodes.pop()!;
      return packedInParts({ g, node, x: all, y: [y], dy, dys: [dy] } as unknown as VjpSite, most);
    });
    // The forward product of the identity is the transposed weight.
    const identity = float32(Float32Array.from({ length: K * K }, (_, i) => Number(i % (K + 1) === 0)), [K, K]);
    const expected = await valueOf((g) => {
      const turned = g.emit(op, [g.constant(identity), ...operands.map((each) => g.constant(each))], attributes, CONTRIB);
      return g.MatMul(g.constant(weights), g.Transpose(turned, [1, 0]));
    });
    expectClose(found, expected);
  });
}); // prettier-ignore
