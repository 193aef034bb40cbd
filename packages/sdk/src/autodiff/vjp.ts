/** @file The interface of gradient rules, and helpers for writing them. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import { OnnxLoraError } from '../errors.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import type { NodeProto } from '../graph/proto.ts';
import { formatShape, isStatic } from '../graph/value.ts';
import type { KnownInts } from '../ops/schema.ts';

/** Input of a rule: the forward node, its inputs `x` and outputs `y`, and the cotangents of its outputs. */
export interface VjpSite {
  /** Emits the gradient nodes. */
  readonly g: GraphBuilder;
  /** The forward node. */
  readonly node: NodeProto;
  /** Inputs; undefined for omitted ones. */
  readonly x: readonly (Value | undefined)[];
  /** Outputs. */
  readonly y: readonly Value[];
  /** Cotangent of the first output. */
  readonly dy: Value;
  /** Cotangents of all outputs; undefined if the loss does not depend on one. */
  readonly dys: readonly (Value | undefined)[];
  /** The surrounding forward graph, for rules that look beyond one operator. */
  readonly context: GraphContext;
}

/** Optimizations that look beyond one operator. */
export const shortcuts: Readonly<Record<Shortcut, true>> = { sumOverHead: true, scaleBehindProduct: true };

/** Name of an optimization that looks beyond one operator. */
export type Shortcut = 'sumOverHead' | 'scaleBehindProduct';

/** Lookups in the forward graph and its cotangents so far. */
export interface GraphContext {
  /** Whether to take a shortcut; tests turn them off. */
  takes(shortcut: Shortcut): boolean;
  /** The forward node that produces a value. */
  producer(name: string): NodeProto | undefined;
  /** The forward nodes that read a value. */
  readers(name: string): readonly NodeProto[];
  /** The node that is the only source of a value's cotangent, reading it once. */
  onlyReader(name: string): NodeProto | undefined;
  /** A value of the forward graph by name. */
  value(name: string): Value;
  /** The complete cotangent of a value; its readers have all been differentiated. */
  cotangent(name: string): Value | undefined;
}

/** Emits the cotangent of input number `index`, called only if needed. The driver undoes broadcasting. */
export type Vjp = (site: VjpSite, index: number) => Value;

/** One entry per input, `null` without a gradient (indices, shapes, axes); a function alone applies to all inputs. */
export type GradientRule = readonly (Vjp | null)[] | Vjp;

/** The required input number `i`. */
export function input(site: VjpSite, i: number): Value {
  return site.x[i]!;
}

/** The known contents of the node's integer inputs. */
export function knownInts({ x }: VjpSite): KnownInts {
  return (i) => (x[i]?.ints?.every((each) => typeof each === 'number') ? (x[i].ints as readonly number[]) : undefined);
}

/** The static shape of a value. @throws OnnxLoraError `MODEL_UNSUPPORTED` if unknown */
export function staticShape(value: Value): readonly number[] {
  if (isStatic(value.shape)) return value.shape;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The gradient needs the shape of "${value.name}", which is ${formatShape(value.shape)} from the graph alone. Give sizes to its dynamic dimensions.`,
  );
}

/** Whether the type is a float; unknown types count as floats. */
export function isFloat(type: Value['type']): boolean {
  return type === undefined || type === 'float32' || type === 'float16' || type === 'float64' || type === 'bfloat16';
}

/** The rank of a value. @throws OnnxLoraError `MODEL_UNSUPPORTED` if unknown */
export function rankOf(value: Value): number {
  if (value.shape) return value.shape.length;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The gradient needs the rank of "${value.name}", which the graph does not tell.`,
  );
}

/** Reshapes `value` to the shape of `like`. The runtime infers one dynamic dimension. */
export function reshapeLike(g: GraphBuilder, value: Value, like: Value): Value {
  const { shape } = like;
  if (shape && value.shape && shape.join() === value.shape.join()) return value;
  if (shape && shape.filter((dim) => typeof dim === 'string').length <= 1) {
    return g.Reshape(
      value,
      shape.map((dim) => (typeof dim === 'string' ? -1 : dim)),
    );
  }
  return g.Reshape(value, g.Shape(like));
}

/** Swaps the last two axes. */
export function swapLast(g: GraphBuilder, value: Value): Value {
  const rank = rankOf(value);
  const perm = Array.from({ length: rank }, (_, i) => i);
  [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
  return g.Transpose(value, perm);
}

/** `value` as a matrix `[rows, last]`. */
export function asRows(g: GraphBuilder, value: Value): Value {
  const last = value.shape?.at(-1);
  if (value.shape?.length === 2) return value;
  return g.Reshape(value, [-1, typeof last === 'number' ? last : -1]);
}

/** Inserts `stride − 1` zeros between the elements of an axis: `[…, n, …]` → `[…, (n − 1)·stride + 1, …]`. */
export function stretch(g: GraphBuilder, value: Value, axis: number, stride: number): Value {
  const dims = staticShape(value);
  if (stride === 1 || dims[axis]! <= 1) return value;
  const unit = g.Reshape(value, [...dims.slice(0, axis + 1), 1, ...dims.slice(axis + 1)]);
  const pads = new Array<number>(2 * (dims.length + 1)).fill(0);
  pads[dims.length + 1 + axis + 1] = stride - 1;
  const joined = g.Reshape(g.Pad(unit, pads), dims.toSpliced(axis, 1, dims[axis]! * stride));
  return g.Slice(joined, [0], [(dims[axis]! - 1) * stride + 1], [axis]);
}

/** The axes from `first` on. */
export function axesFrom(first: number, value: Value): number[] {
  return Array.from({ length: rankOf(value) - first }, (_, i) => first + i);
}

/** Sums over all axes of `[batch, channels, …]` except channels. */
export function channelSums(g: GraphBuilder, value: Value): Value {
  return g.ReduceSum(value, axesFrom(0, value).toSpliced(1, 1), false);
}

/** An identity matrix. */
export function eye(size: number): Float32Array {
  return Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
}

/** Casts `value`, unless it has the type already. */
export function castTo(g: GraphBuilder, value: Value, type: Value['type'] = 'float32'): Value {
  return value.type === type ? value : g.Cast(value, dataTypeNumber(type));
}

/** `value` in float32 at least: sums and quotients of normalizations need its range. */
export function widened(g: GraphBuilder, value: Value): Value {
  return value.type === 'float16' || value.type === 'bfloat16' ? castTo(g, value) : value;
}

/** Zeros of a shape. */
export function zeros(g: GraphBuilder, shape: readonly number[], type: Value['type'] = 'float32'): Value {
  return g.Expand(castTo(g, g.scalar(0), type), shape);
}

/** Zeros in the shape of a value, which may be dynamic. */
export function zerosLike(g: GraphBuilder, value: Value): Value {
  const zero = castTo(g, g.scalar(0), value.type);
  return g.Expand(zero, isStatic(value.shape) ? value.shape : g.Shape(value));
}

/** `value` where the condition holds, else 0. A product: ONNX Runtime's Where takes eight times as long on the CPU. */
export function where(g: GraphBuilder, condition: Value, value: Value): Value {
  return g.Mul(value, g.Cast(condition, dataTypeNumber(value.type ?? 'float32')));
}

/** Caches values shared by the rules of several inputs of a node. */
export function oncePerNode<T>(emit: (site: VjpSite) => T): (site: VjpSite) => T {
  const emitted = new WeakMap<VjpSite, { readonly values: T }>();
  return (site) => {
    const known = emitted.get(site) ?? { values: emit(site) };
    emitted.set(site, known);
    return known.values;
  };
}
