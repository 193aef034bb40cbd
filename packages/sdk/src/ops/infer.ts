/** @file Types and shapes of a node's outputs: one row per operator. What has no row is left unknown. */

import { dataTypeName } from '../graph/dataType.ts';
import type { NodeProto } from '../graph/proto.ts';
import { readTensor } from '../graph/tensorData.ts';
import { type Dim, isStatic, type ValueType } from '../graph/value.ts';
import { attribute, intAttribute, intsAttribute, stringAttribute } from '../graph/walk.ts';
import { add, broadcast, divideExactly, multiply, product, subtract, symbol } from './dim.ts';

/** What a rule sees: the node, the types of its inputs (undefined for an omitted one), and the opset of its domain. */
export interface InferenceSite {
  readonly node: NodeProto;
  readonly inputs: readonly (ValueType | undefined)[];
  readonly opset: number;
}

type Rule = (site: InferenceSite) => readonly ValueType[];

/**
 * Infers the types of a node's outputs, in order.
 *
 * @returns as many entries as the rule knows; `{}` where nothing is known
 */
export function inferNode(site: InferenceSite): readonly ValueType[] {
  const { opType = '' } = site.node;
  return Object.hasOwn(rules, opType) ? rules[opType]!(site).map(sound) : [];
}

/** Drops the shape or contents that only a node which breaks ONNX's rules leads to; the runtime will refuse it. */
function sound({ type, shape, ints }: ValueType): ValueType {
  const isSize = (dim: Dim): boolean => typeof dim === 'string' || (Number.isSafeInteger(dim) && dim >= 0);
  const isKnown = (value: Dim | undefined): boolean =>
    typeof value === 'string' || (typeof value === 'number' && !Number.isNaN(value));
  // Holes of sparse arrays too, which `every` would pass over.
  return {
    type,
    shape: shape && Array.from(shape).every(isSize) ? shape : undefined,
    ints: ints && Array.from(ints).every(isKnown) ? ints : undefined,
  };
}

const x = ({ inputs }: InferenceSite, index = 0): ValueType => inputs[index] ?? {};

/** Axis counted from the front. */
function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Axes as attribute (older opsets) or as input number `index`; undefined where they are absent or not known. */
function axesOf(site: InferenceSite, index: number): readonly number[] | undefined {
  const fromAttribute = intsAttribute(site.node, 'axes');
  if (fromAttribute) return fromAttribute;
  const { ints } = x(site, index);
  return ints?.every((axis) => typeof axis === 'number') ? (ints as readonly number[]) : undefined;
}

/** Same type and shape as the first input. */
const same: Rule = (site) => [{ type: x(site).type, shape: x(site).shape }];
/** Same, and small integer contents pass through too. */
const identity: Rule = (site) => [x(site)];

function broadcasting(
  type: (site: InferenceSite) => ValueType['type'],
  ints?: (a: Dim, b: Dim) => Dim | undefined,
): Rule {
  return (site) => {
    const shapes = site.inputs.filter((input) => input !== undefined).map((input) => input.shape);
    const shape = shapes.every((each) => each !== undefined)
      ? shapes.reduce<Dim[] | undefined>((a, b) => a && broadcast(a, b!), [])
      : undefined;
    return [{ type: type(site), shape, ints: ints && shape && shape.length <= 1 ? combine(site, ints) : undefined }];
  };
}

function combine(site: InferenceSite, operation: (a: Dim, b: Dim) => Dim | undefined): Dim[] | undefined {
  const [a, b] = [x(site, 0).ints, x(site, 1).ints];
  if (!a || !b || (a.length !== b.length && a.length !== 1 && b.length !== 1)) return undefined;
  const length = a.length === 1 ? b.length : a.length;
  const result: Dim[] = [];
  for (let i = 0; i < length; i++) {
    const value = operation(a[a.length === 1 ? 0 : i]!, b[b.length === 1 ? 0 : i]!);
    if (value === undefined) return undefined;
    result.push(value);
  }
  return result;
}

