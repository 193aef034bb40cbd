/** @file Weights behind nodes that only rearrange elements: Identity, Cast, Transpose, Reshape, Slice, Split. */

import type { NodeProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { type GraphIndex, intAttribute } from '../../graph/walk.ts';
import { inferNode } from '../../ops/infer.ts';
import { constantType } from '../../ops/inference/sources.ts';
import { axisOf, permOf, slicedAxes, splitSizes } from '../../ops/schema.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { floatType } from './plain.ts';
import type { StoredWeight } from './stored.ts';

/** The weight behind a node that only rearranges elements; undefined for other nodes. */
export function rearranged(
  node: NodeProto,
  output: string,
  source: StoredWeight,
  index: GraphIndex,
): StoredWeight | undefined {
  const through = { ...source, name: output, chain: [...source.chain, node] };
  switch (node.opType) {
    case 'Identity':
      return through;
    case 'Cast':
      // A float Cast keeps the numbers, in a wider type than stored.
      return floatType(intAttribute(node, 'to', 0)) ? through : undefined;
    case 'Transpose': {
      const perm = permOf(node, source.dims.length);
      const dims = perm.map((axis) => source.dims[axis]!);
      if (dims.includes(undefined as never)) return undefined;
      const inverse = perm.map((_, axis) => perm.indexOf(axis));
      return {
        ...through,
        dims,
        read: (changed) => permute(source.read(changed), source.dims, perm),
        write: (values, changed) => source.write(permute(values, dims, inverse), changed),
      };
    }
    case 'Reshape':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Flatten': {
      const operands = (node.input ?? []).map((name, i) => (i === 0 ? { shape: source.dims } : typeOf(name, index)));
      const dims = inferNode({ node, inputs: operands, opset: 13 })[0]?.shape;
      return isStatic(dims) && sizeOf(dims) === sizeOf(source.dims) ? { ...through, dims } : undefined;
    }
    case 'Slice':
      return part(slicedPart(node, source.dims, index), source, through);
    case 'Split':
      return part(splitPart(node, output, source.dims, index), source, through);
    default:
      return undefined;
  }
}

interface Range {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

/** `count` equal ranges along a dimension, starting at `first`, `step` apart. */
export interface Runs {
  /** Start of the first range. */
  readonly first: number;
  /** Length of a range. */
  readonly size: number;
  /** Distance between starts; the dimension's length for a single range. */
  readonly step: number;
  /** Number of ranges. */
  readonly count: number;
}

function part(range: Range | undefined, source: StoredWeight, through: StoredWeight): StoredWeight | undefined {
  if (!range) return undefined;
  const { axis, start, end } = range;
  const runs = { first: start, size: end - start, step: source.dims[axis]!, count: 1 };
  const { name, chain } = through;
  return { ...runsOf(source, axis, runs), name, chain, cuts: [...source.cuts, { value: source.name, ...range }] };
}

/** A view of a weight's runs along a dimension, concatenated. Writing it changes nothing else. */
export function runsOf(source: StoredWeight, axis: number, runs: Runs): StoredWeight {
  const dims = source.dims.with(axis, runs.size * runs.count);
  return {
    ...source,
    dims,
    isPart: true,
    read: (changed) => {
      const all = source.read(changed);
      const result = new Float32Array(sizeOf(dims));
      eachRun(source.dims, axis, runs, (whole, own, length) => result.set(all.subarray(whole, whole + length), own));
      return result;
    },
    write: (values, changed) => {
      const all = source.read(changed).slice();
      eachRun(source.dims, axis, runs, (whole, own, length) => all.set(values.subarray(own, own + length), whole));
      return source.write(all, changed);
    },
  };
}

function eachRun(
  dims: readonly number[],
  axis: number,
  { first, size, step, count }: Runs,
  visit: (whole: number, own: number, length: number) => void,
): void {
  const inner = sizeOf(dims.slice(axis + 1));
  const outer = sizeOf(dims.slice(0, axis));
  const length = size * inner;
  for (let i = 0; i < outer; i++)
    for (let run = 0; run < count; run++)
      visit((i * dims[axis]! + first + run * step) * inner, (i * count + run) * length, length);
}

function slicedPart(node: NodeProto, dims: readonly number[], index: GraphIndex): Range | undefined {
  const [slice, another] = slicedAxes(node, dims, (i) => intsOf(node.input?.[i], index)) ?? [];
  if (!slice || another || slice.step !== 1 || !(slice.count > 0)) return undefined;
  return { axis: slice.axis, start: slice.first, end: slice.first + slice.count };
}

function splitPart(node: NodeProto, output: string, dims: readonly number[], index: GraphIndex): Range | undefined {
  const axis = axisOf(node, dims.length);
  const which = (node.output ?? []).indexOf(output);
  const sizes = dims[axis] === undefined ? undefined : splitSizes(node, dims[axis], intsOf(node.input?.[1], index));
  if (!sizes?.every((size) => typeof size === 'number') || which < 0) return undefined;
  const start = sizes.slice(0, which).reduce((sum, length) => sum + length, 0);
  const end = start + (sizes[which] ?? 0);
  return end > start && end <= dims[axis]! ? { axis, start, end } : undefined;
}

function typeOf(name: string, index: GraphIndex): ValueType | undefined {
  const tensor = index.constants.get(name);
  return name ? (tensor ? constantType(tensor) : {}) : undefined;
}

/** The integers of a short constant. */
export function intsOf(name: string | undefined, index: GraphIndex): readonly number[] | undefined {
  const tensor = name ? index.constants.get(name) : undefined;
  const { type, ints } = tensor ? constantType(tensor) : {};
  return type === 'int64' || type === 'int32' ? (ints as readonly number[] | undefined) : undefined;
}

/** Transposes a row-major tensor: dimension i of the result is `perm[i]` of `dims`. */
export function permute(values: Float32Array, dims: readonly number[], perm: readonly number[]): Float32Array {
  const strides = dims.map((_, i) => sizeOf(dims.slice(i + 1)));
  const shape = perm.map((axis) => dims[axis]!);
  const steps = perm.map((axis) => strides[axis]!);
  const result = new Float32Array(values.length);
  const position = shape.map(() => 0);
  let from = 0;
  for (let at = 0; at < result.length; at++) {
    result[at] = values[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      if (++position[axis]! < shape[axis]!) break;
      from -= steps[axis]! * shape[axis]!;
      position[axis] = 0;
    }
  }
  return result;
}
