/** @file The test kit's check of gradient rules, for the operators of the table. */

import type { DifferentiableOp } from '../../packages/sdk/src/autodiff/rules.ts';
import {
  checkOperator,
  type Composite,
  type OperatorGradient,
  operatorGraphs,
  type OperatorGraphs,
} from '../../packages/testing/src/gradients/checkOperator.ts';
import type {
  FloatType,
  OperandSpec,
  OperatorCase,
  ValueDomain,
} from '../../packages/testing/src/gradients/operands.ts';

export type { Composite };
export type Domain = ValueDomain;
export type Operand = OperandSpec;

/** One check of one operator. */
export interface Case extends OperatorCase {
  /** Why the case is not run on WebGPU: what ONNX Runtime's kernel of the operator itself does wrong there. */
  readonly webgpu?: string;
}

/** Checks every gradient of `op`. */
export function gradcheck(op: DifferentiableOp | Composite, check: Case, seed = 1): Promise<OperatorGradient[]> {
  return checkOperator(op, check, { seed });
}

/** The graphs that a check runs. */
export function checkOf(
  op: DifferentiableOp | Composite,
  check: Case,
  type: FloatType = check.type ?? 'float64',
): OperatorGraphs {
  return operatorGraphs(op, check, type);
}
