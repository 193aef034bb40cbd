/** @file Traces integers that hold row numbers, such as `arange(batch) · length + position`. */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { dataTypeName } from '../../graph/dataType.ts';
import { rawBytes, readTensor } from '../../graph/tensorData.ts';
import type { ValueType } from '../../graph/value.ts';
import { attributeOf, axisOf } from '../schema.ts';

/** Integers of row i of axis 0: `slope · i` plus something between `min` and `max`. */
interface Part {
  readonly slope: number;
  readonly min: number;
  readonly max: number;
}

/** Known facts of an integer value. */
interface Facts {
  /** One part for all numbers, or one per position of the last axis; undefined for irregular rows. */
  readonly parts: readonly Part[] | undefined;
  readonly min: number;
  readonly max: number;
}

export interface IndexOperand {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: ValueType['type'];
  /** Whether axis 0 is split by rows. */
  readonly hasRows: boolean;
  /** Whether all rows read the same: the value has no row axis, or repeats on it. */
  readonly isShared: boolean;
}

/** A node's output: split by rows on axis 0 with or without row numbers, repeated for each row, or the same for all. */
export type IndexResult = 'rows' | 'counting' | 'uniform' | 'same';

const anything = { min: -Infinity, max: Infinity };
/** Most elements of a constant that is inspected. */
const LARGEST_READ = 1 << 16;
/** Longest tuple of an index. */
const LONGEST_TUPLE = 8;

/** Facts by value, for batches of `rows` rows. */
export class RowIndices {
  readonly #rows: number;
  readonly #facts = new Map<string, Facts>();

  constructor(rows: number) {
    this.#rows = rows;
  }

