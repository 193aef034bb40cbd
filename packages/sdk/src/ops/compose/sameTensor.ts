/** @file Compares tensors. */

import { blocksOf, byteLength, type Bytes, isInFile, readBytes } from '../../graph/bytes.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';

/** Whether type, shape and bytes are equal; bytes are read last. */
export function isSameTensor(a: TensorProto, b: TensorProto): boolean {
  if (a.dataType !== b.dataType || (a.dims ?? []).join() !== (b.dims ?? []).join()) return false;
  const [left, right] = [rawBytes(a), rawBytes(b)];
  return left !== undefined && right !== undefined && haveSameBytes(left, right);
}

function haveSameBytes(a: Bytes, b: Bytes): boolean {
  if (byteLength(a) !== byteLength(b)) return false;
  if (!isInFile(a) || !isInFile(b)) return Buffer.compare(readBytes(a), readBytes(b)) === 0;
  if (a.path === b.path && a.offset === b.offset) return true;
  const other = blocksOf(b);
  for (const block of blocksOf(a)) if (Buffer.compare(block, other.next().value as Uint8Array) !== 0) return false;
  return true;
}
