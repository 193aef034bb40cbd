/** @file A fingerprint of a model's weights, by which an adapter knows its base. */

import { createHash } from 'node:crypto';
import { type Bytes, byteLength, readBytes } from './bytes.ts';
import type { GraphProto } from './proto.ts';
import { rawBytes } from './tensorData.ts';
import { allGraphs } from './walk.ts';

/** Smaller tensors are shapes and constants, which exporters and optimizers change without changing the model. */
const MIN_BYTES = 256;
const BLOCK = 1 << 24;

/**
 * sha256 over all weights of a graph and its subgraphs, read in blocks. Names and order do not count, since each export
 * numbers anonymous weights anew; types, shapes and values do.
 */
export function weightsDigest(graph: GraphProto): string {
  const hashes: string[] = [];
  for (const each of allGraphs(graph)) {
    for (const tensor of each.initializer ?? []) {
      const raw = rawBytes(tensor);
      if (!raw || byteLength(raw) < MIN_BYTES) continue;
      const hash = createHash('sha256').update(`${tensor.dataType}:${(tensor.dims ?? []).join()}:`);
      for (const block of blocks(raw)) hash.update(block);
      hashes.push(hash.digest('hex'));
    }
  }
  return createHash('sha256').update(hashes.sort().join('\n')).digest('hex');
}

function* blocks(raw: Bytes): Generator<Uint8Array> {
  if (raw instanceof Uint8Array) {
    yield raw;
    return;
  }
  for (let done = 0; done < raw.length; done += BLOCK) {
    yield readBytes({ path: raw.path, offset: raw.offset + done, length: Math.min(BLOCK, raw.length - done) });
  }
}
