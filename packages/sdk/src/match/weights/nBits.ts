/** @file Weights of com.microsoft.MatMulNBits: blocks of 2, 4 or 8 bits along the inputs of each output. */

import { readBytes } from '../../graph/bytes.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { rawBytes, readFloats } from '../../graph/tensorData.ts';
import { type GraphIndex, intAttribute } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { pack, unpack, unsigned } from './codes.ts';
import { namedConstant } from './dequantizeLinear.ts';
import { floatTensor, floatType } from './plain.ts';
import { dequantize, type Quantized, requantize } from './quantized.ts';
import { asStored, type ChangedTensors, current, type StoredWeight } from './stored.ts';
import { attributeOf } from '../../ops/schema.ts';

/**
 * The weight `[out, in]` of a MatMulNBits node; undefined for a permuted one (`g_idx`).
 *
 * @see https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
 */
export function nBitsWeight(node: NodeProto, index: GraphIndex): StoredWeight | undefined {
  const [codes, scales, zeros] = [1, 2, 3].map((i) => namedConstant(node.input?.[i], index));
  const bits = attributeOf(node, 'bits');
  const [width, out, block] = (['K', 'N', 'block_size'] as const).map((name) => intAttribute(node, name, 0));
  if (!codes || !scales || (node.input?.[3] && !zeros) || node.input?.[4]) return undefined;
  if ((bits !== 2 && bits !== 4 && bits !== 8) || !width || !out || !block) return undefined;
  const blocks = Math.ceil(width / block);
  const bytesPerBlock = (block * bits) / 8;
  const scaleType = floatType(scales.tensor.dataType);
  const fits = sizeOf(codes.tensor.dims ?? []) === out * blocks * bytesPerBlock;
  if (!scaleType || !fits || sizeOf(scales.tensor.dims ?? []) !== out * blocks) return undefined;
  const type = unsigned(bits);
  // Zero points are packed like the codes, or fractions of the scales' type.
  const zerosArePacked = zeros?.tensor.dataType === 2;
  if (zeros && !zerosArePacked && !floatType(zeros.tensor.dataType)) return undefined;
  const zeroBytes = Math.ceil((blocks * bits) / 8);

  const padded = blocks * block;
  const whole = (values: Int32Array): Int32Array => {
    const own = new Int32Array(out * width);
    for (let o = 0; o < out; o++) own.set(values.subarray(o * padded, o * padded + width), o * width);
    return own;
  };
  const bytesOf = (tensor: TensorProto): Uint8Array => readBytes(rawBytes(tensor) ?? new Uint8Array());
  const readZeros = (changed?: ChangedTensors): Float32Array => {
    if (!zeros) return new Float32Array(out * blocks).fill(2 ** (bits - 1));
    if (!zerosArePacked) return readFloats(current(zeros, changed));
    const bytes = bytesOf(current(zeros, changed));
    const result = new Float32Array(out * blocks);
    for (let o = 0; o < out; o++) {
      result.set(unpack(bytes.subarray(o * zeroBytes, (o + 1) * zeroBytes), blocks, type), o * blocks);
    }
    return result;
  };
  const state = (changed?: ChangedTensors): Quantized => ({
    codes: whole(unpack(bytesOf(current(codes, changed)), out * padded, type)),
    scales: readFloats(current(scales, changed)),
    zeros: readZeros(changed),
    groupOf: (position) => Math.floor(position / width) * blocks + Math.floor((position % width) / block),
    type,
    roundScale: (scale) => readFloats(floatTensor('', scaleType, [scale], []))[0]!,
    zerosAreFixed: !zerosArePacked,
  });
  const packedZeros = (values: Float32Array): Uint8Array => {
    const bytes = new Uint8Array(out * zeroBytes);
    for (let o = 0; o < out; o++) bytes.set(pack(values.subarray(o * blocks, (o + 1) * blocks), type), o * zeroBytes);
    return bytes;
  };
  return {
    ...asStored,
    name: codes.name,
    dims: [out, width],
    storage: `uint${bits}, blocks of ${block}`,
    tensors: [codes, scales, ...(zeros ? [zeros] : [])],
    read: (changed) => dequantize(state(changed)),
    write: (values, changed) => {
      const before = state(changed);
      const after = requantize(values, before);
      const paddedCodes = new Int32Array(out * padded);
      for (let o = 0; o < out; o++) {
        paddedCodes.fill(Math.round(after.zeros[o * blocks + blocks - 1]!), o * padded, (o + 1) * padded);
        paddedCodes.set(after.codes.subarray(o * width, (o + 1) * width), o * padded);
      }
      const scaleDims = scales.tensor.dims ?? [];
      return [
        { name: codes.name, tensor: replaced(codes.tensor, pack(paddedCodes, type)) },
        { name: scales.name, tensor: floatTensor(scales.name, scaleType, after.scales, scaleDims) },
        ...(zeros && zerosArePacked
          ? [{ name: zeros.name, tensor: replaced(zeros.tensor, packedZeros(after.zeros)) }]
          : []),
      ];
    },
  };
}

function replaced({ name, dims, dataType }: TensorProto, rawData: Uint8Array): TensorProto {
  return { ...(name === undefined ? {} : { name }), dims: [...(dims ?? [])], dataType: dataType!, rawData };
}
