/** @file One training graph for batches of all sizes, generalised from graphs for some of them. */

import { compareBytes } from '../../platform/bytes.ts';
import { isDeepStrictEqual } from '../../platform/system.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeName, dataTypeNumber } from '../../graph/dataType.ts';
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from '../../graph/proto.ts';
import { rawBytes, readTensor } from '../../graph/tensorData.ts';
import { readNames } from '../../graph/walk.ts';
import type { ValueType } from '../../graph/value.ts';
import { dropUnreadInitializers } from '../../ops/rewrites/simplify.ts';
import { inferNode } from '../../ops/infer.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { bytesOfAll } from '../forward/index.ts';
import { productsOf } from '../step/microBatch.ts';
import { type Growth, growthOf, type Probes, type SizeAxes, valueAt } from './dynamicSizes.ts';
import type { TrainingGraph } from './trainingGraph.ts';

/** A graph for batches of all sizes. */
export interface DynamicGraph {
  readonly graph: TrainingGraph;
  /** The graph's properties for a batch of these sizes. */
  readonly at: (sizes: readonly number[]) => GraphAtShape;
}

/** Properties of the graph for a batch. */
export interface GraphAtShape extends Pick<TrainingGraph, 'masks' | 'forwardBytes' | 'products'> {
  /** Whether all forward values are at most as large as in a probed graph; larger ones may be computed otherwise. */
  readonly isProven: boolean;
}

/**
 * Generalises graphs that are each for one batch. Undefined if they differ in more than integers that are polynomials
 * of the sizes, and constants that are prefixes of larger ones, such as a table of positions.
 * @param at the graphs for the corners of the probes, then for the checks
 * @param axes input axes of each size
 */
export function dynamicGraph(
  at: readonly TrainingGraph[],
  probes: Probes,
  axes: readonly SizeAxes[],
): DynamicGraph | undefined {
  const [first, largest] = [at[0]!, at[probes.corners.length]!];
  const opset = opsetOf(first.model);
  // Slice takes no computed ends in earlier opsets.
  const aligned = opset < 10 ? undefined : alignedNodes(at.map(({ model }) => model.graph!));
  const sizes = sizesOf(at, probes);
  const constants = aligned && constantsOf(aligned.constants, probes);
  if (!sizes || !constants) return undefined;
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'open/' });
  const numbers = constants.flatMap(({ growths }) => growths);
  const all = computed(g, numbers, probes, axes);
  let from = 0;
  for (const { name, type, dims, growths, isReciprocal, table } of constants) {
    const values = g.Slice(all, [from], [from + growths.length], [0]);
    from += growths.length;
    if (table)
      g.emit('Slice', [{ name: TABLE + name, type: dataTypeName(table.tensor.dataType)!, shape: table.tensor.dims! }, g.ints(table.axes.map(() => 0)), values, g.ints(table.axes)]); // prettier-ignore
    else if (type === 'int64') g.Reshape(values, dims);
    else {
      const count = g.Cast(g.Reshape(values, dims), dataTypeNumber(type!));
      if (isReciprocal) g.Div(1, count);
    }
    g.nodes.at(-1)!.output = [name];
  }
  const isReplaced = new Set(constants.map(({ name }) => name));
  const kept = [...aligned!.constants].flatMap(([name, [own]]) => (isReplaced.has(name) ? [] : [{ ...own, name }]));
  const tables = constants.flatMap(({ name, table }) => (table ? [{ ...table.tensor, name: `${TABLE}${name}` }] : []));
  const masks = new Set(first.masks.map(({ name }) => name));
  const { graph: own } = first.model;
  const graph = dropUnreadInitializers({
    ...own,
    node: [...g.nodes, ...aligned!.nodes],
    initializer: [...kept, ...tables, ...g.initializers],
    input: (own!.input ?? []).map((info) => opened(info, axes, masks)),
  });
  return { graph: { ...largest, model: { ...first.model, graph } }, at: sizes };
}

/** Name prefix of constants that each graph slices to its sizes. */
const TABLE = 'open/table/';

/** Nodes shared by all graphs, and the constants they read: one per graph. */
interface Aligned {
  readonly nodes: readonly NodeProto[];
  readonly constants: ReadonlyMap<string, readonly [TensorProto, ...TensorProto[]]>;
}

