/** @file Memory of ONNX Runtime's packed weight copies. */

import { byteLength } from '../../graph/bytes.ts';
import type { GraphProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { allNodes } from '../../graph/walk.ts';
import { attributeOf } from '../../ops/schema.ts';

/** Operators whose second operand is packed if it is a weight. */
const products = new Set([
  'MatMul',
  'Gemm',
  'FusedMatMul',
  'MatMulInteger',
  'MatMulIntegerToFloat',
  'DynamicQuantizeMatMul',
  'MatMulNBits',
]);

/** Bytes of packed copies: one per weight and orientation. Forward and backward products use two; embeddings none. */
export function packedBytes(graph: GraphProto): number {
  const weights = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? '', tensor]));
  const ways = new Map<string, number>();
  for (const node of allNodes(graph)) {
    const tensor = products.has(node.opType ?? '') ? weights.get(node.input?.[1] ?? '') : undefined;
    if (!tensor) continue;
    const way = `${attributeOf(node, 'transB')} ${tensor.name}`;
    ways.set(way, byteLength(rawBytes(tensor) ?? new Uint8Array()));
  }
  return [...ways.values()].reduce((sum, bytes) => sum + bytes, 0);
}
