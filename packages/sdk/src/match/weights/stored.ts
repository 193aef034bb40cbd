/** @file A weight as a layer reads it, however the file stores it. */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** Tensors that were changed already, by name; a tensor that is not in it is as the file has it. */
export type ChangedTensors = ReadonlyMap<string, TensorProto>;

/** A constant tensor of a graph by the name of the value that nodes read: an initializer's, or a Constant node's output. */
export interface NamedTensor {
  /** Name of the value. */
  readonly name: string;
  /** Its contents. */
  readonly tensor: TensorProto;
}

/** A range that a node takes out of a value along one dimension. */
export interface Cut {
  /** Name of the value that is cut. */
  readonly value: string;
  /** The dimension, counted from 0. */
  readonly axis: number;
  /** First index of the range. */
  readonly start: number;
  /** The index after its last. */
  readonly end: number;
}

/** A constant weight: plain floats, or what nodes make of other constants, such as a transpose or a dequantisation. */
export interface StoredWeight {
  /** Name of the value that the layer reads. */
  readonly name: string;
  /** Shape of that value. */
  readonly dims: readonly number[];
  /** How the numbers are stored: `float32`, `float16`, `int8`, `uint4` … */
  readonly storage: string;
  /** The tensors that hold it, the one with the numbers first, scales and zero points behind it. */
  readonly tensors: readonly [NamedTensor, ...NamedTensor[]];
  /** Nodes between the tensors and the layer, in graph order. */
  readonly chain: readonly NodeProto[];
  /** Nodes elsewhere that read the tensors for this weight alone, such as the product of two scales. */
  readonly support: readonly NodeProto[];
  /**
   * Whether the tensors hold other weights too, as a packed weight of queries, keys and values does. Each is then written
   * into its own part.
   */
  readonly isPart: boolean;
  /** Where it was cut out, the innermost cut last. */
  readonly cuts: readonly Cut[];
  /** The value's numbers in row-major order. A fresh array, unless the caller may not change it. */
  read(changed?: ChangedTensors): Float32Array;
  /**
   * The tensors that hold these numbers instead, under their old names. Rounded where the storage is narrower; a quantised
   * weight is quantised anew in the way it was.
   *
   * @param values as many as `dims` say, in row-major order
   */
  write(values: Float32Array, changed?: ChangedTensors): readonly NamedTensor[];
}

/** What holds of a weight that the layer reads as it is stored. */
export const asStored: Pick<StoredWeight, 'chain' | 'support' | 'isPart' | 'cuts'> = {
  chain: [],
  support: [],
  isPart: false,
  cuts: [],
};

/** How many numbers a weight has. */
export function weightSize({ dims }: StoredWeight): number {
  return sizeOf(dims);
}

/** A tensor as it is now. */
export function current({ name, tensor }: NamedTensor, changed: ChangedTensors | undefined): TensorProto {
  return changed?.get(name) ?? tensor;
}
