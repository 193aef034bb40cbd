/** @file Int8 products with inputs quantized per row: a scale per tensor would zero rows next to outliers. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { CONTRIB } from '../domains.ts';
import { attributeOf } from '../schema.ts';

/** `(integers − ZERO) ÷ STEPS · rows`. */
export interface RowIntegers {
  /** uint8, in the shape of the input. */
  readonly integers: Value;
  /** The largest magnitude of each row, `[…, 1]`. */
  readonly rows: Value;
}

const STEPS = 127;
const ZERO = 128;

/** Quantizes each row of x to uint8 by its largest magnitude. */
export function rowIntegers(g: GraphBuilder, x: Value): RowIntegers {
  const largest = g.Max(g.ReduceMax(x, [-1], true), g.Neg(g.ReduceMin(x, [-1], true)));
  // Avoids division by zero for rows of zeros.
  const rows = g.Max(largest, g.scalar(1e-30));
  return { integers: g.emit('QuantizeLinear', [g.Div(x, rows), ...scaleOf(g)]), rows };
}

/** The product with int8 codes `[in, out]` and a scale per output. Its last nodes are MatMulIntegerToFloat and Mul. */
export function rowProduct(g: GraphBuilder, { integers, rows }: RowIntegers, codes: Value, scales: Value): Value {
  const [scale, zeroPoint] = scaleOf(g);
  return g.Mul(g.emit('MatMulIntegerToFloat', [integers, codes, scale, scales, zeroPoint], {}, CONTRIB), rows);
}

function scaleOf(g: GraphBuilder): [scale: Value, zeroPoint: Value] {
  return [g.scalar(1 / STEPS), g.constant({ type: 'uint8', dims: [], data: Uint8Array.of(ZERO) })];
}

/** Whether a value is the row magnitude that {@link rowIntegers} computes of x. */
export function isLargestOfRows(rows: string, x: string, producer: (value: string) => NodeProto | undefined): boolean {
  const made = (name: string | undefined, opType: string): NodeProto | undefined => {
    const node = producer(name ?? '');
    return node?.opType === opType ? node : undefined;
  };
  const [high, low] = made(made(rows, 'Max')?.input?.[0], 'Max')?.input ?? [];
  const ends = [made(high, 'ReduceMax'), made(made(low, 'Neg')?.input?.[0], 'ReduceMin')];
  return ends.every((node) => node?.input?.[0] === x && attributeOf(node, 'keepdims') === 1);
}
