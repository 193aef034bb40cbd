/** @file Resolves `--data` to a path: as it is, or prepared by a plugin's dataset. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { type PluginRegistry, OnnxLoraError } from '@onnx-lora/sdk';
import { cacheFolder, makeFolder } from '@onnx-lora/sdk/data';
import { type DatasetFactory, didYouMean, guard } from '@onnx-lora/sdk/plugin';
import { usageError } from '../terminal/errors.ts';
import type { Progress } from '../terminal/progress.ts';

/**
 * Resolves `data`: `cells` and `cells:source` name a plugin's dataset `cells`; an existing path has priority over a
 * bare name.
 * @throws OnnxLoraError `CONFIG_INVALID` for a misspelled dataset; `FILE_INVALID` where its folder cannot be made;
 *   `PLUGIN_INVALID` where it returns no path; as the dataset
 */
export async function pathOfData(
  data: string,
  { datasets }: Pick<PluginRegistry, 'datasets'>,
  progress: Progress,
): Promise<string> {
  const at = data.indexOf(':');
  const [name, source] = at < 0 ? [data, ''] : [data.slice(0, at), data.slice(at + 1)];
  const dataset = datasets.find((each) => each.name === name);
  if (!dataset && at > 0) refuseSlip(data, name, datasets);
  if (!dataset || (at < 0 && existsSync(data))) return data;
  const folder = folderOf(dataset);
  try {
    makeFolder(folder);
  } catch (cause) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `The dataset "${name}" has no folder: "${folder}" cannot be made (${(cause as Error).message}). Name another place in XDG_CACHE_HOME.`,
      { cause },
    );
  }
  const prepared: unknown = await guard({ part: `dataset "${name}"`, where: 'prepare' }, () =>
    dataset.prepare({ source, folder, onProgress: (message) => progress.note(message) }),
  );
  if (typeof prepared === 'string' && prepared !== '') return prepared;
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    `Plugin author: prepare of the dataset "${name}" must return the path of the data, but it returns ${JSON.stringify(prepared)}.`,
  );
}

/** Refuses a misspelled dataset; single letters are drives. */
function refuseSlip(data: string, name: string, datasets: readonly DatasetFactory[]): void {
  if (name.length === 1 || existsSync(data)) return;
  const hint = didYouMean(
    name,
    datasets.map((each) => each.name),
  );
  if (hint !== '') throw usageError(`There is no dataset "${name}", and no file or folder "${data}".${hint}`);
}

/** The cache folder of a dataset. */
function folderOf({ name }: DatasetFactory): string {
  return path.join(cacheFolder('datasets'), name);
}
