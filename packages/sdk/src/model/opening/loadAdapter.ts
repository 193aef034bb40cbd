/** @file From what a user calls an adapter to the adapter: a PEFT folder, the folder of a run, a file, or an id on the Hugging Face hub. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Adapter, CONFIG_FILE } from '../../adapter/adapter.ts';
import { readAdapter } from '../../adapter/storage/readAdapter.ts';
import { systemFailure } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import { downloadAdapter, isHubId, type LoadAdapterOptions } from './hub.ts';
import { requirePath } from '../loaded/givenArguments.ts';

const requireKnown = knownOptions<LoadAdapterOptions>('loadAdapter', {
  revision: true,
  onDownload: true,
  maxTensors: true,
});

/**
 * Loads an adapter. Pickle files (`adapter_model.bin`) are refused: reading one runs code.
 *
 * @param source a PEFT folder, its tensors in one safetensors file or in several that an index lists; the folder of a run of
 *   `onnx-lora train`, whose `adapter` is such a folder; an `.onnx_adapter` whose tensors are named as `saveOnnxAdapter` names
 *   them; or a hub id such as `org/name`, whose files are taken from the hub client's cache, or downloaded into it
 * @throws OnnxLoraError `FILE_NOT_FOUND`, or `ADAPTER_INVALID` and `FILE_INVALID` naming the file and the remedy;
 *   `CONFIG_INVALID` for an option that there is not
 */
export async function loadAdapter(source: string, options: LoadAdapterOptions = {}): Promise<Adapter> {
  requirePath('loadAdapter', source);
  requireKnown(options);
  const isOnHub = !existsSync(source) && isHubId(source);
  try {
    return await readAdapter(isOnHub ? await downloadAdapter(source, options) : folderOf(source), options.maxTensors);
  } catch (error) {
    throw systemFailure(error) ?? error;
  }
}

/** Of a run's folder the one inside. */
function folderOf(source: string): string {
  const inRun = path.join(source, 'adapter');
  const holds = (folder: string): boolean => existsSync(path.join(folder, CONFIG_FILE));
  return !holds(source) && holds(inRun) ? inRun : source;
}