const firstType = (site: InferenceSite): ValueType['type'] => x(site).type;
const elementwise: Rule = broadcasting(firstType);
const comparison = (test: (a: number, b: number) => boolean): Rule =>
  broadcasting(
    () => 'bool',
    (a, b) =>
      typeof a === 'number' && typeof b === 'number' ? Number(test(a, b)) : a === b ? Number(test(0, 0)) : undefined,
  );

function reduction(axesInput: boolean): Rule {
  return (site) => {
    const { type, shape } = x(site);
    if (!shape) return [{ type }];
    const keep = intAttribute(site.node, 'keepdims', 1) === 1;
    const given = axesOf(site, axesInput ? 1 : 99);
    // Axes that are an input whose contents are unknown.
    if (!given && axesInput && site.inputs[1]) return [{ type }];
    if ((!given || given.length === 0) && intAttribute(site.node, 'noop_with_empty_axes', 0) === 1)
      return [{ type, shape }];
    const axes = new Set((given?.length ? given : shape.map((_, i) => i)).map((axis) => axisOf(axis, shape.length)));
    const result = keep ? shape.map((dim, i) => (axes.has(i) ? 1 : dim)) : shape.filter((_, i) => !axes.has(i));
    return [{ type, shape: result }];
  };
}

function matMul(a: readonly Dim[], b: readonly Dim[]): Dim[] | undefined {
  const left = a.length === 1 ? [1, a[0]!] : a;
  const right = b.length === 1 ? [b[0]!, 1] : b;
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2));
  if (!batch) return undefined;
  return [
    ...batch,
    ...(a.length === 1 ? [] : [left[left.length - 2]!]),
    ...(b.length === 1 ? [] : [right[right.length - 1]!]),
  ];
}

/** Far above any real tensor's; the file says how long a shape is, and one of a billion entries is not a shape. */
const MAX_RANK = 64;

function reshape(site: InferenceSite): readonly ValueType[] {
  const { type, shape, ints } = x(site);
  const target = x(site, 1).ints ?? intsAttribute(site.node, 'shape');
  if (!target) {
    const rank = x(site, 1).shape?.[0];
    return [
      {
        type,
        shape:
          typeof rank === 'number' && rank <= MAX_RANK
            ? Array.from({ length: rank }, (_, i) => `?${site.node.output?.[0]}.${i}`)
            : undefined,
      },
    ];
  }
  const allowZero = intAttribute(site.node, 'allowzero', 0) === 1;
  const dims = target.map((dim, i) =>
    dim === 0 && !allowZero ? (shape?.[i] ?? `?${site.node.output?.[0]}.${i}`) : dim,
  );
  const free = dims.indexOf(-1);
  if (free >= 0) {
    const rest = product(dims.filter((_, i) => i !== free));
    const size = shape && rest !== 0 ? divideExactly(product(shape), rest) : undefined;
    dims[free] = size ?? `?${site.node.output?.[0]}.${free}`;
  }
  return [{ type, shape: dims, ints }];
}

/** Output size of a sliding window along one axis. */
function windowed(
  size: Dim,
  kernel: number,
  stride: number,
  dilation: number,
  before: number,
  after: number,
  ceil: boolean,
): Dim {
  const reach = dilation * (kernel - 1) + 1;
  if (typeof size !== 'number')
    return symbol(`win(${size},${kernel},${stride},${dilation},${before + after}${ceil ? ',ceil' : ''})`);
  const steps = (size + before + after - reach) / stride;
  const count = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
  // A last window that would lie in the padding alone is left out.
  return ceil && (count - 1) * stride >= size + before ? count - 1 : count;
}

