/** @file Keeps computed weights in the user's cache, so that the next start finds them. */

import { nextTurn } from '../../platform/pause.ts';
import { PreparedCache } from '../../files/preparedCache.ts';
import { type BytesOrigin, type ComputedBytes, isInFile } from '../bytes.ts';
import type { ModelProto } from '../proto.ts';
import { rawBytes } from '../tensorData.ts';
import { withTensors } from '../tensors.ts';
import { takeWritten, writtenBytes } from './scratchWeights.ts';

/** Bytes that are computed in about a second; fewer are not kept. */
const SMALLEST = 10_000_000;

type KnownBytes = ComputedBytes & { readonly origin: BytesOrigin };

/**
 * Takes a model's computed weights from the cache, or computes them through it, one in memory at a time. Weights of one
 * kind are an entry. Does nothing where they are few, their origin is unknown, or the cache takes nothing.
 * @param name of the model, for people
 */
export async function keepWeights(
  model: ModelProto,
  name: string,
  { cache, smallest = SMALLEST }: { readonly cache?: PreparedCache; readonly smallest?: number } = {},
): Promise<void> {
  const known = knownBytes(model);
  for (const kind of new Set(known.map(({ origin }) => origin.kind))) {
    const all = known.filter(({ origin }) => origin.kind === kind);
    if (all.reduce((sum, { length }) => sum + length, 0) < smallest) continue;
    const key = [kind, ...all.map(({ origin }) => origin.key)];
    const found = await (cache ?? new PreparedCache()).use(key, `${kind} of ${name}`, async (write) => {
      const offsets: number[] = [];
      for (const bytes of all) {
        offsets.push(write(writtenBytes(bytes)));
        await nextTurn();
      }
      return offsets;
    });
    if (!found) return;
    const { file: path, facts } = found;
    takeWritten(all.map((bytes, i) => ({ bytes, slice: { path, offset: facts[i]!, length: bytes.length } })));
  }
}

function knownBytes(model: ModelProto): readonly KnownBytes[] {
  const found = new Set<KnownBytes>();
  withTensors(model, (tensor) => {
    const raw = rawBytes(tensor);
    if (raw && !(raw instanceof Uint8Array) && !isInFile(raw) && raw.origin) found.add(raw as KnownBytes);
    return tensor;
  });
  return [...found];
}
