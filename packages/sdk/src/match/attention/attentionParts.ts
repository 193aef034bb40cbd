/** @file Finds which outputs of a fused QKV layer are queries, keys and values by following them into the attention. */

import type { Dim, ValueType } from '../../graph/value.ts';
import { type GraphIndex, intsAttribute, type Use } from '../../graph/walk.ts';
import { attributeOf, axisOf, fromFront, permOf, slicedAxes, unsqueezed } from '../../ops/schema.ts';
import { partRoles, type Sink } from './attentionRoles.ts';
import { differs, type ExplainedIndex, nodeLabel } from '../mismatch.ts';
import type { Layer } from '../layers/layer.ts';
import type { Projection } from '../structuralPath.ts';
import { type Axis, afterSlice, regrouped, indicesOf } from './trackedAxes.ts';
import { intsOf, type Runs } from '../weights/index.ts';

interface AttentionParts {
  /** Runs of output indices: one run when contiguous, several when each head has its own q, k and v. */
  readonly outputs: ReadonlyMap<Projection, Runs>;
  readonly attended: readonly string[];
}

/** A value with axes that hold outputs of the layer. */
interface Followed {
  readonly value: string;
  readonly axes: readonly Axis[];
  readonly offset: number;
}

/** Limit of the search: an attention takes fewer steps. */
const MOST_STEPS = 256;

/** Splits a linear layer's outputs into the queries, keys and values of an attention; undefined if it is not fused. */
export function attentionParts(
  layer: Layer,
  index: ExplainedIndex,
  typeOf: (value: string) => ValueType | undefined,
): AttentionParts | undefined {
  const sinks = sinksOf(layer, index, typeOf);
  const whole = sinks?.find(({ columns }) => columns.every(Boolean));
  if (whole && mayBeJoined(layer) && movers.has(whole.node.opType ?? ''))
    return differs(index, () => `${nodeLabel(whole.node)} moves its outputs by shapes or indices that are not constants`); // prettier-ignore
  if (!sinks || whole) return undefined;
  const { columns, attended } = partRoles(sinks, index, typeOf);
  if (columns.size === 0) return undefined;
  const all = [...columns.values()];
  if (columns.size === 1) {
    const other = sinks.find((sink) => sink.columns.every((own, at) => !own || !all[0]![at]));
    return differs(index, () => `an attention reads some of its outputs as ${inWords[[...columns.keys()][0]!]}, but ${other ? `the others are operand ${other.index} of ${nodeLabel(other.node)}, which is no product of an attention` : 'nothing reads the others'}`); // prettier-ignore
  }
  const shared = all[0]!.findIndex((_, at) => all.filter((own) => own[at]).length > 1);
  if (shared >= 0) return differs(index, () => `an attention reads its output ${shared} as two of queries, keys and values`); // prettier-ignore
  const outputs = [...columns].map(([as, own]) => [as, asRuns(own)] as const);
  const [uneven] = outputs.find(([, own]) => own === undefined) ?? [];
  if (uneven)
    return differs(index, () => `its ${inWords[uneven]} lie neither side by side nor at one distance for each head`);
  return { outputs: new Map(outputs as (readonly [Projection, Runs])[]), attended };
}

const inWords: Readonly<Record<Projection, string>> = { q: 'queries', k: 'keys', v: 'values' };

const movers: ReadonlySet<string> = new Set([
  'Reshape',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Gather',
  'Slice',
  'Split',
]);

/** Fused projections have three outputs per input. */
function mayBeJoined({ weightShape: [out = 0, width = 0] }: Layer): boolean {
  return out === 3 * width;
}

/** The projection that one attention uses all outputs of a linear layer for; undefined for none or several. */
export function attentionRole(
  layer: Layer,
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): { readonly as: Projection; readonly output: string } | undefined {
  const { columns, products } = partRoles(sinksOf(layer, index, typeOf) ?? [], index, typeOf);
  const [as, another] = columns.keys();
  const [output, ...others] = products;
  const isOne = another === undefined && others.length === 0;
  return as !== undefined && output !== undefined && isOne ? { as, output } : undefined;
}