function spatial(site: InferenceSite, kernel: readonly Dim[]): { size: (size: Dim, i: number) => Dim } | undefined {
  const n = kernel.length;
  if (!kernel.every((k) => typeof k === 'number')) return undefined;
  const strides = intsAttribute(site.node, 'strides') ?? new Array<number>(n).fill(1);
  const dilations = intsAttribute(site.node, 'dilations') ?? new Array<number>(n).fill(1);
  const pads = intsAttribute(site.node, 'pads') ?? new Array<number>(2 * n).fill(0);
  const auto = stringAttribute(site.node, 'auto_pad', 'NOTSET');
  const ceil = intAttribute(site.node, 'ceil_mode', 0) === 1;
  return {
    size: (size, i) => {
      if (auto.startsWith('SAME'))
        return typeof size === 'number' ? Math.ceil(size / strides[i]!) : symbol(`same(${size},${strides[i]})`);
      const [before, after] = auto === 'VALID' ? [0, 0] : [pads[i]!, pads[i + n]!];
      return windowed(size, kernel[i] as number, strides[i]!, dilations[i]!, before, after, ceil);
    },
  };
}

const conv: Rule = (site) => {
  const { type, shape } = x(site);
  const weight = x(site, 1).shape;
  const window = weight && spatial(site, weight.slice(2));
  if (!shape || !weight || !window) return [{ type }];
  return [{ type, shape: [shape[0]!, weight[0]!, ...shape.slice(2).map((size, i) => window.size(size, i))] }];
};

const convTranspose: Rule = (site) => {
  const { type, shape } = x(site);
  const weight = x(site, 1).shape;
  if (!shape || !weight) return [{ type }];
  const n = Math.max(0, shape.length - 2);
  const ones = new Array<number>(n).fill(1);
  const strides = intsAttribute(site.node, 'strides') ?? ones;
  const dilations = intsAttribute(site.node, 'dilations') ?? ones;
  const pads = intsAttribute(site.node, 'pads') ?? new Array<number>(2 * n).fill(0);
  const extra = intsAttribute(site.node, 'output_padding') ?? new Array<number>(n).fill(0);
  const sizes = shape.slice(2).map((size, i): Dim => {
    const kernel = weight[i + 2]!;
    if (typeof size !== 'number' || typeof kernel !== 'number') return `?${site.node.output?.[0]}.${i + 2}`;
    return (size - 1) * strides[i]! + extra[i]! + (kernel - 1) * dilations[i]! + 1 - pads[i]! - pads[i + n]!;
  });
  return [{ type, shape: [shape[0]!, multiply(weight[1]!, intAttribute(site.node, 'group', 1)), ...sizes] }];
};

const pool: Rule = (site) => {
  const { type, shape } = x(site);
  const window = spatial(site, intsAttribute(site.node, 'kernel_shape') ?? []);
  if (!shape || !window) return [{ type }];
  const result = [...shape.slice(0, 2), ...shape.slice(2).map((size, i) => window.size(size, i))];
  return [
    { type, shape: result },
    { type: 'int64', shape: result },
  ];
};

const globalPool: Rule = (site) => [{ type: x(site).type, shape: x(site).shape?.map((dim, i) => (i < 2 ? dim : 1)) }];

const gather: Rule = (site) => {
  const [{ type, shape, ints }, indices] = [x(site), x(site, 1)];
  if (!shape || !indices.shape) return [{ type }];
  const axis = axisOf(intAttribute(site.node, 'axis', 0), shape.length);
  const picked =
    ints && shape.length === 1 && indices.ints?.every((index) => typeof index === 'number')
      ? (indices.ints as number[]).map((index) => ints[axisOf(index, ints.length)]!)
      : undefined;
  const result = [...shape.slice(0, axis), ...indices.shape, ...shape.slice(axis + 1)];
  return [{ type, shape: result, ints: result.length <= 1 ? picked : undefined }];
};

const shapeOf: Rule = (site) => {
  const { shape } = x(site);
  if (!shape) return [{ type: 'int64' }];
  const [start, end] = [intAttribute(site.node, 'start', 0), intAttribute(site.node, 'end', shape.length)];
  const ints = shape.slice(start, end);
  return [{ type: 'int64', shape: [ints.length], ints }];
};

