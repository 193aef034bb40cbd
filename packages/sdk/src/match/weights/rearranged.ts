/** @file Weights that reach a layer through nodes which only move numbers: Identity, Cast, Transpose, Reshape, Slice, Split. */

import type { NodeProto } from '../../graph/proto.ts';
import { readTensor } from '../../graph/tensorData.ts';
import { type GraphIndex, intAttribute, intsAttribute } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { floatType } from './plain.ts';
import type { StoredWeight } from './stored.ts';
import { attributeOf, axisOf, fromFront, permOf } from '../../ops/schema.ts';

/** What a node makes of a constant weight; undefined where the node does more than move numbers. */
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
      // The numbers stay; what is read is merely wider than what is stored.
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
      const dims = reshapedDims(node, source.dims, index);
      return dims && { ...through, dims };
    }
    case 'Slice':
      return part(slicedRange(node, source.dims, index), source, through);
    case 'Split':
      return part(splitRange(node, output, source.dims, index), source, through);
    default:
      return undefined;
  }
}

interface Range {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

/** Ranges of one size along a dimension: `count` of them, the first at `first`, one every `step`. */
export interface Runs {
  /** Index at which the first begins. */
  readonly first: number;
  /** Length of each. */
  readonly size: number;
  /** From the beginning of one to that of the next; with one run the length of the dimension. */
  readonly step: number;
  /** How many there are. */
  readonly count: number;
}

function part(range: Range | undefined, source: StoredWeight, through: StoredWeight): StoredWeight | undefined {
  if (!range) return undefined;
  const { axis, start, end } = range;
  const runs = { first: start, size: end - start, step: source.dims[axis]!, count: 1 };
  const { name, chain } = through;
  return { ...runsOf(source, axis, runs), name, chain, cuts: [...source.cuts, { value: source.name, ...range }] };
}

/** The parts of a weight at these runs of a dimension, side by side, as its own. Who writes them changes nothing else. */
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

/** Visits the contiguous pieces that runs take out of a row-major tensor. */
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

function slicedRange(node: NodeProto, dims: readonly number[], index: GraphIndex): Range | undefined {
  const [starts, ends, axes, steps] = [1, 2, 3, 4].map((i) => constantInts(node.input?.[i], index));
  if (starts?.length !== 1 || ends?.length !== 1) return undefined;
  if ((steps && steps[0] !== 1) || (axes && axes.length !== 1)) return undefined;
  if ((node.input?.[3] && !axes) || (node.input?.[4] && !steps)) return undefined;
  const axis = fromFront(axes?.[0] ?? 0, dims.length);
  const size = dims[axis];
  if (size === undefined) return undefined;
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, 0), size);
  const [start, end] = [clamp(starts[0]!), clamp(ends[0]!)];
  return end > start ? { axis, start, end } : undefined;
}

function splitRange(node: NodeProto, output: string, dims: readonly number[], index: GraphIndex): Range | undefined {
  const outputs = node.output ?? [];
  const axis = axisOf(node, dims.length);
  const size = dims[axis];
  const which = outputs.indexOf(output);
  if (size === undefined || which < 0) return undefined;
  const sizes = constantInts(node.input?.[1], index) ?? intsAttribute(node, 'split');
  if (!sizes && node.input?.[1]) return undefined;
  const each = Math.ceil(size / outputs.length);
  const own = sizes ?? outputs.map((_, i) => Math.min(each, size - i * each));
  const start = own.slice(0, which).reduce((sum, length) => sum + length, 0);
  const end = start + (own[which] ?? 0);
  return end > start && end <= size ? { axis, start, end } : undefined;
}

function reshapedDims(node: NodeProto, dims: readonly number[], index: GraphIndex): number[] | undefined {
  const given = constantInts(node.input?.[1], index);
  if (node.input?.[1] && !given) return undefined;
  if (node.opType === 'Flatten') {
    const axis = axisOf(node, dims.length);
    return [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))];
  }
  if (node.opType === 'Reshape') {
    if (!given || given.filter((dim) => dim === -1).length > 1) return undefined;
    const shape = given.map((dim, i) => (dim === 0 && attributeOf(node, 'allowzero') === 0 ? dims[i]! : dim));
    const known = sizeOf(shape.filter((dim) => dim !== -1));
    const result = shape.map((dim) => (dim === -1 ? sizeOf(dims) / known : dim));
    return sizeOf(result) === sizeOf(dims) && result.every(Number.isInteger) ? result : undefined;
  }
  const axes = given ?? intsAttribute(node, 'axes');
  if (node.opType === 'Squeeze') {
    const gone = axes?.map((axis) => fromFront(axis, dims.length));
    return dims.filter((dim, i) => (gone ? !gone.includes(i) : dim !== 1));
  }
  if (!axes) return undefined;
  const added = new Set(axes.map((axis) => fromFront(axis, dims.length + axes.length)));
  const rest = [...dims];
  return Array.from({ length: dims.length + axes.length }, (_, i) => (added.has(i) ? 1 : rest.shift()!));
}

function constantInts(name: string | undefined, index: GraphIndex): number[] | undefined {
  const tensor = name ? index.constants.get(name) : undefined;
  if (!tensor || (tensor.dims ?? []).length > 1 || sizeOf(tensor.dims ?? []) > 64) return undefined;
  if (tensor.dataType !== 6 && tensor.dataType !== 7) return undefined;
  return Array.from(readTensor(tensor).data as ArrayLike<number | bigint>, Number);
}

/** Numbers of a row-major tensor with its dimensions in another order: dimension i of the result is `perm[i]` of `dims`. */
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
