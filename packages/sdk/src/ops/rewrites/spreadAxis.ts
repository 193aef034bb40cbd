/** @file Spread axes: ends computed in full, few positions in between standing for their neighbors. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { float32 } from '../../runtime/tensor.ts';
import { isElementwise, isReduction, isReshape } from '../axes.ts';
import { isKnownDomain } from '../domains.ts';
import { axisOf, reducedAxes } from '../schema.ts';
import type { EvenPositions } from './inputSizes.ts';

/** Refusal of a node whose positions are not computed. */
export const NOT_COMPUTED = 'its positions fall between those that are computed';
const ALL = 'it needs all positions of the axis that is spread';

/** An operand, and its shape with all positions. */
interface SpreadOperand {
  readonly old: readonly Dim[] | undefined;
  readonly now: ValueType;
}

/** A node with possibly spread operands. */
export interface SpreadSite {
  readonly node: NodeProto;
  readonly opset: number;
  readonly operands: readonly SpreadOperand[];
}

/** Axes on which two shapes differ. */
export function axesThatDiffer(old: readonly Dim[] = [], now: readonly Dim[] = old): number[] {
  return old.flatMap((size, axis) => (size === now[axis] ? [] : [axis]));
}

const axesOf = ({ old, now }: SpreadOperand): readonly number[] => axesThatDiffer(old, now.shape);

/** Operators that compute each position from itself or its neighbors. */
const local: ReadonlySet<string> = new Set([
  'Conv',
  'AveragePool',
  'MaxPool',
  'Gemm',
  'Expand',
  'Shape',
  'Size',
  'ConstantOfShape',
  'Slice',
]);
/** Operators that mix positions along one axis, or along it and all later ones. */
const along: ReadonlySet<string> = new Set(['Concat', 'Split', 'Gather']);
const behind: ReadonlySet<string> = new Set(['LayerNormalization', 'SimplifiedLayerNormalization', 'RMSNormalization']);

/** A spread axis, also after strided operators. Meant for padding, where neighbors differ little but in position. */
export class Spread {
  readonly #of: number;
  readonly #size: EvenPositions;
  /** Values that hold attention weights, which sum to 1 over all positions. */
  readonly #shares = new Set<string>();

  /** @param of number of positions of the whole axis */
  constructor(of: number, size: EvenPositions) {
    this.#of = of;
    this.#size = size;
  }

  /** The computed positions of an axis of size `old`; undefined if they are fractional. */
  positions(old: Dim | undefined, now: Dim | undefined): number[] | undefined {
    const found = this.#at(old, now);
    return found && Array.from({ length: Number(now) }, (_, i) => found.position(i));
  }

  /** For each position of an axis of size `old`, the index of its stand-in. */
  standIns(old: Dim | undefined, now: Dim | undefined): number[] | undefined {
    const found = this.#at(old, now);
    return found && Array.from({ length: Number(old) }, (_, i) => found.standIn(i));
  }

  /** Maps between the positions of an axis of `old` and those of `now`. */
  #at(old: Dim | undefined, now: Dim | undefined) {
    const [all, count] = [Number(old), Number(now)];
    const { first, spread, last } = this.#size;
    const [begin, few, end] = [first, spread, last].map((each) => (each * all) / this.#of) as [number, number, number];
    // A larger axis is several merged ones.
    if (all > this.#of || ![begin, few, end].every(Number.isInteger) || begin + few + end !== count) return undefined;
    const each = (all - begin - end) / few;
    return {
      position: (i: number): number => {
        if (i < begin) return i;
        return i < begin + few ? Math.floor(begin + (i - begin + 0.5) * each) : i + all - count;
      },
      standIn: (i: number): number => {
        if (i < begin) return i;
        return i < all - end ? begin + Math.floor((i - begin) / each) : i + count - all;
      },
    };
  }

  /** Whether positions of an axis are not among the computed ones. */
  isOff(old: readonly Dim[] | undefined, now: readonly Dim[] | undefined): boolean {
    return axesThatDiffer(old, now).some((axis) => !this.#at(old![axis], now?.[axis]));
  }

  /** The node for the spread positions, with weights where it sums over them; or why it is impossible. */
  weighted(g: GraphBuilder, site: SpreadSite): NodeProto | string {
    const { node, opset, operands } = site;
    const { opType = '', input = [], output = [] } = node;
    const few = operands.map(axesOf);
    if (few.every((axes) => axes.length === 0)) return node;
    if (!isKnownDomain(node)) return ALL;
    const hasShares = input.some((name) => this.#shares.has(name));
    if (isElementwise(node) || isReshape(node) || opType === 'Transpose' || opType === 'Dropout') {
      if (hasShares) for (const name of output) this.#shares.add(name);
      return node;
    }
    const [first] = operands as [SpreadOperand];
    const rank = first.now.shape?.length ?? 0;
    const ofOne = along.has(opType) || behind.has(opType) || opType === 'Softmax' ? axisOf(node, rank, opset) : -1;
    if (opType === 'Softmax') {
      if (!few[0]!.includes(ofOne)) return node;
      // Before opset 13, softmax covers all axes from `axis` on.
      if (opset < 13 && ofOne !== rank - 1) return ALL;
      const logs = this.#logs(g, first, ofOne);
      if (!logs) return NOT_COMPUTED;
      this.#shares.add(output[0]!);
      return { ...node, input: [g.Add({ name: input[0]!, ...first.now }, logs).name] };
    }
    if (opType === 'MatMul') {
      const rows = Math.max(0, (operands[1]!.now.shape?.length ?? 0) - 2);
      return (few[0]!.includes(rank - 1) || few[1]!.includes(rows)) && !hasShares ? ALL : node;
    }
    if (isReduction(node)) {
      const over = reducedAxes(node, rank, (i) => operands[i]?.now.ints as readonly number[] | undefined);
      return over?.every((axis) => !few[0]!.includes(axis)) ? node : ALL;
    }
    if (along.has(opType)) return few.some((axes) => axes.includes(ofOne)) ? ALL : node;
    if (behind.has(opType)) return few[0]!.some((axis) => axis >= ofOne) ? ALL : node;
    return local.has(opType) ? node : ALL;
  }

  /** Logarithms of the number of positions each stands for, along an axis. */
  #logs(g: GraphBuilder, { old, now: { type, shape } }: SpreadOperand, axis: number): Value | undefined {
    const standIns = this.standIns(old![axis], shape![axis]);
    if (!standIns) return undefined;
    const counts = new Float32Array(Number(shape![axis]));
    for (const i of standIns) counts[i]!++;
    const dims = [counts.length, ...shape!.slice(axis + 1).map(() => 1)];
    const logs = g.constant(float32(counts.map(Math.log), dims));
    return type === 'float16' ? g.Cast(logs, dataTypeNumber('float16')) : logs;
  }
}