/** The nodes of all graphs, if alike. Constants' names may differ: equal values share one, at some sizes only. */
function alignedNodes(graphs: readonly GraphProto[]): Aligned | undefined {
  const known = graphs.map(({ initializer = [] }) => new Map(initializer.map((each) => [each.name ?? '', each])));
  const constants = new Map<string, readonly [TensorProto, ...TensorProto[]]>();
  const names = new Map<string, string>();
  const constantOf = (own: readonly string[]): string | undefined => {
    const key = own.join('\n');
    const tensors = own.map((name, i) => known[i]!.get(name));
    if (tensors.includes(undefined)) return undefined;
    const name = names.get(key) ?? (constants.has(own[0]!) ? `open/${names.size}/${own[0]}` : own[0]!);
    names.set(key, name);
    constants.set(name, tensors as [TensorProto, ...TensorProto[]]);
    return name;
  };
  const nodes: NodeProto[] = [];
  for (const [i, node] of (graphs[0]!.node ?? []).entries()) {
    const all = graphs.map((graph) => graph.node?.[i]);
    if (!all.every((other) => other === node || (other && isAlike(node, other)))) return undefined;
    const input: string[] = [];
    for (const [j, name] of (node.input ?? []).entries()) {
      const own = all.map((each) => each!.input![j]!);
      const read = known[0]!.has(name) ? constantOf(own) : own.every((each) => each === name) ? name : undefined;
      if (read === undefined) return undefined;
      input.push(read);
    }
    // Branches and bodies read constants by name.
    const inside = readNames(node).filter((name) => known[0]!.has(name) && !node.input?.includes(name));
    if (inside.some((name) => constantOf(graphs.map(() => name)) !== name)) return undefined;
    nodes.push({ ...node, input });
  }
  return graphs.some(({ node }) => node?.length !== nodes.length) ? undefined : { nodes, constants };
}

/** A constant that differs between batches. */
interface OpenConstant {
  readonly name: string;
  readonly type: ValueType['type'];
  readonly dims: readonly number[];
  /** Its values, or a table's sizes along these axes. */
  readonly growths: readonly Growth[];
  /** Whether the values are reciprocals. */
  readonly isReciprocal: boolean;
  readonly table?: { readonly tensor: TensorProto; readonly axes: readonly number[] };
}

/** Types that can hold computed integers. */
const countable: ReadonlySet<ValueType['type']> = new Set(['int64', 'int32', 'float32']);

/** The constants that differ; undefined if one cannot be generalised. */
function constantsOf(constants: Aligned['constants'], probes: Probes): OpenConstant[] | undefined {
  const found: OpenConstant[] = [];
  for (const [name, all] of constants) {
    const [{ dataType, dims = [] }] = all;
    const type = dataTypeName(dataType);
    if (all.every((each) => each === all[0] || isSame(each, all[0]))) continue;
    if (all.some((each) => each.dataType !== dataType || each.dims?.length !== dims.length)) return undefined;
    const axes = [...dims.keys()].filter((axis) => all.some((each) => each.dims![axis] !== dims[axis]));
    const tensor = all.reduce((largest, each) =>
      sizeOf(each.dims ?? []) > sizeOf(largest.dims ?? []) ? each : largest,
    );
    const isTable = axes.length > 0;
    if (isTable ? !all.every((each) => isBeginning(each, tensor)) : !countable.has(type)) return undefined;
    const numbers = all.map((each) => isTable ? axes.map((axis) => each.dims![axis]!) : Array.from<number | bigint, number>(readTensor(each).data, Number)); // prettier-ignore
    const grown = (of: (value: number) => number): (Growth | undefined)[] => numbers[0]!.map((_, i) => growthOf(probes, numbers.map((own) => of(own[i]!)))); // prettier-ignore
    const direct = grown((value) => value);
    // A mean multiplies by the reciprocal of a count.
    const isReciprocal = type === 'float32' && direct.includes(undefined);
    const growths = isReciprocal ? grown(countOf) : direct;
    if (growths.includes(undefined)) return undefined;
    found.push({ name, type, dims, growths: growths as Growth[], isReciprocal, ...(isTable ? { table: { tensor, axes } } : {}) }); // prettier-ignore
  }
  return found;
}

/** The integer whose float32 reciprocal this is, or NaN. */
function countOf(value: number): number {
  const count = Math.round(1 / value);
  return Math.fround(1 / count) === value ? count : NaN;
}

