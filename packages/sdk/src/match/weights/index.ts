/** @file Finds the constant weight behind a value. */

import { type GraphIndex } from '../../graph/walk.ts';
import { dequantizedWeight } from './dequantizeLinear.ts';
import { plainWeight } from './plain.ts';
import { rearranged } from './rearranged.ts';
import { scaledCodes } from './scaledCodes.ts';
import type { StoredWeight } from './stored.ts';

export { quantizedWeight, holdsCodes, namedConstant, readsCodes } from './dequantizeLinear.ts';
export { bnb4Weight } from './bnb4.ts';
export { nBitsWeight } from './nBits.ts';
export { floatTensor, floatType } from './plain.ts';
export { intsOf, permute, type Runs, runsOf } from './rearranged.ts';
export type { ChangedTensors, Cut, NamedTensor, StoredWeight } from './stored.ts';

/** Limit of the search: exporters write shorter chains. */
const MAX_CHAIN = 16;

/** The constant floats of a value, also behind DequantizeLinear, Transpose, Cast, Slice and the like. */
export function constantWeight(name: string | undefined, index: GraphIndex): StoredWeight | undefined {
  return name ? behind(name, index, MAX_CHAIN) : undefined;
}

function behind(name: string, index: GraphIndex, left: number): StoredWeight | undefined {
  const tensor = index.constants.get(name);
  if (tensor) return plainWeight({ name, tensor });
  const node = index.producer.get(name);
  const source = node?.input?.[0];
  if (!node || !source || left === 0) return undefined;
  if (node.opType === 'DequantizeLinear') return dequantizedWeight(node, index);
  if (node.opType === 'Mul') return scaledCodes(node, index);
  const inner = behind(source, index, left - 1);
  return inner && rearranged(node, name, inner, index);
}