const concat: Rule = (site) => {
  const shapes = site.inputs.map((input) => input?.shape);
  const first = shapes[0];
  const type = x(site).type;
  if (!first || shapes.some((shape) => !shape)) return [{ type }];
  const axis = axisOf(intAttribute(site.node, 'axis', 0), first.length);
  const total = shapes.map((shape) => shape![axis]!).reduce(add);
  // A symbol in one input may be a number in another: prefer the number.
  const shape = first.map((dim, i) =>
    i === axis ? total : (shapes.map((each) => each![i]!).find((d) => typeof d === 'number') ?? dim),
  );
  const ints = site.inputs.every((input) => input?.ints) ? site.inputs.flatMap((input) => input!.ints!) : undefined;
  return [{ type, shape, ints: shape.length === 1 ? ints : undefined }];
};

const slice: Rule = (site) => {
  const { type, shape, ints } = x(site);
  if (!shape) return [{ type }];
  const list = (name: string, index: number): readonly Dim[] | undefined =>
    intsAttribute(site.node, name) ?? x(site, index).ints;
  const [starts, ends] = [list('starts', 1), list('ends', 2)];
  const axes = list('axes', 3) ?? starts?.map((_, i) => i);
  const steps = list('steps', 4) ?? starts?.map(() => 1);
  const result = [...shape];
  let kept = ints;
  if (!starts || !ends || !axes || !steps) {
    return [{ type, shape: shape.map((_, i) => `?${site.node.output?.[0]}.${i}`) }];
  }
  axes.forEach((each, i) => {
    const axis = axisOf(Number(each), shape.length);
    const range = sliceRange(shape[axis]!, starts[i]!, ends[i]!, Number(steps[i]!));
    result[axis] = range ? range.count : symbol(`slice(${shape[axis]},${starts[i]},${ends[i]},${steps[i]})`);
    const { count, from } = range ?? {};
    kept =
      kept && isStatic(shape) && typeof count === 'number' && from !== undefined
        ? along(
            kept,
            result,
            axis,
            shape[axis]!,
            Array.from({ length: count }, (_, k) => from + k * Number(steps[i]!)),
          )
        : undefined;
  });
  return [{ type, shape: result, ints: kept }];
};

/** Row-major contents with only `picked` positions of an axis; `shape` already has the new size there, `size` is the old. */
function along(
  values: readonly Dim[],
  shape: readonly Dim[],
  axis: number,
  size: number,
  picked: readonly number[],
): Dim[] {
  const inner = shape.slice(axis + 1).reduce<number>((a, b) => a * Number(b), 1);
  const outer = values.length / (size * inner) || 0;
  return Array.from({ length: outer }, (_, o) =>
    picked.flatMap((at) => values.slice((o * size + at) * inner, (o * size + at + 1) * inner)),
  ).flat();
}

const HUGE = 2 ** 31 - 1;

/** Elements that a slice takes of an axis, and the first of them where it is a number. */
function sliceRange(size: Dim, start: Dim, end: Dim, step: number): { count: Dim; from?: number } | undefined {
  if (!Number.isFinite(step) || step === 0) return undefined;
  if (typeof size === 'number' && typeof start === 'number' && typeof end === 'number') {
    const clamp = (value: number): number => {
      const index = value < 0 ? value + size : value;
      return step > 0 ? Math.min(Math.max(index, 0), size) : Math.min(Math.max(index, -1), size - 1);
    };
    const [from, to] = [clamp(start), end < -HUGE && step < 0 ? -1 : clamp(end)];
    return { count: Math.max(0, Math.ceil((to - from) / step)), from };
  }
  if (step !== 1) return undefined;
  const toEnd = end === size || (typeof end === 'number' && end >= HUGE);
  if (start === 0 && toEnd) return { count: size, from: 0 };
  if (toEnd && typeof start === 'number') return start > 0 ? { count: subtract(size, start) } : { count: -start };
  if (start === 0 && (typeof end === 'string' || end >= 0)) return { count: end, from: 0 };
  return undefined;
}

const squeeze: Rule = (site) => {
  const { type, shape, ints } = x(site);
  const axes = axesOf(site, 1);
  if (!shape || (!axes && site.inputs[1])) return [{ type }];
  const drop = new Set(
    axes?.map((axis) => axisOf(axis, shape.length)) ?? shape.flatMap((dim, i) => (dim === 1 ? [i] : [])),
  );
  return [{ type, shape: shape.filter((_, i) => !drop.has(i)), ints }];
};

