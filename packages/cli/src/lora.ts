/** @file The adapter that settings describe, in the SDK's words. */

import type { LoraOptions, Model } from '@onnx-lora/sdk';
import { parseLayers, parseTable, parseTokens } from './numbers.ts';
import type { SettingName, Settings } from './settings.ts';
import { parseTargets } from './targets.ts';

/** Settings that say what is adapted and how, in the order of `--help`. */
export const adapterSettings: readonly SettingName[] = [
  'targets',
  'r',
  'alpha',
  'rslora',
  'dora',
  'modulesToSave',
  'excludeModules',
  'layersToTransform',
  'layersPattern',
  'rankPattern',
  'alphaPattern',
  'targetParameters',
  'trainableTokenIndices',
  'bias',
  'loraBias',
  'ensureWeightTying',
];

/**
 * Options for `train` and `previewLora`; what was not given is left to the SDK.
 *
 * @param original what `--original` names, opened
 */
export function loraOptions(settings: Settings, original?: Model): LoraOptions {
  const { targets, rslora, dora, layersToTransform: layers, rankPattern, alphaPattern, init } = settings;
  const {
    r,
    alpha,
    modulesToSave,
    excludeModules,
    layersPattern,
    targetParameters,
    bias,
    loraBias,
    ensureWeightTying,
  } = settings;
  const tokens = settings.trainableTokenIndices;
  const options = {
    targetModules: targets === undefined ? undefined : parseTargets(targets),
    r,
    alpha,
    useRslora: rslora,
    useDora: dora,
    modulesToSave,
    excludeModules,
    layersToTransform: layers === undefined ? undefined : parseLayers(layers),
    layersPattern,
    rankPattern: rankPattern === undefined ? undefined : parseTable('rank-pattern', rankPattern),
    alphaPattern: alphaPattern === undefined ? undefined : parseTable('alpha-pattern', alphaPattern),
    targetParameters,
    trainableTokenIndices: tokens === undefined ? undefined : parseTokens(tokens),
    bias,
    loraBias,
    ensureWeightTying,
    initLoraWeights: init,
    original,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as LoraOptions;
}

/** Provider and threads, as sessions take them. */
export function machineOptions({ provider, threads }: Settings): Pick<Settings, 'provider' | 'threads'> {
  return { ...(provider === undefined ? {} : { provider }), ...(threads === undefined ? {} : { threads }) };
}
