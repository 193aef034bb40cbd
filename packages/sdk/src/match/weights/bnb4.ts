/** @file Weights of com.microsoft.MatMulBnb4: bitsandbytes' 4-bit floats, in blocks with an absolute maximum each. */

import { attributeOf } from '../../ops/schema.ts';
import { readBytes } from '../../graph/bytes.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { rawBytes, readFloats } from '../../graph/tensorData.ts';
import { type GraphIndex, intAttribute } from '../../graph/walk.ts';
import { bnb4Numbers } from '../../ops/expand/quantized/blockwise.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { namedConstant } from './dequantizeLinear.ts';
import { floatTensor, floatType } from './plain.ts';
import { asStored, type ChangedTensors, current, type StoredWeight } from './stored.ts';

/**
 * The weight `[out, in]` of a MatMulBnb4 node: each code's number times its block's absolute maximum.
 * @see https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulBnb4
 */
export function bnb4Weight(node: NodeProto, index: GraphIndex): StoredWeight | undefined {
  const [codes, scales] = [1, 2].map((i) => namedConstant(node.input?.[i], index));
  const [width, out, block] = (['K', 'N', 'block_size'] as const).map((name) => intAttribute(node, name, 0));
  const numbers = bnb4Numbers(attributeOf(node, 'quant_type'));
  if (!codes || !scales || !numbers || !width || !out || !block) return undefined;
  if (attributeOf(node, 'transB') !== 1) return undefined;
  const count = out * width;
  const blocks = Math.ceil(count / block);
  const scaleType = floatType(scales.tensor.dataType);
  const fits = sizeOf(codes.tensor.dims ?? []) === Math.ceil(count / 2) && sizeOf(scales.tensor.dims ?? []) === blocks;
  if (!scaleType || !fits) return undefined;
  const read = (changed?: ChangedTensors): Float32Array => {
    const bytes = readBytes(rawBytes(current(codes, changed)) ?? new Uint8Array());
    const largest = readFloats(current(scales, changed));
    // The high nibble comes first.
    return Float32Array.from({ length: count }, (_, i) => {
      const code = i % 2 === 0 ? bytes[i >> 1]! >> 4 : bytes[i >> 1]! & 15;
      return numbers[code]! * largest[Math.floor(i / block)]!;
    });
  };
  return {
    ...asStored,
    name: codes.name,
    dims: [out, width],
    storage: `4-bit floats, blocks of ${block}`,
    tensors: [codes, scales],
    read,
    write: (values, changed) => {
      const before = read(changed);
      const largest = readFloats(current(scales, changed)).slice();
      for (let at = 0; at < blocks; at++) {
        const [start, end] = [at * block, Math.min((at + 1) * block, count)];
        const own = values.subarray(start, end);
        // An unchanged block keeps its maximum, which its numbers need not reach.
        if (own.some((value, i) => value !== before[start + i]))
          largest[at] = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      }
      const { dims = [] } = scales.tensor;
      const rounded = floatTensor(scales.name, scaleType, largest, dims);
      const stored = readFloats(rounded);
      const bytes = new Uint8Array(Math.ceil(count / 2));
      for (let i = 0; i < count; i++) {
        const scale = stored[Math.floor(i / block)]!;
        const code = nearest(scale === 0 ? 0 : values[i]! / scale, numbers);
        bytes[i >> 1]! |= i % 2 === 0 ? code << 4 : code;
      }
      return [
        {
          name: codes.name,
          tensor: { name: codes.name, dims: codes.tensor.dims ?? [], dataType: codes.tensor.dataType!, rawData: bytes },
        },
        { name: scales.name, tensor: rounded },
      ];
    },
  };
}

function nearest(value: number, numbers: readonly number[]): number {
  let best = 0;
  for (let code = 1; code < numbers.length; code++)
    if (Math.abs(numbers[code]! - value) < Math.abs(numbers[best]! - value)) best = code;
  return best;
}