/** The computations that read a linear layer's outputs; undefined if unknown. */
function sinksOf(
  layer: Layer,
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): readonly Sink[] | undefined {
  const [total = 0] = layer.weightShape;
  const shape = typeOf(layer.output)?.shape;
  if (layer.kind !== 'linear' || layer.arrange || !shape || shape.at(-1) !== total) return undefined;
  return new Follower(index, typeOf, total).sinks({
    value: layer.output,
    axes: shape.map((size, i) => ({
      size,
      factors: i === shape.length - 1 ? [{ stride: 1, size: total }] : [],
      isPure: true,
    })),
    offset: 0,
  });
}

/** Output indices as evenly spaced runs of equal length; undefined if they are irregular. */
function asRuns(columns: Uint8Array): Runs | undefined {
  const starts: number[] = [];
  const sizes: number[] = [];
  columns.forEach((own, at) => {
    if (!own) return;
    if (at > 0 && columns[at - 1]) sizes[sizes.length - 1]!++;
    else {
      starts.push(at);
      sizes.push(1);
    }
  });
  const [first = 0, second] = starts;
  const [size = 0] = sizes;
  if (second === undefined) return { first, size, step: columns.length, count: 1 };
  const step = second - first;
  const isEven = starts.every((start, i) => start === first + i * step) && sizes.every((each) => each === size);
  const isWhole = starts.length * step === columns.length && first + size <= step;
  return isEven && isWhole ? { first, size, step, count: starts.length } : undefined;
}

class Follower {
  readonly #index: GraphIndex;
  readonly #typeOf: (value: string) => ValueType | undefined;
  readonly #total: number;
  readonly #sinks: Sink[] = [];
  #steps = 0;

  constructor(index: GraphIndex, typeOf: (value: string) => ValueType | undefined, total: number) {
    this.#index = index;
    this.#typeOf = typeOf;
    this.#total = total;
  }

  sinks(from: Followed): readonly Sink[] | undefined {
    this.#follow(from);
    return this.#steps > MOST_STEPS ? undefined : this.#sinks;
  }

  #follow(from: Followed): void {
    for (const use of this.#index.uses.get(from.value) ?? []) {
      if (++this.#steps > MOST_STEPS) return;
      if (use.node.opType === 'Shape' || use.node.opType === 'Size') continue;
      const next = this.#packedInputs(use, from) ?? this.#moved(use, from);
      if (next) next.forEach((each) => this.#follow(each));
      else this.#sinks.push({ ...use, columns: this.#columns(from) });
    }
  }

  /** Adds one sink per part for operators that read packed queries, keys and values as one input. */
  #packedInputs({ node, index }: Use, { axes, offset }: Followed): [] | undefined {
    const [, key, value] = node.input ?? [];
    if (value || node.domain !== 'com.microsoft') return undefined;
    const split = (axis: number, sizes: readonly number[], first = 0): [] | undefined => {
      let start = 0;
      const parts = sizes.map((size) => afterSlice(axes, axis, (start += size) - size, size));
      if (parts.some((each) => each === undefined)) return undefined;
      parts.forEach((part, at) => {
        const own = this.#columns({ value: '', axes: part!.axes, offset: offset + part!.offset });
        this.#sinks.push({ node, index: first + at, columns: own });
      });
      return [];
    };
    if (node.opType === 'MultiHeadAttention' && axes.length === 5 && index < 2)
      return index === 0 ? split(3, [1, 1, 1]) : split(3, [1, 1], 1);
    if (index !== 0 || key) return undefined;
    const [heads, shared] = [attributeOf(node, 'num_heads'), attributeOf(node, 'kv_num_heads')];
    const width = this.#total / (heads + 2 * shared);
    if (node.opType !== 'GroupQueryAttention' || axes.length !== 3 || !(width > 0)) return undefined;
    return split(2, [heads * width, shared * width, shared * width]);
  }