const unsqueeze: Rule = (site) => {
  const { type, shape, ints } = x(site);
  const axes = axesOf(site, 1);
  if (!shape || !axes) return [{ type }];
  const rank = shape.length + axes.length;
  const inserted = new Set(axes.map((axis) => axisOf(axis, rank)));
  let next = 0;
  const result = Array.from({ length: rank }, (_, i) => (inserted.has(i) ? 1 : shape[next++]!));
  return [{ type, shape: result, ints }];
};

const split: Rule = (site) => {
  const { type, shape } = x(site);
  const outputs = site.node.output ?? [];
  if (!shape) return outputs.map(() => ({ type }));
  const axis = axisOf(intAttribute(site.node, 'axis', 0), shape.length);
  const sizes = intsAttribute(site.node, 'split') ?? x(site, 1).ints;
  const total = shape[axis]!;
  return outputs.map((name, i) => {
    const chunk = typeof total === 'number' ? Math.ceil(total / outputs.length) : undefined;
    const size = sizes?.[i] ?? (chunk === undefined ? `?${name}` : Math.min(chunk, (total as number) - i * chunk));
    return { type, shape: shape.map((dim, k) => (k === axis ? size : dim)) };
  });
};

const expand: Rule = (site) => {
  const { type, shape } = x(site);
  const target = x(site, 1).ints;
  return [{ type, shape: shape && target ? broadcast(shape, target) : undefined }];
};

const pad: Rule = (site) => {
  const { type, shape } = x(site);
  const pads = intsAttribute(site.node, 'pads') ?? x(site, 1).ints;
  if (!shape || !pads) return [{ type }];
  const axes = site.inputs[3]?.ints?.map(Number) ?? shape.map((_, i) => i);
  const result = [...shape];
  axes.forEach((each, i) => {
    const axis = axisOf(each, shape.length);
    result[axis] = add(add(result[axis]!, pads[i]!), pads[i + axes.length]!);
  });
  return [{ type, shape: result }];
};

const flatten: Rule = (site) => {
  const { type, shape } = x(site);
  if (!shape) return [{ type }];
  const axis = axisOf(intAttribute(site.node, 'axis', 1), shape.length);
  return [{ type, shape: [product(shape.slice(0, axis)), product(shape.slice(axis))] }];
};

const gemm: Rule = (site) => {
  const [a, b] = [x(site).shape, x(site, 1).shape];
  const type = x(site).type;
  if (!a || !b) return [{ type }];
  const rows = a[intAttribute(site.node, 'transA', 0) ? 1 : 0]!;
  const columns = b[intAttribute(site.node, 'transB', 0) ? 0 : 1]!;
  return [{ type, shape: [rows, columns] }];
};

const einsum: Rule = (site) => {
  const [left, right] = stringAttribute(site.node, 'equation', '').replaceAll(' ', '').split('->');
  const sizes = new Map<string, Dim>();
  (left ?? '').split(',').forEach((term, i) => {
    [...term].forEach((letter, k) => {
      const dim = x(site, i).shape?.[k];
      if (dim !== undefined && (sizes.get(letter) ?? 1) === 1) sizes.set(letter, dim);
    });
  });
  const shape = [...(right ?? '')].map((letter) => sizes.get(letter));
  const type = x(site).type;
  return [
    { type, shape: right !== undefined && shape.every((dim) => dim !== undefined) ? (shape as Dim[]) : undefined },
  ];
};

const constant: Rule = ({ node }) => {
  const value = attribute(node, 'value')?.t;
  if (value) return [constantType(value)];
  const int = attribute(node, 'value_int');
  if (int) return [{ type: 'int64', shape: [], ints: [Number(int.i)] }];
  const ints = intsAttribute(node, 'value_ints');
  if (ints) return [{ type: 'int64', shape: [ints.length], ints }];
  return attribute(node, 'value_float') ? [{ type: 'float32', shape: [] }] : [];
};

