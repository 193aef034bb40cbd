/** @file Weights behind DequantizeLinear: one scale per tensor, per slice of an axis, or per block. */

import { dataTypeName } from '../../graph/dataType.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { type GraphIndex } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { type CodeType, codeType, type PackedRows, readCodes, readRows, withCodes, withRows } from './codes.ts';
import { floatTensor, floatType } from './plain.ts';
import { dequantize, type Quantized, requantize } from './quantized.ts';
import { asStored, type ChangedTensors, current, type NamedTensor, type StoredWeight } from './stored.ts';
import { attributeOf, axisOf } from '../../ops/schema.ts';

/** The tensors of a quantized weight. */
export interface QuantizedTensors {
  readonly codes: NamedTensor;
  readonly scales: NamedTensor;
  /** Integer zero points; floats stay unchanged when the weight is written. */
  readonly zeros?: NamedTensor;
  readonly dims: readonly number[];
  readonly groupOf: (position: number) => number;
  readonly support?: readonly NodeProto[];
  /** Rows of packed codes and zero points; missing zero points are the middle of the range. */
  readonly packed?: {
    readonly type: CodeType;
    readonly codes: PackedRows;
    readonly zeros: PackedRows;
    readonly storage: string;
  };
}

/** The weight that a DequantizeLinear node makes of constants; undefined for activations and other integer types. */
export function dequantizedWeight(node: NodeProto, index: GraphIndex): StoredWeight | undefined {
  const [codes, scales, zeros] = [0, 1, 2].map((i) => namedConstant(node.input?.[i], index));
  if (!codes || !scales || (node.input?.[2] && !zeros)) return undefined;
  const dims = codes.tensor.dims ?? [];
  const axis = axisOf(node, dims.length);
  const groupOf = grouping(dims, scales.tensor.dims ?? [], axis, attributeOf(node, 'block_size'));
  return (
    groupOf && quantizedWeight(node.output![0]!, [node], { codes, scales, ...(zeros ? { zeros } : {}), dims, groupOf })
  );
}

/** A constant, by the name that nodes read. */
export function namedConstant(name: string | undefined, index: GraphIndex): NamedTensor | undefined {
  const tensor = name ? index.constants.get(name) : undefined;
  return tensor && { name: name!, tensor };
}

/** A weight of integers, scales and zero points; undefined if their types or sizes do not fit. */
export function quantizedWeight(
  name: string,
  chain: readonly NodeProto[],
  { codes, scales, zeros, dims, groupOf, support = [], packed }: QuantizedTensors,
): StoredWeight | undefined {
  const type = packed?.type ?? codeType(codes.tensor.dataType);
  const scaleType = floatType(scales.tensor.dataType);
  if (!type || !scaleType || sizeOf(dims) === 0) return undefined;
  const hasZeroCodes = zeros !== undefined && codeType(zeros.tensor.dataType) !== undefined;
  const integers = (tensor: TensorProto, rows: PackedRows | undefined): Int32Array | undefined =>
    rows ? readRows(tensor, rows, type) : readCodes(tensor);
  const state = (changed?: ChangedTensors): Quantized => {
    const scaleValues = readFloats(current(scales, changed));
    const now = zeros && current(zeros, changed);
    const given = now && (hasZeroCodes ? integers(now, packed?.zeros) : readFloats(now));
    return {
      codes: integers(current(codes, changed), packed?.codes) ?? new Int32Array(sizeOf(dims)),
      scales: scaleValues,
      zeros: given
        ? scaleValues.map((_, i) => given[given.length === 1 ? 0 : i]!)
        : new Float32Array(scaleValues.length).fill(packed ? 2 ** (type.bits - 1) : 0),
      groupOf,
      type,
      roundScale: (scale) => readFloats(floatTensor('', scaleType, [scale], []))[0]!,
      zerosAreFixed: !hasZeroCodes,
      ...(!packed && dims.length === 2 && scaleValues.length === dims[1] ? { columns: dims[1]! } : {}),
    };
  };
  return {
    ...asStored,
    name,
    dims,
    storage: packed?.storage ?? type.name,
    tensors: [codes, scales, ...(zeros ? [zeros] : [])],
    chain,
    support,
    read: (changed) => dequantize(state(changed)),
    write: (values, changed) => {
      const after = requantize(values, state(changed));
      // Padding codes mean 0.
      const fill = (row: number): number => Math.round(after.zeros[(row + 1) * packed!.zeros.width - 1]!);
      const written = packed
        ? withRows(codes.tensor, after.codes, packed.codes, type, fill)
        : withCodes(codes.tensor, after.codes);
      const zerosOf = (tensor: TensorProto): TensorProto =>
        packed
          ? withRows(tensor, after.zeros, packed.zeros, type)
          : withCodes(tensor, after.zeros.slice(0, sizeOf(tensor.dims ?? [])));
      return [
        { name: codes.name, tensor: written },
        { name: scales.name, tensor: floatTensor(scales.name, scaleType, after.scales, scales.tensor.dims ?? []) },
        ...(hasZeroCodes ? [{ name: zeros.name, tensor: zerosOf(zeros.tensor) }] : []),
      ];
    },
  };
}

function grouping(
  dims: readonly number[],
  scaleDims: readonly number[],
  axis: number,
  blockSize: number,
): ((position: number) => number) | undefined {
  if (sizeOf(scaleDims) === 1) return () => 0;
  const size = dims[axis];
  if (size === undefined) return undefined;
  const inner = sizeOf(dims.slice(axis + 1));
  if (scaleDims.length === 1 && blockSize === 0) {
    return scaleDims[0] === size ? (position) => Math.floor(position / inner) % size : undefined;
  }
  const blocks = Math.ceil(size / blockSize);
  if (blockSize < 1 || scaleDims.join() !== dims.with(axis, blocks).join()) return undefined;
  return (position) => {
    const row = Math.floor(position / inner);
    const [outer, at] = [Math.floor(row / size), row % size];
    return (outer * blocks + Math.floor(at / blockSize)) * inner + (position % inner);
  };
}

/** Whether the layer's own node reads the integer codes of its weight. */
export function readsCodes({ name, tensors: [codes] }: StoredWeight): boolean {
  return codes.name === name && codeType(codes.tensor.dataType) !== undefined;
}

/** Whether a constant's type can hold a weight's codes. */
export function holdsCodes({ dataType }: TensorProto): boolean {
  const name = dataTypeName(dataType);
  return name === 'int8' || name === 'uint8' || codeType(dataType)?.bits === 4 || codeType(dataType)?.bits === 2;
}