/** Generalises the graphs' sizes. */
function sizesOf(at: readonly TrainingGraph[], probes: Probes): DynamicGraph['at'] | undefined {
  const grown = (
    dimsOf: (graph: TrainingGraph) => readonly (readonly number[])[],
  ): ((sizes: readonly number[]) => number[][]) | undefined => {
    const all = at.map(dimsOf);
    const growths = all[0]!.map((dims, i) => dims.map((_, axis) => growthOf(probes, all.map((each) => each[i]?.[axis] ?? 0)))); // prettier-ignore
    if (growths.some((each) => each.includes(undefined))) return undefined;
    return (sizes) => growths.map((dims) => dims.map((each) => valueAt(each!, sizes)));
  };
  const [{ masks, forwardValues, productSizes }] = at as [TrainingGraph];
  const ofMasks = grown((graph) => graph.masks.map(({ dims }) => dims));
  const ofValues = grown((graph) => graph.forwardValues.map(({ dims }) => dims));
  const ofProducts = grown((graph) => graph.productSizes.map(({ rows }) => rows));
  if (!ofMasks || !ofValues || !ofProducts) return undefined;
  const most = forwardValues.map((_, i) => Math.max(...at.map((graph) => sizeOf(graph.forwardValues[i]!.dims))));
  return (sizes) => {
    const values = ofValues(sizes).map((dims, i) => ({ ...forwardValues[i]!, dims }));
    return {
      masks: ofMasks(sizes).map((dims, i) => ({ ...masks[i]!, dims })),
      forwardBytes: bytesOfAll(values),
      products: productsOf(ofProducts(sizes).map((rows, i) => ({ ...productSizes[i]!, rows }))),
      isProven: values.every(({ dims }, i) => sizeOf(dims) <= most[i]!),
    };
  };
}

/** Emits a list of numbers computed from the sizes of the inputs. */
function computed(
  g: GraphBuilder,
  numbers: readonly Growth[],
  { corners: [first = []] }: Probes,
  axes: readonly SizeAxes[],
): Value {
  const beyond = axes.map(([[input, axis]], i) =>
    g.Sub(g.Slice(g.Shape({ name: input, type: 'int64' }), [axis], [axis + 1], [0]), g.ints([first[i]!])),
  );
  return Array.from({ length: 2 ** axes.length }, (_, bits) => bits).reduce<Value | undefined>((sum, bits) => {
    const factors = numbers.map((each) => each.factors[bits]!);
    if (factors.every((factor) => factor === 0)) return sum;
    const own = beyond.filter((__, i) => (bits >> i) & 1).reduce<Value>((product, size) => g.Mul(size, product), g.ints(factors)); // prettier-ignore
    return sum ? g.Add(sum, own) : own;
  }, undefined)!;
}

function opened(info: ValueInfoProto, axes: readonly SizeAxes[], masks: ReadonlySet<string>): ValueInfoProto {
  const { tensorType } = info.type ?? {};
  const dims = tensorType?.shape?.dim ?? [];
  const isMask = masks.has(info.name ?? '');
  const own = new Map(axes.flatMap((each, i) => each.flatMap(([input, axis]) => (input === info.name ? [[axis, `size${i}`] as const] : [])))); // prettier-ignore
  if (!tensorType || (own.size === 0 && !isMask)) return info;
  const dim = dims.map((each, axis) => (isMask ? {} : own.has(axis) ? { dimParam: own.get(axis)! } : each));
  return { ...info, type: { tensorType: { ...tensorType, shape: { dim } } } };
}

function isAlike(one: NodeProto, other: NodeProto): boolean {
  return (
    one.opType === other.opType &&
    one.input?.length === other.input?.length &&
    isDeepStrictEqual(one.output, other.output) &&
    isDeepStrictEqual(one.attribute ?? [], other.attribute ?? [])
  );
}

function isSame(one: TensorProto, other: TensorProto): boolean {
  if (one.dataType !== other.dataType || one.dims?.join() !== other.dims?.join()) return false;
  const [a, b] = [rawBytes(one), rawBytes(other)];
  if (a && b) {
    if (a === b) return true;
    // Computed bytes derive from weights, and bytes of a file stay in place.
    if ('compute' in a || 'compute' in b) return 'compute' in a && 'compute' in b;
    if ('path' in a && 'path' in b) return a.path === b.path && a.offset === b.offset;
  }
  const [x, y] = [readTensor(one).data, readTensor(other).data];
  return compareBytes(new Uint8Array(x.buffer, x.byteOffset, x.byteLength), new Uint8Array(y.buffer, y.byteOffset, y.byteLength)) === 0; // prettier-ignore
}

/** Whether a tensor is a prefix of a larger one in all dimensions. */
function isBeginning(small: TensorProto, large: TensorProto): boolean {
  const [{ data, dims }, { data: all, dims: largeDims }] = [readTensor(small), readTensor(large)];
  if (dims.some((size, axis) => size > largeDims[axis]!)) return false;
  for (let i = 0; i < sizeOf(dims); i++) {
    let [left, place, step] = [i, 0, 1];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      place += (left % dims[axis]!) * step;
      left = Math.floor(left / dims[axis]!);
      step *= largeDims[axis]!;
    }
    if (data[i] !== all[place]) return false;
  }
  return true;
}
