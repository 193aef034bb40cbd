/** @file A weight as a layer reads it, however the file stores it. */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** Changed tensors by name; all others are as in the file. */
export type ChangedTensors = ReadonlyMap<string, TensorProto>;

/** A constant tensor under the value name that nodes read: an initializer or a Constant's output. */
export interface NamedTensor {
  /** Name of the value. */
  readonly name: string;
  /** Its contents. */
  readonly tensor: TensorProto;
}

/** A range that a node slices out of a value along one dimension. */
export interface Cut {
  /** Name of the sliced value. */
  readonly value: string;
  /** The dimension, counted from 0. */
  readonly axis: number;
  /** First index. */
  readonly start: number;
  /** End index, exclusive. */
  readonly end: number;
}

/** A constant weight: plain floats, or computed from other constants, such as transposed or dequantized. */
export interface StoredWeight {
  /** Name of the value that the layer reads. */
  readonly name: string;
  /** Shape of that value. */
  readonly dims: readonly number[];
  /** Storage type: `float32`, `float16`, `int8`, `uint4` … */
  readonly storage: string;
  /** The tensors that store it: the numbers first, then scales and zero points. */
  readonly tensors: readonly [NamedTensor, ...NamedTensor[]];
  /** Nodes between the tensors and the layer, in graph order. */
  readonly chain: readonly NodeProto[];
  /** Nodes elsewhere that read the tensors for this weight only, such as the product of two scales. */
  readonly support: readonly NodeProto[];
  /** Whether the tensors hold other weights too, as packed queries, keys and values do; writes stay within the part. */
  readonly isPart: boolean;
  /** The slices that it was cut out by, the innermost last. */
  readonly cuts: readonly Cut[];
  /** The value's numbers in row-major order; a fresh array, unless the caller may not change it. */
  read(changed?: ChangedTensors): Float32Array;
  /** The tensors with these row-major numbers, under their old names, rounded or requantized to the storage type. */
  write(values: Float32Array, changed?: ChangedTensors): readonly NamedTensor[];
}

/** Defaults of a weight that the layer reads as stored. */
export const asStored: Pick<StoredWeight, 'chain' | 'support' | 'isPart' | 'cuts'> = {
  chain: [],
  support: [],
  isPart: false,
  cuts: [],
};

/** Number of elements. */
export function weightSize({ dims }: StoredWeight): number {
  return sizeOf(dims);
}

/** The tensor, with its changes if any. */
export function current({ name, tensor }: NamedTensor, changed: ChangedTensors | undefined): TensorProto {
  return changed?.get(name) ?? tensor;
}
