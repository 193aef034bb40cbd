/** @file Memory of ONNX Runtime's packed weight copies. */

import { byteLength } from '../../graph/bytes.ts';
import type { GraphProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { allNodes, indexGraph } from '../../graph/walk.ts';
import { attributeOf } from '../../ops/schema.ts';
import { frozenWeight } from '../../ops/frozenWeight.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/**
 * Operators whose second operand is packed if it is a weight. MatMulNBits is not among them: without a copy of its 4 bits it
 * unpacks the whole weight to float32 at each run.
 */
const products = new Set([
  'MatMul',
  'Gemm',
  'FusedMatMul',
  'MatMulInteger',
  'MatMulIntegerToFloat',
  'DynamicQuantizeMatMul',
]);

/** Bytes of packed copies: one per weight and orientation. Forward and backward products use two; embeddings none. */
export function packedBytes(graph: GraphProto): number {
  const weights = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? '', tensor]));
  const index = indexGraph(graph);
  const ways = new Map<string, number>();
  for (const node of allNodes(graph)) {
    const [, name = ''] = products.has(node.opType ?? '') ? node.input! : [];
    const matrix = frozenWeight(name, index);
    const tensor = weights.get(matrix?.name ?? name);
    if (!tensor) continue;
    const way = `${(attributeOf(node, 'transB') === 1) !== (matrix?.isTransposed ?? false)} ${tensor.name}`;
    ways.set(way, matrix ? 4 * sizeOf(tensor.dims!) : byteLength(rawBytes(tensor) ?? new Uint8Array()));
  }
  return [...ways.values()].reduce((sum, bytes) => sum + bytes, 0);
}
