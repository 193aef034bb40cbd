/** @file Weights of com.microsoft.MatMulNBits: blocks of 2, 4 or 8 bits along each output's inputs. */

import type { NodeProto } from '../../graph/proto.ts';
import { intAttribute } from '../../graph/walk.ts';
import { attributeOf } from '../../ops/schema.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { differs, type ExplainedIndex } from '../mismatch.ts';
import { unsigned } from './codes.ts';
import { namedConstant, quantizedWeight } from './dequantizeLinear.ts';
import { floatType } from './plain.ts';
import type { StoredWeight } from './stored.ts';

/**
 * The weight `[out, in]` of a MatMulNBits node; undefined if permuted (`g_idx`).
 * @see https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
 */
export function nBitsWeight(node: NodeProto, index: ExplainedIndex): StoredWeight | undefined {
  const [codes, scales, zeros] = [1, 2, 3].map((i) => namedConstant(node.input?.[i], index));
  const bits = attributeOf(node, 'bits');
  const [width, out, block] = (['K', 'N', 'block_size'] as const).map((name) => intAttribute(node, name, 0));
  if (!codes || !scales || (node.input?.[3] && !zeros)) return undefined;
  if (node.input?.[4]) return differs(index, () => 'permutes the columns of its weight (g_idx)');
  if ((bits !== 2 && bits !== 4 && bits !== 8) || !width || !out || !block) return undefined;
  const blocks = Math.ceil(width / block);
  const rowBytes = (blocks * block * bits) / 8;
  const fits = sizeOf(codes.tensor.dims ?? []) === out * rowBytes && sizeOf(scales.tensor.dims ?? []) === out * blocks;
  // Zero points are packed like the codes, or floats of the scales' type.
  const areZerosRead = !zeros || zeros.tensor.dataType === 2 || floatType(zeros.tensor.dataType) !== undefined;
  if (!fits || !areZerosRead) return undefined;
  return quantizedWeight(codes.name, [], {
    codes,
    scales,
    ...(zeros ? { zeros } : {}),
    dims: [out, width],
    groupOf: (position) => Math.floor(position / width) * blocks + Math.floor((position % width) / block),
    packed: {
      type: unsigned(bits),
      codes: { rows: out, width, bytes: rowBytes },
      zeros: { rows: out, width: blocks, bytes: Math.ceil((blocks * bits) / 8) },
      storage: `uint${bits}, blocks of ${block}`,
    },
  });
}
