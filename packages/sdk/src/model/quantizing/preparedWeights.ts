/** @file Keeps quantised weights in the user's cache, so that the next start finds them. */

import { readBytes } from '../../graph/bytes.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { PreparedCache } from '../../files/preparedCache.ts';
import type { Site } from '../../match/sites.ts';
import { weightSize } from '../../match/weights/stored.ts';
import type { QuantizedForm } from '../../ops/quantization/forms.ts';
import type { Model } from '../loaded/model.ts';
import type { MatrixTensors } from './quantizedGraph.ts';

/** A quantised weight: its tensors, not yet named, and the error of the numbers that they mean. */
export interface QuantizedWeight {
  readonly tensors: MatrixTensors;
  readonly error: number;
}

/** A tensor of an entry. */
interface StoredTensor extends Pick<TensorProto, 'name' | 'dims' | 'dataType'> {
  readonly offset: number;
  readonly length: number;
}

interface StoredWeight {
  readonly module: string;
  readonly error: number;
  readonly tensors: { readonly [Name in keyof MatrixTensors]: StoredTensor };
}

/** Raised when the same weights are quantised to other numbers. */
const FORMAT = 1;
/** Numbers that are quantised in about a second; fewer are not kept. */
const SMALLEST = 10_000_000;

/**
 * The quantised weights of these layers by module path, from the cache or through it; undefined where they are few, or
 * the cache takes nothing.
 */
export async function preparedWeights(
  model: Model,
  sites: readonly Site[],
  form: QuantizedForm,
  quantized: (site: Site) => Promise<QuantizedWeight>,
  { cache = new PreparedCache(), smallest = SMALLEST }: { readonly cache?: PreparedCache; readonly smallest?: number } = {}, // prettier-ignore
): Promise<ReadonlyMap<string, QuantizedWeight> | undefined> {
  if (sites.reduce((sum, { weight }) => sum + weightSize(weight.stored), 0) < smallest) return undefined;
  const layers = sites.map(({ path, kind, weightShape }) => `${kind} ${path} ${weightShape.join()}`);
  const key = ['quantized weights', String(FORMAT), await model.digest(), JSON.stringify(form), ...layers];
  const bits = form.bits === 'nf4' ? form.bits : `int${form.bits}`;
  const found = await cache.use(key, `${bits} weights of ${model.name}`, async (write) => {
    const stored: StoredWeight[] = [];
    for (const site of sites) {
      const { error, tensors } = await quantized(site);
      const kept = Object.entries(tensors).map(([name, { rawData, ...tensor }]: [string, TensorProto]) => {
        const bytes = readBytes(rawData!);
        return [name, { ...tensor, offset: write(bytes), length: bytes.length }] as const;
      });
      stored.push({ module: site.path, error, tensors: Object.fromEntries(kept) as StoredWeight['tensors'] });
    }
    return stored;
  });
  return (
    found &&
    new Map(found.facts.map(({ module, error, tensors }) => [module, { error, tensors: inFile(tensors, found.file) }]))
  );
}

function inFile(stored: StoredWeight['tensors'], path: string): MatrixTensors {
  const tensors = Object.entries(stored).map(([name, { offset, length, ...tensor }]: [string, StoredTensor]) => [
    name,
    { ...tensor, rawData: { path, offset, length } },
  ]);
  return Object.fromEntries(tensors) as MatrixTensors;
}
