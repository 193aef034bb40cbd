/** @file Adapters of an ensemble predictor. */

import { existsSync, join } from '@onnx-lora/sdk/platform';
import { type Adapter, loadAdapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { SettingRows } from '@onnx-lora/sdk/plugin';

const CONFIG = 'adapter_config.json';

/** Option of an ensemble. */
export interface EnsembleSources {
  /** Folders of other adapters, or of runs, to average with the adapter. */
  readonly ensemble?: readonly string[] | undefined;
}

/** The ensemble as a command-line setting. */
export const ensembleSettings: SettingRows<EnsembleSources> = {
  ensemble: {
    kind: 'texts',
    description:
      'Adapters, or runs, that answer together with --adapter: answers are the mean, beside their deviation.',
  },
};

/**
 * Loads the ensemble, the given adapter first; all need one base and the same labels.
 * @throws OnnxLoraError `CONFIG_INVALID` for a missing adapter or different labels; like `loadAdapter`
 */
export async function answeringAdapters(
  adapter: Adapter | undefined,
  sources: readonly string[] = [],
): Promise<readonly Adapter[]> {
  if (!adapter) {
    if (sources.length === 0) return [];
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'An ensemble answers together with an adapter, and none is named. Name the first of them with --adapter.',
    );
  }
  const others = await Promise.all(
    sources.map(async (source) => {
      const inRun = join(source, 'adapter');
      return loadAdapter(!existsSync(join(source, CONFIG)) && existsSync(join(inRun, CONFIG)) ? inRun : source);
    }),
  );
  const labels = adapter.notes.labels?.join(', ');
  others.forEach(({ notes }, i) => {
    const own = notes.labels?.join(', ');
    if (own === labels) return;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${sources[i]}" answers with ${own ?? 'no labels of its own'}, and --adapter with ${labels ?? 'none'}. Adapters of an ensemble are trained for the same task.`,
    );
  });
  return [adapter, ...others];
}
