/** @file Traces which values keep the rows of a batch independent, so that each row's part can be cached. */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { attribute, readNames, subgraphs } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { type AxisOperand, type AxisSite, isReshape, traceAxis, type TracedAxis } from '../axes.ts';
import { isKnownDomain } from '../domains.ts';
import { type IndexOperand, RowIndices } from './rowIndices.ts';
import { attributeOf, axisOf, isRandom } from '../schema.ts';

/**
 * How a value depends on the batch. A number: the axis split into parts of equal size, each computed alike from its
 * row. `same`: depends on no input. `uniform`: `same`, and axis 0 repeats for each row.
 */
type RowAxis = number | 'same' | 'uniform';

interface RowOperand extends AxisOperand {
  readonly axis: RowAxis;
  /** All elements are equal. */
  readonly isFilled: boolean;
}

interface RowSite extends Pick<AxisSite, 'node' | 'opset' | 'output' | 'y'> {
  readonly x: readonly (RowOperand | undefined)[];
  /** Repetitions of all rows on their axis; above 1 after a leading axis was merged into it. */
  readonly outer: number;
}

/** Rows are mixed, or unknown, from this node on. */
export interface MixedRows {
  readonly mixedBy: string;
}

/** State of a value. `counting`: rows on axis 0, with the row number added to its integers. */
export type RowState = RowAxis | 'counting' | MixedRows;

/** Operators that may repeat a constant for each row. */
const repeating: ReadonlySet<string> = new Set(['Expand', 'Tile']);

/** Operators that keep a constant-filled first operand constant-filled. */
const filling: ReadonlySet<string> = new Set([
  'Expand', 'Tile', 'Slice', 'Gather', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Identity', 'Cast',
]); // prettier-ignore

/** Settings of {@link RowStates}. */
export interface RowStatesRequest {
  readonly types: ReadonlyMap<string, ValueType>;
  readonly opset: number;
  readonly initializers: readonly TensorProto[];
  readonly rows: number;
  /** Batch axis of the graph inputs with rows. */
  readonly rowInputs: ReadonlyMap<string, number>;
}

/** Traces rows node by node. Operators without a rule count as mixing, so that independence is proven. */
export class RowStates {
  readonly #request: RowStatesRequest;
  readonly #states = new Map<string, RowState>();
  /** Repetitions above 1. */
  readonly #outer = new Map<string, number>();
  /** Constant-filled values, such as initial states of recurrent layers. */
  readonly #filled = new Set<string>();
  readonly #indices: RowIndices;

  constructor(request: RowStatesRequest) {
    const { rows, initializers, rowInputs } = request;
    this.#request = request;
    this.#indices = new RowIndices(rows);
    for (const [name, axis] of rowInputs) this.#states.set(name, axis);
    for (const tensor of initializers) this.#states.set(tensor.name ?? '', this.#constant(tensor.name ?? '', tensor));
  }

  /** Whether axis 0 of a value is split by rows, in batch order. */
  isCutByRows(name: string): boolean {
    return this.of(name) === 0 && this.isWhole(name);
  }

  isWhole(name: string): boolean {
    return !this.#outer.has(name);
  }

  /** State of a visited value, graph input or initializer. */
  of(name: string): RowState {
    return this.#states.get(name) ?? { mixedBy: `the input "${name}", without a row for each example` };
  }

