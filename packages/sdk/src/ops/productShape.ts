/** @file The shape of a matrix product. */

import type { Dim } from '../graph/value.ts';
import { broadcast } from './dim.ts';

/** Shape of numpy's `matmul`: vectors lose the dimension that they gain for the product; undefined for none. */
export function matMulShape(a: readonly Dim[], b: readonly Dim[]): Dim[] | undefined {
  const left = a.length === 1 ? [1, a[0]!] : a;
  const right = b.length === 1 ? [b[0]!, 1] : b;
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2));
  if (!batch) return undefined;
  return [
    ...batch,
    ...(a.length === 1 ? [] : [left[left.length - 2]!]),
    ...(b.length === 1 ? [] : [right[right.length - 1]!]),
  ];
}