/** Type of an initializer or constant tensor; contents of small integer ones are known. */
export function constantType(proto: Parameters<typeof readTensor>[0]): ValueType {
  const type = dataTypeName(proto.dataType);
  const shape = proto.dims ?? [];
  const small = shape.length <= 1 && (shape[0] ?? 1) <= 64;
  const integer = type === 'int64' || type === 'int32' || type === 'bool';
  return { type, shape, ints: small && integer ? Array.from(readTensor(proto).data, Number) : undefined };
}

const constantOfShape: Rule = (site) => {
  const { ints: shape } = x(site);
  const proto = attribute(site.node, 'value')?.t;
  const value = proto ? readTensor(proto) : undefined;
  const type = value?.type ?? 'float32';
  const count = shape?.length === 1 && typeof shape[0] === 'number' && shape[0] <= 64 ? shape[0] : undefined;
  const ints =
    value && type === 'int64' && count !== undefined ? new Array<Dim>(count).fill(Number(value.data[0])) : undefined;
  return [{ type, shape, ints }];
};

const cast: Rule = (site) => [{ ...x(site), type: dataTypeName(intAttribute(site.node, 'to', 0)) }];

const where: Rule = (site) => {
  const shapes = [0, 1, 2].map((i) => x(site, i).shape);
  const shape = shapes.every((each) => each)
    ? shapes.reduce<Dim[] | undefined>((a, b) => a && broadcast(a, b!), [])
    : undefined;
  const [condition, yes, no] = [0, 1, 2].map((i) => x(site, i).ints);
  const at = (list: readonly Dim[], i: number): Dim => list[list.length === 1 ? 0 : i]!;
  const length = typeof shape?.[0] === 'number' ? shape[0] : 1;
  const ints =
    shape && shape.length <= 1 && condition?.every((c) => typeof c === 'number') && yes && no
      ? Array.from({ length }, (_, i) => (at(condition, i) ? at(yes, i) : at(no, i)))
      : undefined;
  return [{ type: x(site, 1).type, shape, ints }];
};

const range: Rule = (site) => {
  const [start, limit, delta] = [0, 1, 2].map((i) => x(site, i).ints?.[0]);
  const type = x(site).type;
  if (typeof start === 'number' && typeof limit === 'number' && typeof delta === 'number') {
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    return [
      {
        type,
        shape: [count],
        ints: count <= 64 ? Array.from({ length: count }, (_, i) => start + i * delta) : undefined,
      },
    ];
  }
  return [{ type, shape: [start === 0 && delta === 1 && limit !== undefined ? limit : `?${site.node.output?.[0]}`] }];
};

const transpose: Rule = (site) => {
  const { type, shape, ints } = x(site);
  const perm = intsAttribute(site.node, 'perm') ?? shape?.map((_, i) => shape.length - 1 - i);
  // Of a matrix the contents are kept too: exporters turn paddings around so.
  const turned = ints && isStatic(shape) && shape.length === 2 && perm![0] === 1;
  const [rows, columns] = (shape ?? []) as number[];
  return [
    {
      type,
      shape: shape && perm!.map((from) => shape[from]!),
      ints: turned ? ints.map((_, i) => ints[(i % rows!) * columns! + Math.floor(i / rows!)]!) : undefined,
    },
  ];
};

const tile: Rule = (site) => {
  const { type, shape } = x(site);
  const repeats = x(site, 1).ints;
  return [{ type, shape: shape && repeats && shape.map((dim, i) => multiply(dim, repeats[i]!)) }];
};

const normalization: Rule = (site) => {
  const { type, shape } = x(site);
  const axis = shape && axisOf(intAttribute(site.node, 'axis', -1), shape.length);
  const reduced = shape?.map((dim, i) => (i >= axis! ? 1 : dim));
  return [
    { type, shape },
    { type: 'float32', shape: reduced },
    { type: 'float32', shape: reduced },
  ];
};

