/** @file Which values of a graph keep the rows of a batch apart, so that the part of each row may be kept and used again. */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { attribute, readNames, subgraphs } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { type AxisOperand, type AxisSite, isReshape, traceAxis, type TracedAxis } from '../axes.ts';
import { isKnownDomain } from '../domains.ts';
import { type IndexOperand, RowIndices } from './rowIndices.ts';
import { attributeOf, axisOf, isRandom } from '../schema.ts';

/**
 * How a value depends on the batch. A number: the axis on which each row of the batch has its own part, `size ÷ rows` long
 * and in the batch's order, computed from this row alone and for each row alike. `same`: it depends on no input.
 * `uniform`: it depends on no input, and its axis 0 repeats the same part for each row of the batch.
 */
type RowAxis = number | 'same' | 'uniform';

/** An operand, and the rows in it. */
interface RowOperand extends AxisOperand {
  readonly axis: RowAxis;
  /** One number throughout. */
  readonly isFilled: boolean;
}

/** An output whose rows are looked for. */
interface RowSite extends Pick<AxisSite, 'node' | 'opset' | 'output' | 'y'> {
  readonly x: readonly (RowOperand | undefined)[];
  /** How often all rows come one after the other on their axis; 1 but where an axis before theirs was joined with it. */
  readonly outer: number;
}

/** Rows get mixed, or nothing is known of them, from this node on. */
export interface MixedRows {
  readonly mixedBy: string;
}

/**
 * How a value depends on the rows of the batch. `counting`: as with the rows on axis 0, but the number of the row within the
 * batch is added to its integers.
 */
export type RowState = RowAxis | 'counting' | MixedRows;

/** Operators that may repeat a constant for each row. */
const repeating: ReadonlySet<string> = new Set(['Expand', 'Tile']);

/** Operators that give one number throughout where their first operand is that. */
const filling: ReadonlySet<string> = new Set([
  'Expand', 'Tile', 'Slice', 'Gather', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Identity', 'Cast',
]); // prettier-ignore

/** What {@link RowStates} starts from. */
export interface RowStatesRequest {
  readonly types: ReadonlyMap<string, ValueType>;
  readonly opset: number;
  readonly initializers: readonly TensorProto[];
  /** Rows of the batch. */
  readonly rows: number;
  /** Graph inputs that have rows: the axis of each. */
  readonly rowInputs: ReadonlyMap<string, number>;
}

/**
 * Follows the rows of a batch from the graph inputs onwards, node by node. What has no rule counts as mixing them, so that
 * a value said to keep them apart does.
 */
export class RowStates {
  readonly #request: RowStatesRequest;
  readonly #states = new Map<string, RowState>();
  /** How often all rows come one after the other on their axis, where that is more than once. */
  readonly #outer = new Map<string, number>();
  /** Values that are one number throughout, as the states that recurrent layers begin with. */
  readonly #filled = new Set<string>();
  readonly #indices: RowIndices;

  constructor(request: RowStatesRequest) {
    const { rows, initializers, rowInputs } = request;
    this.#request = request;
    this.#indices = new RowIndices(rows);
    for (const [name, axis] of rowInputs) this.#states.set(name, axis);
    for (const tensor of initializers) this.#states.set(tensor.name ?? '', this.#constant(tensor.name ?? '', tensor));
  }

  /** Whether axis 0 of a value is cut into the rows' own parts, in their order. */
  isCutByRows(name: string): boolean {
    return this.of(name) === 0 && this.isWhole(name);
  }

  /** Whether all rows come but once on their axis. */
  isWhole(name: string): boolean {
    return !this.#outer.has(name);
  }

  /** The state of a value whose node has been visited, of a graph input or of an initializer. */
  of(name: string): RowState {
    return this.#states.get(name) ?? { mixedBy: `the input "${name}", which has no row for each example` };
  }

  /** Takes in a node; those it reads from must have been visited. */
  visit(node: NodeProto): void {
    const outputs = node.output ?? [];
    // The second input of a CastLike gives its type alone.
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
    // What happens in a branch or a loop is not followed.
    if (isRandom(node) || !isKnownDomain(node) || subgraphs(node).length > 0) return mixedBy(node);
    if (opType === 'Constant') return this.#constant(node.output![0]!, attribute(node, 'value')?.t);
    // Known sizes are those of the batch that the graph is built for.
    const isSize = opType === 'Shape' || opType === 'Size';
    if (isSize && isStatic(this.#request.types.get(node.input?.[0] ?? '')?.shape)) return 'same';
    const read = readNames(node).map((name) => this.of(name));
    const mixed = read.find((state) => typeof state === 'object');
    if (mixed) return mixed;
    const isPerRow = read.some((state) => typeof state === 'number' || state === 'counting');
    // A batch of one row cannot mix any.
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

  /** What the numbers of rows within integers tell of a node. */
  #counted(node: NodeProto, isPerRow: boolean): ReturnType<RowIndices['visit']> {
    const y = this.#type(node.output?.[0]);
    const x = (node.input ?? []).map((name): IndexOperand | undefined => {
      const { shape, type } = this.#type(name);
      const state = this.of(name);
      if (!name || !shape) return undefined;
      const isShared = state === 'uniform' || (state === 'same' && (shape.length === 0 || shape[0] === 1));
      return { name, shape, type, hasRows: state === 0 || state === 'counting', isShared };
    });
    // Rows elsewhere than on axis 0 are not followed.
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

  /** The row axis of each output; of constants, that of a batch in which they are repeated. */
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
    // What repeats itself for each row does not where all rows come more than once.
    const same =
      outer > 1 ? x.map((each) => each && { ...each, axis: each.axis === 'uniform' ? 'same' : each.axis }) : x;
    return shapes.map((shape, output) => {
      const found = shape && this.#axis({ node, opset, output, x: same as typeof x, y: shape, outer });
      if (!found || !this.#holdsRows(shape, found.axis, found.outer)) return undefined;
      if (found.outer > 1) this.#outer.set(node.output![output]!, found.outer);
      return found.axis;
    });
  }

  /** The axis of the rows in one output, and how often all of them come on it. */
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

  /** Whether constants are repeated for each row. */
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

  /** A type whose unknown sizes are NaN, which is equal to nothing. */
  #type(name = ''): Omit<ValueType, 'shape'> & { readonly shape?: readonly number[] | undefined } {
    const type = this.#request.types.get(name) ?? {};
    return { ...type, shape: type.shape?.map((dim) => (typeof dim === 'number' ? dim : NaN)) };
  }
}

/**
 * How often what is on the axis of channels comes there for each time before, where blocks of an image become channels in front
 * of them, or the other way round; undefined for other operators.
 */
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

/** Whether an operand gives each row of the axis its own part, or all the same one. */
function follows(operand: RowOperand | undefined, traced: TracedAxis): boolean {
  if (typeof operand?.axis === 'number') return operand.axis === traced;
  return !operand || operand.isFilled || traced === 'whole' || (traced === 0 && operand.axis === 'uniform');
}

/**
 * Rows stay as far apart in memory. So an axis has them that holds all rows as often as they come after what lies before it;
 * of each row it may hold more than before, or less.
 */
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
