/**
 * @file Products in integers of eight bits, as a file has them: what is multiplied is rounded at each run, each row by its own
 * largest magnitude, and the product multiplied by that again. With one scale for all rows, as `DynamicQuantizeLinear` has it,
 * those of small numbers would become nothing beside that of a token on which a model puts large ones.
 */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { CONTRIB } from '../domains.ts';
import { attributeOf } from '../schema.ts';

/** What stands for `(integers − ZERO) ÷ STEPS · rows`. */
export interface RowIntegers {
  /** uint8, of the shape of what was rounded. */
  readonly integers: Value;
  /** The largest magnitude of each row, `[…, 1]`. */
  readonly rows: Value;
}

const STEPS = 127;
const ZERO = 128;

/** x with each row divided by its largest magnitude, as integers of eight bits. What a row becomes depends on no other. */
export function rowIntegers(g: GraphBuilder, x: Value): RowIntegers {
  const largest = g.Max(g.ReduceMax(x, [-1], true), g.Neg(g.ReduceMin(x, [-1], true)));
  // Not exactly zero, so that rows of zeros stay zeros.
  const rows = g.Max(largest, g.scalar(1e-30));
  return { integers: g.emit('QuantizeLinear', [g.Div(x, rows), ...scaleOf(g)]), rows };
}

/** The product with integers `[in, out]` that have a scale for each output. Its last nodes are MatMulIntegerToFloat and Mul. */
export function rowProduct(g: GraphBuilder, { integers, rows }: RowIntegers, codes: Value, scales: Value): Value {
  const [scale, zeroPoint] = scaleOf(g);
  return g.Mul(g.emit('MatMulIntegerToFloat', [integers, codes, scale, scales, zeroPoint], {}, CONTRIB), rows);
}

function scaleOf(g: GraphBuilder): [scale: Value, zeroPoint: Value] {
  return [g.scalar(1 / STEPS), g.constant({ type: 'uint8', dims: [], data: Uint8Array.of(ZERO) })];
}

/** Whether a value is the largest magnitude of each row of x, as {@link rowIntegers} has it. */
export function isLargestOfRows(rows: string, x: string, producer: (value: string) => NodeProto | undefined): boolean {
  const made = (name: string | undefined, opType: string): NodeProto | undefined => {
    const node = producer(name ?? '');
    return node?.opType === opType ? node : undefined;
  };
  const [high, low] = made(made(rows, 'Max')?.input?.[0], 'Max')?.input ?? [];
  const ends = [made(high, 'ReduceMax'), made(made(low, 'Neg')?.input?.[0], 'ReduceMin')];
  return ends.every((node) => node?.input?.[0] === x && attributeOf(node, 'keepdims') === 1);
}
