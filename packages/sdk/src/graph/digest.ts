/** @file A fingerprint of a model's weights, by which an adapter knows its base. */

import { createHash } from 'node:crypto';
import { blocksOf, byteLength } from './bytes.ts';
import type { GraphProto } from './proto.ts';
import { rawBytes } from './tensorData.ts';
import { tensorsOf } from './tensors.ts';
import { allGraphs } from './walk.ts';

/** Smaller tensors are shapes and constants, which exporters and optimizers change without changing the model. */
const MIN_BYTES = 256;

/**
 * sha256 over all weights of a graph and its subgraphs, read in blocks: initializers, and tensors that nodes hold, as the
 * Constant nodes of some exporters. Names, order and which of the two it is do not count, since exporters number
 * anonymous weights anew and optimizers make the one of the other; types, shapes and values do.
 */
export function weightsDigest(graph: GraphProto): string {
  const work = digestBlocks(graph);
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** How long one turn of the event loop may hash. */
const TURN_MS = 8;

/** As {@link weightsDigest}, with turns of the event loop in between: gigabytes take seconds. */
export async function weightsDigestInTurns(graph: GraphProto): Promise<string> {
  const work = digestBlocks(graph);
  for (let since = performance.now(); ;) {
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() - since < TURN_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    since = performance.now();
  }
}

/** Comes back after each block. */
function* digestBlocks(graph: GraphProto): Generator<void, string> {
  const hashes: string[] = [];
  for (const each of allGraphs(graph)) {
    for (const tensor of tensorsOf(each)) {
      const raw = rawBytes(tensor);
      if (!raw || byteLength(raw) < MIN_BYTES) continue;
      const hash = createHash('sha256').update(`${tensor.dataType}:${(tensor.dims ?? []).join()}:`);
      for (const block of blocksOf(raw)) {
        hash.update(block);
        yield;
      }
      hashes.push(hash.digest('hex'));
    }
  }
  return createHash('sha256').update(hashes.sort().join('\n')).digest('hex');
}
