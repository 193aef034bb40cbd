/** @file Fingerprint of a model's weights, which identifies an adapter's base. */

import { sha256 } from '../../platform/hash.ts';
import { blocksOf, byteLength } from '../bytes.ts';
import type { GraphProto, TensorProto } from '../proto.ts';
import { rawBytes } from '../tensorData.ts';
import { tensorsOf } from '../tensors.ts';
import { runSync, runInSlices } from '../eventLoop.ts';
import { allGraphs } from '../walk.ts';

/** Skip small tensors: exporters and optimizers change shapes and constants without changing the model. */
const MIN_BYTES = 256;

/**
 * sha256 over all weights of a graph and its subgraphs: initializers and tensor attributes. Types, shapes and values
 * count; names, order and storage as initializer or Constant do not, since exporters and optimizers change them.
 */
export function weightsDigest(graph: GraphProto): string {
  return runSync(digestBlocks(graph));
}

/**
 * {@link weightsDigest} in time slices of the event loop: gigabytes take seconds.
 * @param others further graphs of the same model, in any order; a shared weight counts as often as in the graph that
 * holds it most often, so that the digest equals that of the model in one file
 */
export function weightsDigestInSlices(graph: GraphProto, ...others: readonly GraphProto[]): Promise<string> {
  return runInSlices(digestBlocks(graph, ...others));
}

function* digestBlocks(...graphs: readonly GraphProto[]): Generator<void, string> {
  const hashes = new Map<string, number>();
  for (const graph of graphs) {
    const own = new Map<string, number>();
    for (const tensor of [...allGraphs(graph)].flatMap(tensorsOf)) {
      const hash = yield* hashBlocks(tensor);
      if (hash !== undefined) own.set(hash, (own.get(hash) ?? 0) + 1);
    }
    for (const [hash, count] of own) hashes.set(hash, Math.max(count, hashes.get(hash) ?? 0));
  }
  const all = [...hashes].flatMap(([hash, count]) => Array<string>(count).fill(hash));
  return sha256().update(all.sort().join('\n')).digest('hex');
}

function* hashBlocks(tensor: TensorProto): Generator<void, string | undefined> {
  const raw = rawBytes(tensor);
  if (!raw || byteLength(raw) < MIN_BYTES) return undefined;
  const hash = sha256().update(`${tensor.dataType}:${(tensor.dims ?? []).join()}:`);
  for (const block of blocksOf(raw)) {
    hash.update(block);
    yield;
  }
  return hash.digest('hex');
}
