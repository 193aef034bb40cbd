/** @file The file of a sweep: settings of `train` that all trials have, and under `sweep` what is tried. */

import type { SettingValues } from '@onnx-lora/sdk/plugin';
import { readYaml } from '../settings/readSettings.ts';
import { keyOf } from '../settings/setting.ts';
import { type Content, type SweepOptions, sweepTable } from '../settings/sweep.ts';
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
  const { sweep, ...content } = await readYaml(file);
  if (typeof sweep !== 'object' || sweep === null || Array.isArray(sweep)) {
    throw usageError(
      `"${file}" has no key "sweep" with what is to be tried. Write it beside the settings, such as sweep: { methods: [lora, loha], seeds: 3 }.`,
    );
  }
  const given = Object.entries(sweep as Content).filter(([, value]) => value !== null);
  const options = sweepTable.read(
    Object.fromEntries(given.map(([key, value]) => [nameOf(key), value])) as SettingValues,
    { owner: `"sweep" in "${file}"`, where: (name) => `"sweep.${keyOf(name)}" in "${file}"` },
  );
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

/** `draw-seed` → `drawSeed`. */
function nameOf(key: string): string {
  return key.replaceAll(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
