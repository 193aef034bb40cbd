/** @file Adapters that commands read, with weights (`--weight 0.7,0.3`), and write. */

import { existsSync } from 'node:fs';
import { type Adapter, loadAdapter, saveOnnxAdapter, type WeightedAdapter } from '@onnx-lora/sdk';
import type { Flags } from '../../options.ts';
import { adapterPlaces, isFolder, numberFlag, requireFree, requireOther, requireOutFile } from '../../sources.ts';
import { usageError } from '../../terminal/errors.ts';

export const ENDING = '.onnx_adapter';

/** Loads the named adapters. @throws OnnxLoraError `CONFIG_INVALID` when the weights do not match; as `loadAdapter` */
export async function loadWeighted(names: readonly string[], { weight }: Flags): Promise<WeightedAdapter[]> {
  if (weight && weight.length !== names.length) {
    throw usageError(
      `${names.length} ${names.length === 1 ? 'adapter is' : 'adapters are'} named, but the number of weights is ${weight.length}. Give --weight once per adapter, in their order.`,
    );
  }
  const weights = names.map((_, i) => numberFlag('weight', weight?.[i]) ?? 1);
  const adapters = await Promise.all(names.map((name) => loadAdapter(name)));
  return adapters.map((adapter, i) => ({ adapter, weight: weights[i]!, name: names[i]! }));
}

/**
 * Checks the PEFT folder or `.onnx_adapter` file to write, before the work.
 * @param sources adapters that must not be overwritten
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function requireAdapterOut(out: string, sources: readonly string[], flags: Flags): void {
  if (out.endsWith(ENDING)) requireOutFile(out, ENDING);
  else if (existsSync(out) && !isFolder(out)) throw usageError(`"${out}" is a file. Name a folder.`);
  requireOther(out, sources);
  requireFree(adapterPlaces(out), flags);
}

/** Saves an adapter as a PEFT folder, or as an `.onnx_adapter` file where the name says so. */
export async function saveTo(out: string, adapter: Adapter, { overwrite = false }: Flags): Promise<void> {
  await (out.endsWith(ENDING) ? saveOnnxAdapter(adapter, out, { overwrite }) : adapter.save(out, { overwrite }));
}
