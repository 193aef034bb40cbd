/** @file From `--data` to a path that tasks read: a path as it is, or what a dataset of a plugin makes ready. */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { Catalogue, DatasetFactory } from '@onnx-lora/sdk';
import type { Progress } from '../progress.ts';

/**
 * The path behind `data`. `cells` and `cells:source` mean the dataset `cells` of a plugin; what lies there as a file or folder
 * goes before a name alone.
 *
 * @throws OnnxLoraError as the dataset does
 */
export async function pathOfData(
  data: string,
  { datasets }: Pick<Catalogue, 'datasets'>,
  progress: Progress,
): Promise<string> {
  const at = data.indexOf(':');
  const [name, source] = at < 0 ? [data, ''] : [data.slice(0, at), data.slice(at + 1)];
  const dataset = datasets.find((each) => each.name === name);
  if (!dataset || (at < 0 && existsSync(data))) return data;
  const folder = folderOf(dataset);
  await mkdir(folder, { recursive: true });
  return dataset.prepare({ source, folder, onProgress: (message) => progress.note(message) });
}

/** Where a dataset keeps what it has made ready. */
function folderOf({ name }: DatasetFactory): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  return path.join(cache, 'onnx-lora', 'datasets', name);
}
