/** @file The config file of a sweep: settings of `train`, and a `sweep` section. */

import { readSection } from '../settings/readSettings.ts';
import type { Content } from '../settings/setting.ts';
import { type SweepOptions, sweepTable } from '../settings/sweep.ts';
import { usageError } from '../terminal/errors.ts';

export interface SweepFile {
  readonly file: string;
  /** Settings of all trials. */
  readonly content: Content;
  /** Whether it says how many trials run at a time. */
  readonly hasParallel: boolean;
  /** The `sweep` section with defaults; `seeds` defaults to the settings' seed. */
  readonly options: Omit<SweepOptions, 'methods'> & Partial<Pick<SweepOptions, 'methods'>>;
}

/** Reads a sweep's config file. @throws OnnxLoraError `FILE_NOT_FOUND`, `CONFIG_INVALID` */
export async function readSweepFile(file: string): Promise<SweepFile> {
  const { content, options } = await readSection(file, 'sweep', sweepTable, 'with the configurations to try. Write it beside the settings, such as sweep: { methods: [lora, loha], seeds: 3 }.'); // prettier-ignore
  const { draws, search = 'grid' } = options;
  if (search === 'random' && draws === undefined)
    throw usageError(`"${file}" asks for random search, and not how many: add sweep.draws.`);
  if (search === 'grid' && draws !== undefined)
    throw usageError(`"sweep.draws" in "${file}" is for random search or halving, and this is a grid. Add search: random.`); // prettier-ignore
  const other = (['factor', 'rungs'] as const).find((name) => search !== 'halving' && options[name] !== undefined);
  if (other !== undefined)
    throw usageError(`"sweep.${other}" in "${file}" is for halving, and this is ${search}. Leave it out, or add search: halving.`); // prettier-ignore
  const ownSeed = typeof content['seed'] === 'number' ? content['seed'] : 0;
  return {
    file,
    content,
    hasParallel: options.parallel !== undefined,
    options: { try: {}, search, drawSeed: 0, factor: 3, seeds: [ownSeed], parallel: 1, ...options },
  };
}
