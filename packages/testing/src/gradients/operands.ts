/** @file Operands of operator checks, from their descriptions. */

import { float32, int64, type Tensor, type TensorData } from '@onnx-lora/sdk';
import { type Value, toHalf, toShorts, sizeOf } from '@onnx-lora/sdk/tasks';
import type { Random } from '@onnx-lora/sdk/data';
import type { Attributes } from '@onnx-lora/sdk/plugin';

/**
 * Distribution of an input's values: `any` is [−1.5, 1.5), `positive` [0.5, 2), `nonzero` ±[0.3, 1.5), `small` [−0.4,
 * 0.4), `large` [2, 3), `distinct` at least 0.3 apart and within 0.1 of a multiple of ½ (of ¼, for an odd number of
 * values).
 */
export type ValueDomain = 'any' | 'positive' | 'nonzero' | 'small' | 'large' | 'distinct';

/** An operand of the checked operator. A plain list of numbers is the shape of a float input over `any`. */
export type OperandSpec =
  | readonly number[]
  | { readonly shape: readonly number[]; readonly domain: ValueDomain }
  /** A float input with these values. */
  | { readonly floats: readonly number[]; readonly dims: readonly number[] }
  /** An int64 constant, one-dimensional by default. */
  | { readonly ints: readonly number[]; readonly dims?: readonly number[] }
  /** A one-dimensional float32 constant. */
  | { readonly scales: readonly number[] }
  /** An int64 input. */
  | { readonly fed: readonly number[]; readonly dims: readonly number[] }
  /** A bool input. */
  | { readonly bools: readonly number[]; readonly dims: readonly number[] }
  /** The same value as that input. */
  | { readonly same: number }
  /** An omitted optional input. */
  | undefined;

/** Element types of a check. */
export type FloatType = 'float16' | 'float32' | 'float64';

/** A check of an operator. */
export interface OperatorCase {
  /** Operands in the order of the operator's inputs. */
  readonly inputs: readonly OperandSpec[];
  /** Attributes of the node; the operator's defaults for missing ones. */
  readonly attributes?: Attributes;
  /** Opset; 18 by default. */
  readonly opset?: number;
  /** Domain of the operator, such as `com.microsoft`; ONNX's own by default. */
  readonly domain?: string;
  /** float64 by default; float32 is for operators without another type in the CPU provider. */
  readonly type?: 'float32' | 'float64';
  /** Number of outputs; 1 by default. */
  readonly outputs?: number;
  /** Outputs that the loss reads; all by default. */
  readonly read?: readonly number[];
}

/** A prepared operand: a fed value, or one with a constant tensor. */
export type PreparedOperand = Value | (Value & { readonly tensor: Tensor }) | undefined;

/** Prepares the operands of a case, named `x0`, `x1` … */
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

/** Draws a tensor. */
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