  /** The outputs of a node that only rearranges elements; undefined for any other node. */
  #moved({ node, index }: Use, { axes, offset }: Followed): readonly Followed[] | undefined {
    const { opType = '', input = [], output = [] } = node;
    const shape = this.#typeOf(output[0] ?? '')?.shape;
    const one = (moved: readonly Axis[] | undefined, at = offset): readonly Followed[] | undefined =>
      moved && [{ value: output[0]!, axes: moved, offset: at }];
    const part = (value: string, axis: number, start: number, size: number): Followed | undefined => {
      const own = afterSlice(axes, axis, start, size);
      return own && { value, axes: own.axes, offset: offset + own.offset };
    };
    const front = (axis: number): number => fromFront(axis, axes.length);
    if (index !== 0 && !/^(?:Add|Mul)$/.test(opType)) return undefined;
    switch (opType) {
      case 'Identity':
      case 'Cast':
      case 'Dropout':
      case 'QuantizeLinear':
      case 'DequantizeLinear':
        return one(axes);
      case 'Add':
      case 'Sub':
      case 'Mul':
      case 'Div':
        return this.#index.constants.has(input[1 - index] ?? '') && shape?.length === axes.length
          ? one(axes)
          : undefined;
      case 'Reshape':
      case 'Flatten':
        return shape && one(regrouped(axes, shape));
      case 'Transpose': {
        const perm = permOf(node, axes.length);
        return perm.length === axes.length ? one(perm.map((axis) => axes[axis]!)) : undefined;
      }
      case 'Squeeze': {
        const gone = (intsAttribute(node, 'axes') ?? this.#ints(input[1]))?.map(front);
        return gone && one(axes.filter((_, axis) => !gone.includes(axis)));
      }
      case 'Unsqueeze': {
        const added = intsAttribute(node, 'axes') ?? this.#ints(input[1]);
        return added && one(unsqueezed(axes, added, { size: 1, factors: [], isPure: true }));
      }
      case 'Gather': {
        const [at, ...more] = this.#ints(input[1]) ?? [];
        const axis = axisOf(node, axes.length);
        const size = axes[axis]?.size;
        if (at === undefined || more.length > 0 || typeof size !== 'number') return undefined;
        const own = part(output[0]!, axis, fromFront(at, size), 1);
        const isGone = shape?.length === axes.length - 1;
        return own && one(isGone ? own.axes.toSpliced(axis, 1) : own.axes, own.offset);
      }
      case 'Slice': {
        const sizes = axes.map(({ size }) => (typeof size === 'number' ? size : 0));
        const [slice, another] = slicedAxes(node, sizes, (i) => this.#ints(input[i])) ?? [];
        if (!slice || another || slice.step !== 1) return undefined;
        const own = part(output[0]!, slice.axis, slice.first, slice.count);
        return own && [own];
      }
      case 'Split': {
        const axis = axisOf(node, axes.length);
        const sizes = output.map((value) => this.#typeOf(value)?.shape?.[axis]);
        if (sizes.some((size) => typeof size !== 'number')) return undefined;
        let start = 0;
        const parts = output.map((value, i) => part(value, axis, (start += sizes[i] as number) - (sizes[i] as number), sizes[i] as number)); // prettier-ignore
        return parts.every((each) => each !== undefined) ? parts : undefined;
      }
      default:
        return undefined;
    }
  }

  #ints(name: string | undefined): readonly number[] | undefined {
    if (!name) return undefined;
    const known: readonly Dim[] | undefined = this.#typeOf(name)?.ints;
    if (known) return known.every((each) => typeof each === 'number') ? known : undefined;
    return intsOf(name, this.#index);
  }

  #columns({ axes, offset }: Followed): Uint8Array {
    const columns = new Uint8Array(this.#total);
    for (const at of indicesOf(axes)) columns[offset + at] = 1;
    return columns;
  }
}
