/** @file Evaluates small graphs over weights in double precision, such as merges of adapters. */

import { OnnxLoraError } from '../errors.ts';
import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { NodeProto } from '../graph/proto.ts';
import { readTensor } from '../graph/tensorData.ts';
import { intAttribute } from '../graph/walk.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { unary, binary } from './arithmetic.ts';
import { reachable } from './rewrites/simplify.ts';
import { axisOf, permOf, reducedAxes, slicedAxes } from './schema.ts';

interface Wide {
  readonly data: Float64Array;
  readonly dims: readonly number[];
}

type Rule = (inputs: readonly Wide[], dims: readonly number[], node: NodeProto, output: number) => Float64Array;

/**
 * Evaluates a value emitted by a builder from the `given` inputs of static shapes.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an operator without a rule
 */
export function evaluate(
  g: Pick<GraphBuilder, 'nodes' | 'initializers' | 'types'>,
  given: readonly (readonly [value: Value, data: ArrayLike<number>])[],
  result: Value,
): Float64Array {
  const known = new Map<string, Wide>(
    given.map(([{ name, shape }, data]) => [name, { data: Float64Array.from(data), dims: shape as number[] }]),
  );
  for (const proto of g.initializers) {
    const { data, dims } = readTensor(proto);
    known.set(proto.name!, { data: Float64Array.from(data as ArrayLike<number>, Number), dims });
  }
  for (const node of reachable(g.nodes, [result.name])) {
    const rule = node.domain ? undefined : rules[node.opType!];
    if (!rule) throw unknown(node);
    const inputs = (node.input ?? []).map((name) => known.get(name)!);
    node.output!.forEach((name, i) => {
      const dims = g.types.get(name)!.shape as readonly number[];
      known.set(name, { dims, data: rule(inputs, dims, node, i) });
    });
  }
  return known.get(result.name)!.data;
}