const topK: Rule = (site) => {
  const { type, shape } = x(site);
  const k = x(site, 1).ints?.[0];
  const axis = shape && axisOf(intAttribute(site.node, 'axis', -1), shape.length);
  const result = shape && k !== undefined ? shape.map((dim, i) => (i === axis ? k : dim)) : undefined;
  return [
    { type, shape: result },
    { type: 'int64', shape: result },
  ];
};

const arg: Rule = (site) => {
  const { shape } = x(site);
  const axis = shape && axisOf(intAttribute(site.node, 'axis', 0), shape.length);
  const keep = intAttribute(site.node, 'keepdims', 1) === 1;
  return [{ type: 'int64', shape: shape?.flatMap((dim, i) => (i === axis ? (keep ? [1] : []) : [dim])) }];
};

const gatherNd: Rule = (site) => {
  const [{ type, shape }, indices] = [x(site), x(site, 1).shape];
  const batch = intAttribute(site.node, 'batch_dims', 0);
  const depth = indices?.at(-1);
  if (!shape || !indices || typeof depth !== 'number') return [{ type }];
  return [{ type, shape: [...indices.slice(0, -1), ...shape.slice(batch + depth)] }];
};

const resize: Rule = (site) => {
  const { type, shape } = x(site);
  const sizes = x(site, 3).ints;
  return [{ type, shape: sizes ?? shape?.map((_, i) => `?${site.node.output?.[0]}.${i}`) }];
};

const skipNormalization: Rule = (site) => [x(site), {}, {}, x(site)].map(({ type, shape }) => ({ type, shape }));

const oneHot: Rule = (site) => {
  const { shape: indices, ints } = x(site);
  const depth = x(site, 1).ints?.[0];
  const { type, ints: values } = x(site, 2);
  if (!indices) return [{ type }];
  const axis = axisOf(intAttribute(site.node, 'axis', -1), indices.length + 1);
  const shape = [...indices.slice(0, axis), depth ?? `?${site.node.output?.[0]}`, ...indices.slice(axis)];
  const isSmall = typeof depth === 'number' && depth <= 64 && axis === indices.length;
  const known = isSmall && values?.length === 2 && ints?.every((index) => typeof index === 'number');
  const row = (index: number): Dim[] =>
    Array.from({ length: Number(depth) }, (_, i) => values![axisOf(index, Number(depth)) === i ? 1 : 0]!);
  return [{ type, shape, ints: known ? (ints as readonly number[]).flatMap(row) : undefined }];
};

const depthToSpace: Rule = (site) => {
  const { type, shape } = x(site);
  const b = intAttribute(site.node, 'blocksize', 1);
  if (!shape) return [{ type }];
  const [n, c, h, w] = shape as [Dim, Dim, Dim, Dim];
  return [{ type, shape: [n, divideExactly(c, b * b) ?? `?${site.node.output?.[0]}`, multiply(h, b), multiply(w, b)] }];
};

const integerDivide = (a: Dim, b: Dim): Dim | undefined => {
  if (typeof a === 'number' && typeof b === 'number') return b === 0 ? undefined : Math.trunc(a / b);
  return divideExactly(a, b) ?? symbol(`(${a}/${b})`);
};

