/** @file What predictors are asked about, one by one, and which adapter answers. */

import { didYouMean, OnnxLoraError } from '../errors.ts';
import type { PredictOptions, Source } from '../plugin/predictor.ts';
import type { PredictorOptions } from '../plugin/taskFactory.ts';

/** The sources one by one; a path alone is one, and not its letters. */
export async function* sourcesOf(sources: string | Iterable<Source> | AsyncIterable<Source>): AsyncGenerator<Source> {
  if (typeof sources === 'string') yield sources;
  else yield* sources;
}

/**
 * The adapter that answers about a source: one of those that are known by their names, or null for the base.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for another name
 */
export function chosenAdapter(
  adapter: PredictOptions['adapter'],
  source: Source,
  known: readonly string[],
): string | null {
  const name = (typeof adapter === 'function' ? adapter(source) : adapter) ?? null;
  if (name === null || known.includes(name)) return name;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `There is no adapter "${name}".${didYouMean(name, known)} Those that the predictor was opened with are ${known.join(', ') || 'none'}.`,
  );
}

/**
 * Refuses the list of adapters that predictors once took: nothing says of an adapter without a name when it answers.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function requireNamedAdapters(adapters: PredictorOptions['adapters']): void {
  if (!Array.isArray(adapters)) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `adapters is a list of ${adapters.length}, and must give each adapter a name: { adapters: { photos: adapter } }, chosen by predict(sources, { adapter: 'photos' }). An adapter that is to answer all is { adapter }, and with those that answer together with it { adapter, ensemble: [others] }.`,
  );
}
