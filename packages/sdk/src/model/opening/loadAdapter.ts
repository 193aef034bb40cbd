/** @file `loadAdapter`: loads an adapter from a PEFT folder, a run's folder, a file or the Hugging Face hub. */

import { existsSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { type Adapter, CONFIG_FILE } from '../../adapter/adapter.ts';
import { readAdapter } from '../../adapter/storage/readAdapter.ts';
import { systemFailure } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import { downloadAdapter, isHubId, type LoadAdapterOptions } from './hub.ts';
import { requirePath } from '../loaded/argumentChecks.ts';

const requireKnown = knownOptions<LoadAdapterOptions>('loadAdapter', {
  revision: true,
  onDownload: true,
  maxTensors: true,
});

/**
 * Loads an adapter. Rejects pickle files (`adapter_model.bin`), since reading one runs code.
 * @param source a PEFT folder, with tensors in one safetensors file or several with an index; the folder of a run of
 *   `onnx-lora train`; an `.onnx_adapter` with the tensor names of `saveOnnxAdapter`; or a hub id such as `org/name`,
 *   cached by the hub client
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `ADAPTER_INVALID` and `FILE_INVALID` with file and remedy; `CONFIG_INVALID`
 *   for an unknown option
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

function folderOf(source: string): string {
  const inRun = path.join(source, 'adapter');
  const holds = (folder: string): boolean => existsSync(path.join(folder, CONFIG_FILE));
  return !holds(source) && holds(inRun) ? inRun : source;
}
