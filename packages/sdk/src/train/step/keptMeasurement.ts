/** @file Keeps a measured precision in the user's cache: the same step on the same batch need not be measured again. */

import { sha256 } from '../../platform/hash.ts';
import { PreparedCache } from '../../files/preparedCache.ts';
import { slicesOf } from '../../graph/file/onnxFile.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import type { MeasuredPrecision } from './measuredPrecision.ts';

/** Raised when the same step is measured otherwise. */
const FORMAT = 1;
/** Bytes of weights that are measured in about a second; measurements of fewer are not kept. */
const SMALLEST = 40_000_000;

/** All that decides a measurement. */
export interface MeasuredStep {
  /** The step in float32. Its weights count by their files, not by their content. */
  readonly model: ModelProto;
  readonly weightBytes: number;
  /** Everything that is fed: the batch, adapters, masks. */
  readonly feeds: readonly Feeds[];
  /** Requested precision, and what else decides. */
  readonly settings: readonly unknown[];
  /** Name of the model. */
  readonly name: string;
}

/** JSON has no infinite numbers. */
type Stored = Omit<MeasuredPrecision, 'products' | 'cosine'> & {
  readonly cosine: string;
  readonly products: readonly (Omit<MeasuredPrecision['products'][number], 'error'> & { readonly error: string })[];
};

/** The measurement of a step, from the cache or through it. */
export async function keptMeasurement(
  step: MeasuredStep,
  measure: () => Promise<MeasuredPrecision>,
  { cache = new PreparedCache(), smallest = SMALLEST }: { readonly cache?: PreparedCache; readonly smallest?: number } = {}, // prettier-ignore
): Promise<MeasuredPrecision> {
  if (step.weightBytes < smallest) return measure();
  const what = `precision measured of ${step.name}`;
  const found = await cache.use<Stored>(keyOf(step), what, async () => {
    const { cosine, products, ...rest } = await measure();
    return { ...rest, cosine: String(cosine), products: products.map((each) => ({ ...each, error: String(each.error) })) }; // prettier-ignore
  });
  if (!found) return measure();
  const { cosine, products, ...rest } = found.facts;
  return { ...rest, cosine: Number(cosine), products: products.map((each) => ({ ...each, error: Number(each.error) })) }; // prettier-ignore
}

function keyOf({ model, feeds, settings }: MeasuredStep): string[] {
  const hash = sha256().update(sessionModel(model).bytes);
  for (const { path, identity = '' } of slicesOf(model)) hash.update(`${path} ${identity}\n`);
  for (const fed of feeds) {
    for (const [name, { type, dims, data }] of Object.entries(fed)) {
      hash.update(`${name} ${type} ${dims.join()}\n`);
      hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }
  return ['measured precision', String(FORMAT), JSON.stringify(settings), hash.digest('hex')];
}
