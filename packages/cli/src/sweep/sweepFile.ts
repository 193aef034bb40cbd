/** @file The file of a sweep: settings of `train` that all trials have, and under `sweep` what is tried. */

import { readSection } from '../settings/readSettings.ts';
import type { Content } from '../settings/setting.ts';
import { type SweepOptions, sweepTable } from '../settings/sweep.ts';
import { usageError } from '../terminal/errors.ts';

/** A sweep as its file has it. */
export interface SweepFile {
  readonly file: string;
  /** What all trials have in common, as it stands there. */
  readonly content: Content;
  /** `seeds` is that of the settings where nobody says which. */
  readonly options: Omit<SweepOptions, 'methods'> & Partial<Pick<SweepOptions, 'methods'>>;
}

/**
 * Reads the file of a sweep.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `CONFIG_INVALID`
 */
export async function readSweepFile(file: string): Promise<SweepFile> {
  const { content, options } = await readSection(file, 'sweep', sweepTable, 'with what is to be tried. Write it beside the settings, such as sweep: { methods: [lora, loha], seeds: 3 }.'); // prettier-ignore
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
    options: { try: {}, search, drawSeed: 0, factor: 3, seeds: [ownSeed], parallel: 1, ...options },
  };
}
