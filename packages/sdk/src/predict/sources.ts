/** @file Sources of predictors, and the choice of adapters. */

import { didYouMean, OnnxLoraError } from '../errors.ts';
import type { PredictOptions, Source } from '../plugin/predictor.ts';
import type { PredictorOptions } from '../plugin/taskFactory.ts';

/** The sources in turn; a single path is one source. */
export async function* sourcesOf(sources: string | Iterable<Source> | AsyncIterable<Source>): AsyncGenerator<Source> {
  if (typeof sources === 'string') yield sources;
  else yield* sources;
}

/** The adapter for a source, or null for the base. @throws OnnxLoraError `INPUT_INVALID` for an unknown name */
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

/** Refuses an unnamed list of adapters, since none could be chosen. @throws OnnxLoraError `CONFIG_INVALID` */
export function requireNamedAdapters(adapters: PredictorOptions['adapters']): void {
  if (!Array.isArray(adapters)) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `adapters is a list of ${adapters.length}, and must give each adapter a name: { adapters: { photos: adapter } }, chosen by predict(sources, { adapter: 'photos' }). An adapter that is to answer all is { adapter }, and with those that answer together with it { adapter, ensemble: [others] }.`,
  );
}