function unknown({ opType, domain }: NodeProto): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The operator ${domain ? `${domain}:` : ''}${opType} cannot be computed on weights alone; known are ${Object.keys(rules).join(', ')}. Write the change of the weight with these.`,
  );
}

const each =
  (compute: (x: number) => number): Rule =>
  ([x]) =>
    x!.data.map(compute);

const both =
  (compute: (a: number, b: number) => number): Rule =>
  (inputs, dims) => {
    const [a, ...others] = inputs.map((input) => spread(input, dims));
    return others.reduce((sum, b) => sum.map((value, i) => compute(value, b[i]!)), a!);
  };

const same: Rule = ([x]) => x!.data;

const reduced =
  (compute: (x: number) => number, finish: (sum: number, count: number) => number = (sum) => sum): Rule =>
  ([x, axesInput], dims, node) => {
    const { data, dims: from } = x!;
    const axes = reducedAxes(node, from.length, () => axesInput && [...axesInput.data])!;
    const kept = from.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const sums = new Float64Array(sizeOf(dims));
    const at = places(kept, from);
    for (let i = 0; i < data.length; i++) sums[at(i)]! += compute(data[i]!);
    return sums.map((sum) => finish(sum, data.length / sums.length));
  };

function mapped<T>(table: Readonly<Record<string, T>>, rule: (compute: T) => Rule): Record<string, Rule> {
  return Object.fromEntries(Object.entries(table).map(([op, compute]) => [op, rule(compute)]));
}

const rules: Readonly<Record<string, Rule>> = {
  ...mapped(unary, each),
  ...mapped(binary, both),
  Where: (inputs, dims) => {
    const [condition, yes, no] = inputs.map((input) => spread(input, dims));
    return condition!.map((holds, i) => (holds ? yes![i]! : no![i]!));
  },
  // Shapes are inferred.
  Identity: same,
  Cast: same,
  Reshape: same,
  Squeeze: same,
  Unsqueeze: same,
  Flatten: same,
  Expand: ([x], dims) => spread(x!, dims),
  Transpose: ([x], dims, node) => {
    const { data, dims: from } = x!;
    const strides = stridesOf(from);
    const steps = permOf(node, from.length).map((axis) => strides[axis]!);
    return gathered(data, dims, steps);
  },
  Slice: (inputs, dims, node) => {
    const { data, dims: from } = inputs[0]!;
    const strides = stridesOf(from);
    let offset = 0;
    for (const { axis, first, step } of slicedAxes(node, from, (i) => inputs[i] && [...inputs[i].data])!) {
      offset += first * strides[axis]!;
      strides[axis]! *= step;
    }
    return gathered(data, dims, strides, offset);
  },
  MatMul: ([a, b], dims) => product(a!, b!, dims),
  Gather: ([x, indices], dims, node) => {
    const { data, dims: from } = x!;
    const axis = axisOf(node, from.length);
    const inner = sizeOf(from.slice(axis + 1));
    const count = indices!.data.length;
    return new Float64Array(sizeOf(dims)).map((_, i) => {
      const [outer, place, rest] = [Math.floor(i / (count * inner)), Math.floor(i / inner) % count, i % inner];
      const index = (indices!.data[place]! + from[axis]!) % from[axis]!;
      return data[(outer * from[axis]! + index) * inner + rest]!;
    });
  },
  ScatterElements: ([x, indices, updates], dims, node) => {
    if (node.attribute?.some(({ name }) => name === 'reduction')) throw unknown(node);
    const axis = axisOf(node, dims.length);
    const strides = stridesOf(dims);
    const result = x!.data.slice();
    // An update's position counts except along the scattered axis.
    const steps = strides.map((stride, i) => (i === axis ? 0 : stride));
    updates!.data.forEach((value, i) => {
      const index = (indices!.data[i]! + dims[axis]!) % dims[axis]!;
      result[stepped(i, indices!.dims, steps) + index * strides[axis]!] = value;
    });
    return result;
  },
  Concat: (inputs, dims, node) => {
    const axis = axisOf(node, dims.length);
    const outer = sizeOf(dims.slice(0, axis));
    const result = new Float64Array(sizeOf(dims));
    let at = 0;
    for (let o = 0; o < outer; o++)
      for (const { data } of inputs) {
        const run = data.length / outer;
        result.set(data.subarray(o * run, (o + 1) * run), at);
        at += run;
      }
    return result;
  },
  Softmax: ([x], dims, node) => {
    const [{ data }, axis] = [x!, axisOf(node, dims.length)];
    const [size, step] = [dims[axis]!, sizeOf(dims.slice(axis + 1))];
    return data.map((value, i) => {
      const first = i - (Math.floor(i / step) % size) * step;
      let sum = 0;
      for (let k = 0; k < size; k++) sum += Math.exp(data[first + k * step]! - value);
      return 1 / sum;
    });
  },
  // Values or indices of the largest or smallest, along the last axis only.
  TopK: ([x], dims, node, output) => {
    const { data, dims: from } = x!;
    if (axisOf(node, from.length) !== from.length - 1) throw unknown(node);
    const sign = intAttribute(node, 'largest', 1) === 0 ? 1 : -1;
    const [size, count] = [from.at(-1)!, dims.at(-1)!];
    const rows = Array.from({ length: data.length / size }, (_, row) => {
      const own = data.subarray(row * size, (row + 1) * size);
      const order = Array.from(own, (__, i) => i).sort((a, b) => sign * (own[a]! - own[b]!) || a - b);
      return order.slice(0, count).map((i) => (output === 0 ? own[i]! : i));
    });
    return Float64Array.from(rows.flat());
  },
  ScatterND: ([x, indices, updates]) => {
    const { data, dims: from } = x!;
    const depth = indices!.dims.at(-1)!;
    const [strides, inner] = [stridesOf(from), sizeOf(from.slice(depth))];
    const result = data.slice();
    for (let i = 0; i * depth < indices!.data.length; i++) {
      let to = 0;
      for (let axis = 0; axis < depth; axis++) to += indices!.data[i * depth + axis]! * strides[axis]!;
      result.set(updates!.data.subarray(i * inner, (i + 1) * inner), to);
    }
    return result;
  },
  ReduceSum: reduced((x) => x),
  ReduceMean: reduced(
    (x) => x,
    (sum, count) => sum / count,
  ),
  ReduceSumSquare: reduced((x) => x * x),
  ReduceL2: reduced((x) => x * x, Math.sqrt),
};

/** Matrix product with broadcasting of leading dimensions. */
function product(a: Wide, b: Wide, dims: readonly number[]): Float64Array {
  const [rows = 1, inner = 1] = a.dims.length === 1 ? [1, a.dims[0]] : a.dims.slice(-2);
  const columns = b.dims.length === 1 ? 1 : b.dims.at(-1)!;
  const batch = dims.slice(0, dims.length - (a.dims.length > 1 ? 1 : 0) - (b.dims.length > 1 ? 1 : 0));
  const [left, right] = [a, b].map(({ dims: own }) => places(own.slice(0, -2), batch)) as [Place, Place];
  const result = new Float64Array(sizeOf(dims));
  for (let n = 0; n < sizeOf(batch); n++) {
    const [from, by] = [left(n) * rows * inner, right(n) * inner * columns];
    for (let i = 0; i < rows; i++)
      for (let k = 0; k < inner; k++) {
        const factor = a.data[from + i * inner + k]!;
        if (factor === 0) continue;
        const [to, row] = [(n * rows + i) * columns, by + k * columns];
        for (let j = 0; j < columns; j++) result[to + j]! += factor * b.data[row + j]!;
      }
  }
  return result;
}

type Place = (index: number) => number;

/** Maps an index of the larger shape to the smaller one broadcast to it. */
function places(small: readonly number[], large: readonly number[]): Place {
  const own = stridesOf(small);
  const offset = large.length - small.length;
  const steps = large.map((_, axis) => (axis < offset || small[axis - offset] === 1 ? 0 : own[axis - offset]!));
  return (index) => stepped(index, large, steps);
}

function spread({ data, dims }: Wide, to: readonly number[]): Float64Array {
  if (data.length === sizeOf(to)) return data;
  const at = places(dims, to);
  return new Float64Array(sizeOf(to)).map((_, i) => data[at(i)]!);
}

function gathered(data: Float64Array, dims: readonly number[], steps: readonly number[], from = 0): Float64Array {
  return new Float64Array(sizeOf(dims)).map((_, i) => data[from + stepped(i, dims, steps)]!);
}

function stepped(index: number, dims: readonly number[], steps: readonly number[]): number {
  let [rest, at] = [index, 0];
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    at += (rest % dims[axis]!) * steps[axis]!;
    rest = Math.floor(rest / dims[axis]!);
  }
  return at;
}

function stridesOf(dims: readonly number[]): number[] {
  return dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));
}
