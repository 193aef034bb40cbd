/** @file The adapter that settings describe, in the SDK's words. */

import type { LoraOptions } from '@onnx-lora/sdk';
import type { Settings } from './settings.ts';
import { parseTargets } from './targets.ts';

/** Options for `train` and `previewLora`; what was not given is left to the SDK. */
export function loraOptions({ targets, r, alpha, rslora, dora, modulesToSave }: Settings): LoraOptions {
  return {
    ...(targets === undefined ? {} : { targetModules: parseTargets(targets) }),
    ...(r === undefined ? {} : { r }),
    ...(alpha === undefined ? {} : { alpha }),
    ...(rslora === undefined ? {} : { useRslora: rslora }),
    ...(dora === undefined ? {} : { useDora: dora }),
    ...(modulesToSave === undefined ? {} : { modulesToSave }),
  };
}

/** Provider and threads, as sessions take them. */
export function machineOptions({ provider, threads }: Settings): Pick<Settings, 'provider' | 'threads'> {
  return { ...(provider === undefined ? {} : { provider }), ...(threads === undefined ? {} : { threads }) };
}
