/** @file The adapter that settings describe, in the SDK's words. */

import type { LoraOptions, Model } from '@onnx-lora/sdk';
import type { NamedTuner } from '@onnx-lora/sdk/plugin';
import { usageError } from './errors.ts';
import { parseLayers, parseTable, parseTokens } from './numbers.ts';
import type { SettingName, Settings } from './settings.ts';
import { parseTargets } from './targets.ts';

/** Settings that say what is adapted and how, in the order of `--help`. */
export const adapterSettings: readonly SettingName[] = [
  'targets',
  'tuner',
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
  'loraDropout',
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
    loraDropout,
    ensureWeightTying,
    tuner,
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
    loraDropout,
    ensureWeightTying,
    tuner: tuner === undefined ? undefined : parseTuner(tuner),
    initLoraWeights: init,
    original,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as LoraOptions;
}

/**
 * What `--tuner` says: a name, or JSON with a name and settings.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
function parseTuner(text: string): NonNullable<LoraOptions['tuner']> {
  if (!text.startsWith('{')) return text;
  try {
    const tuner = JSON.parse(text) as NamedTuner;
    if (typeof tuner.name === 'string') return tuner;
  } catch {
    // Told below.
  }
  throw usageError(`--tuner must be a name, or JSON such as {"name":"ia3"}, but it is ${text}.`);
}

/** Provider and threads, as sessions take them. */
export function machineOptions({ provider, threads }: Settings): Pick<Settings, 'provider' | 'threads'> {
  return { ...(provider === undefined ? {} : { provider }), ...(threads === undefined ? {} : { threads }) };
}