  /** Visits a node, after those that it reads from. */
  visit(node: NodeProto): void {
    const outputs = node.output ?? [];
    // CastLike reads only the type of its second input.
    const states = this.#visit(
      node.opType === 'CastLike' ? { ...node, input: node.input!.slice(0, 1), opType: 'Cast' } : node,
    );
    const { opType = '', input: [first = ''] = [] } = node;
    if (opType === 'ConstantOfShape' || (filling.has(opType) && this.#isFilled(first))) this.#filled.add(outputs[0]!);
    outputs.forEach((name, i) => {
      if (name) this.#states.set(name, Array.isArray(states) ? (states[i] ?? mixedBy(node)) : states);
    });
  }

  #visit(node: NodeProto): RowState | readonly RowState[] {
    const { rows, opset } = this.#request;
    const { opType = '' } = node;
    // Subgraphs are not traced.
    if (isRandom(node) || !isKnownDomain(node) || subgraphs(node).length > 0) return mixedBy(node);
    if (opType === 'Constant') return this.#constant(node.output![0]!, attribute(node, 'value')?.t);
    // Static sizes are those of this batch.
    const isSize = opType === 'Shape' || opType === 'Size';
    if (isSize && isStatic(this.#request.types.get(node.input?.[0] ?? '')?.shape)) return 'same';
    const read = readNames(node).map((name) => this.of(name));
    const mixed = read.find((state) => typeof state === 'object');
    if (mixed) return mixed;
    const isPerRow = read.some((state) => typeof state === 'number' || state === 'counting');
    // A single row cannot be mixed.
    if (rows === 1) return isPerRow ? 0 : 'same';
    const counted = this.#counted(node, isPerRow);
    if (counted !== undefined) return [counted === 'rows' ? 0 : counted];
    if (read.includes('counting')) return mixedBy(node);
    const known = this.#axes(node, isPerRow, opset);
    if (isPerRow) return known?.map((axis) => axis ?? mixedBy(node)) ?? mixedBy(node);
    return (node.output ?? []).map((_, i) => (known?.[i] === 0 ? 'uniform' : 'same'));
  }

  #constant(name: string, tensor: TensorProto | undefined): RowState {
    return tensor && this.#request.rows > 1 ? this.#indices.addConstant({ ...tensor, name }) : 'same';
  }

  /** State from row numbers within integers. */
  #counted(node: NodeProto, isPerRow: boolean): ReturnType<RowIndices['visit']> {
    const y = this.#type(node.output?.[0]);
    const x = (node.input ?? []).map((name): IndexOperand | undefined => {
      const { shape, type } = this.#type(name);
      const state = this.of(name);
      if (!name || !shape) return undefined;
      const isShared = state === 'uniform' || (state === 'same' && (shape.length === 0 || shape[0] === 1));
      return { name, shape, type, hasRows: state === 0 || state === 'counting', isShared };
    });
    // Only rows on axis 0 are followed.
    const isElsewhere = (node.input ?? []).some(
      (name) => name && typeof this.of(name) === 'number' && !this.isCutByRows(name),
    );
    if (isElsewhere || !y.shape || x.some((operand, i) => !operand && node.input![i])) return undefined;
    if (isPerRow && (node.opType === 'ArgMax' || node.opType === 'ArgMin')) {
      const { shape } = x[0]!;
      this.#indices.addPositions(node.output![0]!, shape[axisOf(node, shape.length)] ?? Infinity);
      return undefined;
    }
    return this.#indices.visit(node, x, { shape: y.shape, type: y.type }, isPerRow);
  }

