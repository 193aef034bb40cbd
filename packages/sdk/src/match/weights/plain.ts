/** @file Weights stored as float32, float64, float16 or bfloat16; rounded on writing. */

import { dataTypeName } from '../../graph/dataType.ts';
import { toBfloat16, toHalf, toShorts } from '../../runtime/halfFloat.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { readFloats, tensorProto } from '../../graph/tensorData.ts';
import type { DataType } from '../../runtime/tensor.ts';
import { asStored, current, type NamedTensor, type StoredWeight } from './stored.ts';

/** A float constant; undefined for other element types. */
export function plainWeight(named: NamedTensor): StoredWeight | undefined {
  const type = floatType(named.tensor.dataType);
  if (!type) return undefined;
  const dims = named.tensor.dims ?? [];
  return {
    ...asStored,
    name: named.name,
    dims,
    storage: type,
    tensors: [named],
    read: (changed) => readFloats(current(named, changed)),
    write: (values) => [{ name: named.name, tensor: floatTensor(named.name, type, values, dims) }],
  };
}

/** The SDK's name of a weight's float type, by ONNX's number. */
export function floatType(dataType: number | undefined): DataType | undefined {
  const type = dataTypeName(dataType);
  return type === 'float32' || type === 'float16' || type === 'bfloat16' || type === 'float64' ? type : undefined;
}

/** Converts numbers to a tensor of any float type. */
export function floatTensor(
  name: string,
  type: DataType,
  values: ArrayLike<number>,
  dims: readonly number[],
): TensorProto {
  const data =
    type === 'float16'
      ? toShorts(values, toHalf)
      : type === 'bfloat16'
        ? toShorts(values, toBfloat16)
        : type === 'float64'
          ? Float64Array.from(values)
          : Float32Array.from(values);
  return tensorProto(name, { type, dims, data });
}
