/** @file Opens an adapter of a pipeline: a LoRA file, diffusers' folder of one, or PEFT's folders of its networks. */

import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { type Adapter, loadAdapter, OnnxLoraError } from '@onnx-lora/sdk';
import { splitAdapter } from './splitAdapter.ts';
import type { Components } from './moduleNames.ts';
import { type PipelineAdapter, readPipelineAdapter } from './readAdapters.ts';

/** diffusers' name of the file in a folder. */
const DIFFUSERS_FILE = 'pytorch_lora_weights.safetensors';

/**
 * Opens an adapter: a LoRA file, a folder with diffusers' `pytorch_lora_weights.safetensors`, a folder with a PEFT
 * folder for each network (`unet`, `text_encoder`), or one of both that `train` has saved.
 * @throws OnnxLoraError as `readPipelineAdapter` and `loadAdapter`; `ADAPTER_INVALID` for a folder with none of them
 */
export async function openPipelineAdapter(source: string, components: Components): Promise<PipelineAdapter> {
  if (!statSync(source, { throwIfNoEntry: false })?.isDirectory()) return readPipelineAdapter(source, components);
  const file = path.join(source, DIFFUSERS_FILE);
  if (existsSync(file)) return readPipelineAdapter(file, components);
  if (['.', 'adapter'].some((inside) => existsSync(path.join(source, inside, 'adapter_config.json'))))
    return splitAdapter(await loadAdapter(source));
  const adapters: Record<string, Adapter> = {};
  for (const name of Object.keys(components)) {
    const folder = path.join(source, name);
    if (existsSync(path.join(folder, 'adapter_config.json'))) adapters[name] = await loadAdapter(folder);
  }
  if (Object.keys(adapters).length > 0) return { adapters };
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${source}" holds no ${DIFFUSERS_FILE}, and no folder of PEFT named ${Object.keys(components).join(' or ')}. Name the .safetensors file.`,
  );
}