  /** The row axis of each output, also of constants repeated for a batch. */
  #axes(node: NodeProto, isPerRow: boolean, opset: number): (number | undefined)[] | undefined {
    const shapes = (node.output ?? []).map((name) => this.#type(name).shape);
    const [y] = shapes;
    if (!y) return undefined;
    if (node.opType === 'ConstantOfShape') return [this.#holdsRows(y, 0) ? 0 : undefined];
    const x = (node.input ?? []).map((name) => (name ? this.#operand(name, isPerRow) : undefined));
    if (x.some((operand, i) => !operand && node.input![i])) return undefined;
    const outers = new Set(
      node.input!.flatMap((name, i) => (typeof x[i]?.axis === 'number' ? [this.#outer.get(name) ?? 1] : [])),
    );
    const [outer] = outers;
    if (outer === undefined) return repeating.has(node.opType!) && this.#repeats(x, y) ? [0] : undefined;
    if (outers.size > 1) return undefined;
    // A value repeated per row does not match rows that occur several times.
    const same =
      outer > 1 ? x.map((each) => each && { ...each, axis: each.axis === 'uniform' ? 'same' : each.axis }) : x;
    return shapes.map((shape, output) => {
      const found = shape && this.#axis({ node, opset, output, x: same as typeof x, y: shape, outer });
      if (!found || !this.#holdsRows(shape, found.axis, found.outer)) return undefined;
      if (found.outer > 1) this.#outer.set(node.output![output]!, found.outer);
      return found.axis;
    });
  }

  /** The row axis of one output, and the repetitions on it. */
  #axis({ outer, ...site }: RowSite): { readonly axis: number; readonly outer: number } | undefined {
    const { node, x, y } = site;
    const { rows } = this.#request;
    if (isReshape(node)) return x.slice(1).every(isConstant) ? reshaped(x[0]!, y, rows, outer) : undefined;
    const blocks = x[0]?.axis === 1 ? blocksOf(node) : undefined;
    if (blocks !== undefined) {
      const times = outer * blocks;
      return Number.isInteger(times) ? { axis: 1, outer: times } : undefined;
    }
    const axis = y.findIndex((_, i) => {
      const traced = traceAxis({ ...site, axis: i, parts: rows });
      return traced && x.every((operand, at) => follows(operand, traced[at]!));
    });
    return axis < 0 ? undefined : { axis, outer };
  }

  #repeats([data, ...others]: readonly (RowOperand | undefined)[], y: readonly number[]): boolean {
    const { shape } = data!;
    return (
      this.#holdsRows(y, 0) &&
      others.every(isConstant) &&
      (y[0]! / (y.length > shape.length ? 1 : shape[0]!)) % this.#request.rows === 0
    );
  }

  #holdsRows(shape: readonly number[], axis: number, outer = 1): boolean {
    return (shape[axis] ?? 0) > 0 && shape[axis]! % (outer * this.#request.rows) === 0;
  }

  #isFilled(name: string): boolean {
    const isOne = this.of(name) === 'same' && sizeOf(this.#type(name).shape ?? [NaN]) === 1;
    return isOne || this.#filled.has(name);
  }

  #operand(name: string, isPerRow: boolean): RowOperand | undefined {
    const { shape, ints } = this.#type(name);
    const state = this.of(name) as RowAxis;
    const axis = state === 'uniform' && !isPerRow ? 0 : state;
    return shape && { shape, ints, axis, isFilled: this.#isFilled(name) };
  }

  /** Dynamic dimensions are NaN, which equals nothing. */
  #type(name = ''): Omit<ValueType, 'shape'> & { readonly shape?: readonly number[] | undefined } {
    const type = this.#request.types.get(name) ?? {};
    return { ...type, shape: type.shape?.map((dim) => (typeof dim === 'number' ? dim : NaN)) };
  }
}

/** Factor of repetitions on the channel axis in DepthToSpace and SpaceToDepth; undefined for other operators. */
function blocksOf(node: NodeProto): number | undefined {
  const size = attributeOf(node, 'blocksize') ** 2;
  if (node.opType === 'SpaceToDepth') return size;
  if (node.opType !== 'DepthToSpace') return undefined;
  return attributeOf(node, 'mode') === 'CRD' ? 1 : 1 / size;
}

function mixedBy({ name, opType }: NodeProto): MixedRows {
  return { mixedBy: `${opType} "${name}"` };
}

function isConstant(operand: RowOperand | undefined): boolean {
  return typeof operand?.axis !== 'number';
}

/** Whether an operand gives each row of the axis its own part, or the same to all. */
function follows(operand: RowOperand | undefined, traced: TracedAxis): boolean {
  if (typeof operand?.axis === 'number') return operand.axis === traced;
  return !operand || operand.isFilled || traced === 'whole' || (traced === 0 && operand.axis === 'uniform');
}

/** The row axis has as many elements before it as before the Reshape; its length per row may change. */
function reshaped(
  { shape, axis }: RowOperand,
  y: readonly number[],
  rows: number,
  outer: number,
): { readonly axis: number; readonly outer: number } | undefined {
  if (typeof axis !== 'number' || y.includes(0)) return undefined;
  const times = sizeOf(shape.slice(0, axis)) * outer;
  const found = y.findIndex((size, i) => {
    const own = times / sizeOf(y.slice(0, i));
    return Number.isInteger(own) && size % (own * rows) === 0;
  });
  return found < 0 ? undefined : { axis: found, outer: times / sizeOf(y.slice(0, found)) };
}