/** Rows by operator; contrib operators of com.microsoft share names with none of ONNX's that mean something else. */
const rules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    [
      'Neg', 'Abs', 'Exp', 'Log', 'Sqrt', 'Reciprocal', 'Erf', 'Tanh', 'Sigmoid', 'Softplus', 'Softsign', 'Relu',
      'LeakyRelu', 'Elu', 'Selu', 'Celu', 'HardSigmoid', 'HardSwish', 'Mish', 'Swish', 'Gelu', 'FastGelu', 'QuickGelu',
      'BiasGelu', 'Sin', 'Cos', 'Tan', 'Atan', 'Floor', 'Ceil', 'Round', 'Sign', 'Softmax', 'LogSoftmax', 'Clip',
      'Trilu', 'CumSum', 'Dropout', 'BatchNormalization', 'InstanceNormalization', 'GroupNormalization',
      'LpNormalization', 'ScatterND', 'ScatterElements', 'RotaryEmbedding', 'PRelu', 'ThresholdedRelu', 'Hardmax',
    ].map((op) => [op, same]), // prettier-ignore
  ),
  Identity: identity,
  Cast: cast,
  CastLike: (site) => [{ ...x(site), type: x(site, 1).type }],
  Not: (site) => [{ ...x(site), ints: x(site).ints?.map((value) => (value === 0 ? 1 : 0)) }],
  IsNaN: (site) => [{ type: 'bool', shape: x(site).shape }],
  IsInf: (site) => [{ type: 'bool', shape: x(site).shape }],
  Add: broadcasting(firstType, add),
  Sub: broadcasting(firstType, subtract),
  Mul: broadcasting(firstType, multiply),
  Div: broadcasting(firstType, integerDivide),
  Mod: broadcasting(firstType, (a, b) =>
    typeof a === 'number' && typeof b === 'number' ? ((a % b) + b) % b : undefined,
  ),
  Pow: elementwise,
  Min: broadcasting(firstType, (a, b) => (typeof a === 'number' && typeof b === 'number' ? Math.min(a, b) : undefined)),
  Max: broadcasting(firstType, (a, b) => (typeof a === 'number' && typeof b === 'number' ? Math.max(a, b) : undefined)),
  Sum: elementwise,
  Mean: elementwise,
  And: broadcasting(() => 'bool'),
  Or: broadcasting(() => 'bool'),
  Xor: broadcasting(() => 'bool'),
  Equal: comparison((a, b) => a === b),
  Less: comparison((a, b) => a < b),
  LessOrEqual: comparison((a, b) => a <= b),
  Greater: comparison((a, b) => a > b),
  GreaterOrEqual: comparison((a, b) => a >= b),
  Where: where,
  MatMul: (site) => {
    const [a, b] = [x(site).shape, x(site, 1).shape];
    return [{ type: x(site).type, shape: a && b && matMul(a, b) }];
  },
  Gemm: gemm,
  Einsum: einsum,
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: pool,
  AveragePool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  ReduceSum: reduction(true),
  ReduceMean: reduction(true),
  ReduceMax: reduction(true),
  ReduceMin: reduction(true),
  ReduceProd: reduction(true),
  ReduceL1: reduction(true),
  ReduceL2: reduction(true),
  ReduceSumSquare: reduction(true),
  ReduceLogSum: reduction(true),
  ReduceLogSumExp: reduction(true),
  ArgMax: arg,
  ArgMin: arg,
  Reshape: reshape,
  Flatten: flatten,
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Split: split,
  Slice: slice,
  Expand: expand,
  Tile: tile,
  Pad: pad,
  Gather: gather,
  GatherElements: (site) => [{ type: x(site).type, shape: x(site, 1).shape }],
  GatherND: gatherNd,
  OneHot: oneHot,
  Range: range,
  Shape: shapeOf,
  Size: (site) => {
    const { shape } = x(site);
    return [{ type: 'int64', shape: [], ints: shape && [product(shape)] }];
  },
  Constant: constant,
  ConstantOfShape: constantOfShape,
  LayerNormalization: normalization,
  RMSNormalization: normalization,
  SimplifiedLayerNormalization: normalization,
  SkipLayerNormalization: skipNormalization,
  SkipSimplifiedLayerNormalization: skipNormalization,
  TopK: topK,
  Resize: resize,
  DepthToSpace: depthToSpace,
  DequantizeLinear: (site) => [{ type: x(site, 1).type, shape: x(site).shape }],
  FusedMatMul: (site) => {
    const flip = (shape: readonly Dim[] | undefined, on: number): readonly Dim[] | undefined =>
      shape && on ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape;
    const a = flip(x(site).shape, intAttribute(site.node, 'transA', 0));
    const b = flip(x(site, 1).shape, intAttribute(site.node, 'transB', 0));
    return [{ type: x(site).type, shape: a && b && matMul(a, b) }];
  },
  FusedGemm: gemm,
};
