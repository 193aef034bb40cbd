/** @file What an operator under test is fed: shapes and values as they are written down, made into tensors. */

import { float32, int64, type Tensor, type TensorData } from '@onnx-lora/sdk';
import { type Value, toHalf, toShorts, sizeOf } from '@onnx-lora/sdk/tasks';
import type { Random } from '@onnx-lora/sdk/data';
import type { Attributes } from '@onnx-lora/sdk/plugin';

/**
 * Where an input's values are drawn from: `any` is [−1.5, 1.5), `positive` [0.5, 2), `nonzero` 0.3 to 1.5 away from zero on
 * either side, `small` [−0.4, 0.4), `large` [2, 3), `distinct` values that are at least 0.3 apart and less than 0.1 away
 * from a multiple of ½ (of ¼, where their number is odd).
 */
export type ValueDomain = 'any' | 'positive' | 'nonzero' | 'small' | 'large' | 'distinct';

/** An operand of the operator under test. A plain list of numbers is the shape of a float input over `any`. */
export type OperandSpec =
  | readonly number[]
  | { readonly shape: readonly number[]; readonly domain: ValueDomain }
  /** A float input with these values. */
  | { readonly floats: readonly number[]; readonly dims: readonly number[] }
  /** An int64 constant that the graph knows, one-dimensional unless told otherwise. */
  | { readonly ints: readonly number[]; readonly dims?: readonly number[] }
  /** A one-dimensional float32 constant that the graph knows. */
  | { readonly scales: readonly number[] }
  /** An int64 tensor that is only known at run time. */
  | { readonly fed: readonly number[]; readonly dims: readonly number[] }
  /** A condition, only known at run time. */
  | { readonly bools: readonly number[]; readonly dims: readonly number[] }
  /** The same value as that input. */
  | { readonly same: number }
  /** An optional input that is left out. */
  | undefined;

/** The element types that a check can be run in. */
export type FloatType = 'float16' | 'float32' | 'float64';

/** One check of one operator. */
export interface OperatorCase {
  /** The operands, in the order of the operator's inputs. */
  readonly inputs: readonly OperandSpec[];
  /** Attributes of the node; those that are missing have the operator's defaults. */
  readonly attributes?: Attributes;
  /** 18 unless told otherwise. */
  readonly opset?: number;
  /** Domain of the operator, such as `com.microsoft`; ONNX's own unless told otherwise. */
  readonly domain?: string;
  /** float64 unless told otherwise: float32 is for operators that the CPU provider computes in nothing else. */
  readonly type?: 'float32' | 'float64';
  /** How many outputs the node has; 1 unless told otherwise. */
  readonly outputs?: number;
  /** Outputs that the loss reads; all unless told otherwise. */
  readonly read?: readonly number[];
}

/** An operand made ready: a value that is fed, or one with the tensor that the graph holds. */
export type PreparedOperand = Value | (Value & { readonly tensor: Tensor }) | undefined;

/** Values for the inputs of a case, by the names `x0`, `x1` … */
export function operands(
  inputs: readonly OperandSpec[],
  type: FloatType,
  random: Random,
): { readonly operands: PreparedOperand[]; readonly feeds: Record<string, Tensor> } {
  const feeds: Record<string, Tensor> = {};
  const prepared: PreparedOperand[] = [];
  inputs.forEach((operand, i) => {
    const name = `x${i}`;
    const fed = (tensor: Tensor): Value => {
      feeds[name] = tensor;
      return { name, type: tensor.type, shape: tensor.dims };
    };
    if (operand === undefined) prepared.push(undefined);
    else if ('same' in operand) prepared.push(prepared[operand.same]);
    else if ('ints' in operand)
      prepared.push({ name, tensor: int64(operand.ints, operand.dims ?? [operand.ints.length]) });
    else if ('scales' in operand) prepared.push({ name, tensor: float32(operand.scales, [operand.scales.length]) });
    else if ('fed' in operand) prepared.push(fed(int64(operand.fed, operand.dims)));
    else if ('bools' in operand)
      prepared.push(fed({ type: 'bool', dims: operand.dims, data: Uint8Array.from(operand.bools) }));
    else if ('floats' in operand)
      prepared.push(fed({ type, dims: operand.dims, data: floatsOf(type, operand.floats) }));
    else if ('shape' in operand) prepared.push(fed(randomTensor(type, operand.shape, operand.domain, random)));
    else prepared.push(fed(randomTensor(type, operand, 'any', random)));
  });
  return { operands: prepared, feeds };
}

/** A tensor of values drawn from a domain. */
export function randomTensor(type: FloatType, dims: readonly number[], domain: ValueDomain, random: Random): Tensor {
  const size = sizeOf(dims);
  const order = random.permutation(size);
  const values = order.map((place) => {
    const u = random.uniform(-1, 1);
    if (domain === 'any') return 1.5 * u;
    if (domain === 'positive') return 1.25 + 0.75 * u;
    if (domain === 'small') return 0.4 * u;
    if (domain === 'large') return 2.5 + 0.5 * u;
    if (domain === 'nonzero') return Math.sign(u || 1) * (0.3 + 1.2 * Math.abs(u));
    return place * 0.5 - size / 4 + 0.1 * u;
  });
  return { type, dims, data: floatsOf(type, values) };
}

function floatsOf(type: FloatType, values: readonly number[]): TensorData {
  if (type === 'float16') return toShorts(values, toHalf);
  return type === 'float64' ? Float64Array.from(values) : Float32Array.from(values);
}
