/** @file The frozen weight behind an operand, which nodes may widen and turn. */

import { dataTypeName, dataTypeNumber } from '../graph/dataType.ts';
import type { NodeProto, TensorProto } from '../graph/proto.ts';
import { type GraphIndex, intAttribute, intsAttribute } from '../graph/walk.ts';
import { isStandard } from './domains.ts';

/** A constant as an operand reads it. */
export interface FrozenWeight {
  /** Name of its value. */
  readonly name: string;
  readonly weight: TensorProto;
  /** Whether it is stored in 16 bits, and cast to float32 for the operand. */
  readonly isWidened: boolean;
  /** For a matrix, whether the operand is its transpose; false for other ranks. */
  readonly isTransposed: boolean;
  /** The nodes between the constant and the operand, in graph order. */
  readonly chain: readonly NodeProto[];
}

const FLOAT32 = dataTypeNumber('float32');

/**
 * The constant of float32 numbers behind an operand: direct, behind a Cast from 16 bits, for a matrix also behind
 * Transposes.
 */
export function frozenWeight(
  operand: string,
  { constants, producer }: Pick<GraphIndex, 'constants' | 'producer'>,
): FrozenWeight | undefined {
  const chain: NodeProto[] = [];
  let name = operand;
  for (let node = producer.get(name); node && !constants.has(name); node = producer.get(name)) {
    const isCast = node.opType === 'Cast' && intAttribute(node, 'to', 0) === FLOAT32;
    if (!isStandard(node.domain) || (!isCast && node.opType !== 'Transpose')) return undefined;
    chain.unshift(node);
    name = node.input![0]!;
  }
  const weight = constants.get(name);
  const isMatrix = weight?.dims?.length === 2;
  const [casts, transposes] = ['Cast', 'Transpose'].map((op) => chain.filter(({ opType }) => opType === op));
  if (!weight || casts!.length > 1 || (transposes!.length > 0 && !isMatrix)) return undefined;
  const type = dataTypeName(weight.dataType);
  const isWidened = casts!.length === 1;
  if (isWidened ? type !== 'float16' && type !== 'bfloat16' : type !== 'float32') return undefined;
  return { name, weight, isWidened, isTransposed: transposes!.filter(turns).length % 2 === 1, chain };
}

/** Whether a Transpose of a matrix swaps its axes. */
function turns(node: NodeProto): boolean {
  return intsAttribute(node, 'perm')?.join() !== '0,1';
}