  /** Registers a constant, and tells whether it repeats per row, as position ids of a fixed batch do. */
  addConstant(tensor: TensorProto): 'uniform' | 'same' {
    const dims = tensor.dims ?? [];
    const size = dims.reduce((a, b) => a * b, 1);
    if (size === 0 || size > LARGEST_READ || !(rawBytes(tensor) ?? tensor.int64Data ?? tensor.int32Data)) return 'same';
    const type = dataTypeName(tensor.dataType);
    if (!type || !(isInteger(type) || this.#holdsRows(dims))) return 'same';
    const { data } = readTensor(tensor);
    // Only integers are followed further.
    if (!isInteger(type)) {
      const part = size / this.#rows;
      return data.every((value, i) => value === data[i % part]) ? 'uniform' : 'same';
    }
    const values = Array.from(data as BigInt64Array, Number);
    const [min, max] = bounds(values);
    const parts = this.#holdsRows(dims) ? this.#partsOf(values, dims) : [{ slope: 0, min, max }];
    this.#facts.set(tensor.name ?? '', { parts, min, max });
    return this.#constant(dims, parts);
  }

  /** State of a node's first output, if its indices tell more; `perRow` if any input has rows. */
  visit(
    node: NodeProto,
    x: readonly (IndexOperand | undefined)[],
    y: { readonly shape: readonly number[]; readonly type: ValueType['type'] },
    perRow: boolean,
  ): IndexResult | undefined {
    if (staysInRow(node, x, this.#rows, (operand) => this.#parts(operand))) return perRow ? 'rows' : 'uniform';
    if (!isInteger(y.type) || x.some((operand) => operand && !isInteger(operand.type))) return undefined;
    const facts = this.#compute(node, x as readonly IndexOperand[], y.shape);
    if (!facts) return undefined;
    this.#facts.set(node.output![0]!, facts);
    if (!perRow) return this.#constant(y.shape, facts.parts);
    if (!facts.parts || !this.#holdsRows(y.shape)) return undefined;
    return facts.parts.every(({ slope }) => slope === 0) ? 'rows' : 'counting';
  }

  /** Registers the result of an ArgMax or ArgMin over an axis of `size`. */
  addPositions(name: string, size: number): void {
    const range = { min: 0, max: size - 1 };
    this.#facts.set(name, { parts: [{ slope: 0, ...range }], ...range });
  }

  #constant(shape: readonly number[], parts: Facts['parts']): 'uniform' | 'same' {
    return this.#holdsRows(shape) && parts?.every(({ slope }) => slope === 0) ? 'uniform' : 'same';
  }

  #holdsRows([first]: readonly number[]): boolean {
    return first !== undefined && first > 0 && first % this.#rows === 0;
  }

  /** The parts of a constant, of all numbers or per position of the last axis. */
  #partsOf(values: readonly number[], dims: readonly number[]): readonly Part[] | undefined {
    const whole = progression(values, this.#rows);
    if (whole) return [whole];
    const width = dims.length > 1 ? dims.at(-1)! : 1;
    if (width === 1 || width > LONGEST_TUPLE) return undefined;
    const column = (i: number): readonly number[] => values.filter((_, at) => at % width === i);
    const tuple = Array.from({ length: width }, (_, i) => progression(column(i), this.#rows));
    return tuple.every((part) => part !== undefined) ? tuple : undefined;
  }

  #factsOf(operand: IndexOperand): Facts {
    const known = this.#facts.get(operand.name);
    if (known) return known;
    const isRegular = operand.hasRows || operand.isShared;
    return { parts: isRegular ? [{ slope: 0, ...anything }] : undefined, ...anything };
  }

  /** The parts of an operand on axis 0 of a result of `rank` dimensions. */
  #parts(operand: IndexOperand, rank = operand.shape.length): readonly Part[] | undefined {
    const { parts, min, max } = this.#factsOf(operand);
    if (operand.hasRows) return operand.shape.length === rank ? parts : undefined;
    return operand.shape.length < rank || operand.shape[0] === 1 ? [{ slope: 0, min, max }] : parts;
  }

  #compute(node: NodeProto, x: readonly IndexOperand[], shape: readonly number[]): Facts | undefined {
    const [first] = x;
    switch (node.opType) {
      case 'Range':
        return this.#range(x, shape);
      case 'Identity':
      case 'Cast':
        return this.#factsOf(first!);
      case 'Reshape':
      case 'Flatten':
      case 'Squeeze':
      case 'Unsqueeze':
        return this.#reshaped(first!, shape);
      case 'Expand': {
        const { min, max } = this.#factsOf(first!);
        const parts = this.#parts(first!, shape.length);
        return { parts: parts?.length === 1 || first!.shape.at(-1) === shape.at(-1) ? parts : undefined, min, max };
      }
      case 'Add':
      case 'Sub':
      case 'Mul':
        return this.#calculated(node.opType, x, shape);
      case 'Concat':
        return this.#tuple(node, x, shape);
      default:
        return undefined;
    }
  }

  #range([start, , delta]: readonly IndexOperand[], [length = 0]: readonly number[]): Facts | undefined {
    const [from, step] = [this.#factsOf(start!), this.#factsOf(delta!)];
    if (from.min !== from.max || step.min !== step.max || !Number.isInteger(length)) return undefined;
    const [min, max] = bounds([from.min, from.min + step.min * (length - 1)]);
    const count = length / this.#rows;
    if (!this.#holdsRows([length])) return { parts: [{ slope: 0, min, max }], min, max };
    const [lowest, highest] = bounds([from.min, from.min + step.min * (count - 1)]);
    return { parts: [{ slope: step.min * count, min: lowest, max: highest }], min, max };
  }

  /** Rows stay equal stretches of memory. */
  #reshaped(operand: IndexOperand, shape: readonly number[]): Facts {
    const { parts, min, max } = this.#factsOf(operand);
    const isWhole = !this.#holdsRows(shape);
    if (isWhole) return { parts: operand.hasRows ? undefined : [{ slope: 0, min, max }], min, max };
    const isKept = this.#holdsRows(operand.shape) && (parts?.length === 1 || operand.shape.at(-1) === shape.at(-1));
    return { parts: isKept ? parts : undefined, min, max };
  }

  #calculated(
    op: 'Add' | 'Sub' | 'Mul',
    x: readonly IndexOperand[],
    { length: rank }: readonly number[],
  ): Facts | undefined {
    const parts = x.map((operand) => this.#parts(operand, rank));
    const whole = x.map((operand): Part => ({ slope: 0, ...this.#factsOf(operand) }));
    const all = combine(op, whole[0]!, whole[1]!);
    if (!all) return undefined;
    const isSingle = parts.every((each) => each?.length === 1);
    const part = isSingle ? combine(op, parts[0]![0]!, parts[1]![0]!) : undefined;
    return { parts: part && [part], min: all.min, max: all.max };
  }

  /** Index tuples, joined on the last axis. */
  #tuple(node: NodeProto, x: readonly IndexOperand[], shape: readonly number[]): Facts | undefined {
    const rank = shape.length;
    const length = shape.at(-1)!;
    if (rank < 2 || axisOf(node, rank) !== rank - 1 || !(length <= LONGEST_TUPLE)) return undefined;
    const parts = x.map((operand) => {
      const own = this.#parts(operand);
      return own?.length === 1 ? new Array<Part>(operand.shape.at(-1)!).fill(own[0]!) : own;
    });
    const facts = x.map((each) => this.#factsOf(each));
    const min = facts.reduce((least, each) => Math.min(least, each.min), Infinity);
    const max = facts.reduce((most, each) => Math.max(most, each.max), -Infinity);
    const isKnown = parts.every((each) => each !== undefined);
    return { parts: isKnown ? parts.flat() : undefined, min, max };
  }
}

/** Whether a node reads or writes by indices that hold row numbers, and only within each row. */
function staysInRow(
  node: NodeProto,
  x: readonly (IndexOperand | undefined)[],
  rows: number,
  partsOf: (operand: IndexOperand) => readonly Part[] | undefined,
): boolean {
  const [data, indices, updates] = x;
  const hasEachRow = (operand: IndexOperand | undefined): boolean =>
    operand !== undefined && operand.shape[0]! % rows === 0 && (operand.hasRows || operand.isShared);
  if (!hasEachRow(data) || !indices || indices.shape[0]! % rows !== 0) return false;
  const parts = partsOf(indices);
  if (!parts) return false;
  switch (node.opType) {
    // Rows joined on one axis.
    case 'Gather': {
      const size = data!.shape[0]! / rows;
      const isWithin = parts.length === 1 && parts[0]!.slope === size && parts[0]!.min >= 0 && parts[0]!.max < size;
      return attributeOf(node, 'axis') === 0 && isWithin;
    }
    case 'GatherND':
      return attributeOf(node, 'batch_dims') === 0 && isTuple(data!, indices, parts, rows);
    case 'ScatterND':
      return hasEachRow(updates) && isTuple(data!, indices, parts, rows);
    default:
      return false;
  }
}

/** Whether the first index of a tuple is the row number and the others are the same for all rows. */
function isTuple(data: IndexOperand, indices: IndexOperand, parts: readonly Part[], rows: number): boolean {
  const length = indices.shape.at(-1)!;
  if (data.shape[0] !== rows || (parts.length !== length && length !== 1)) return false;
  return parts.every(({ slope, min, max }, i) => (i === 0 ? slope === 1 && min === 0 && max === 0 : slope === 0));
}

function combine(op: 'Add' | 'Sub' | 'Mul', a: Part, b: Part): Part | undefined {
  if (op === 'Mul') {
    const [factor, other] = isNumber(a) ? [a.min, b] : [b.min, a];
    if (!(isNumber(a) || isNumber(b)) || factor <= 0) return undefined;
    return { slope: factor * other.slope, min: factor * other.min, max: factor * other.max };
  }
  return op === 'Add'
    ? { slope: a.slope + b.slope, min: a.min + b.min, max: a.max + b.max }
    : { slope: a.slope - b.slope, min: a.min - b.max, max: a.max - b.min };
}

function isNumber({ slope, min, max }: Part): boolean {
  return slope === 0 && min === max;
}

/** Equal stretches of values, each offset from the previous by the same number; undefined otherwise. */
function progression(values: readonly number[], rows: number): Part | undefined {
  const length = values.length / rows;
  const slope = values[length]! - values[0]!;
  const isRegular = values.every((value, i) => value === values[i % length]! + slope * Math.floor(i / length));
  const [min, max] = bounds(values.slice(0, length));
  return isRegular ? { slope, min, max } : undefined;
}

function bounds(values: readonly number[]): [min: number, max: number] {
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

function isInteger(type: ValueType['type']): boolean {
  return type === 'int64' || type === 'int32';
}
