/** @file Words that flags, arguments and settings accept, where they are not listed in the option itself. */

import { type PluginRegistry, checkMachine, combineMethods } from '@onnx-lora/sdk';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { errorCodes, initializerNames, optimizerNames, providerNames, sessionIn } from '@onnx-lora/sdk/core';
import { usageError } from '../terminal/errors.ts';
import { TENSORBOARD } from '../plugins/trackers.ts';
import { flagOf } from './settings.ts';
import { nameIn } from './numbers.ts';
import type { Settings } from './setting.ts';

/** Known words by setting, flag or argument name; others may be valid too. */
export function choicesOf(registry: PluginRegistry): Readonly<Record<string, readonly string[] | undefined>> {
  const { initializers, tuners, optimizers, providers, trackers } = registry;
  return {
    task: namesOf(registry.tasks),
    // pissa_niter_N is a pattern, not a name.
    init: [...initializerNames.filter((name) => !name.endsWith('_N')), ...namesOf(initializers)],
    // Without plugins there are none, and an empty list would allow none.
    tuner: tuners.length > 0 ? namesOf(tuners) : undefined,
    optimizer: [...optimizerNames, ...namesOf(optimizers)],
    provider: [...providerNames, ...namesOf(providers)],
    track: [TENSORBOARD, ...namesOf(trackers)],
    method: combineMethods,
    majoritySign: ['total', 'frequency'],
    compat: ['peft'],
    names: ['4', '5'],
    code: Object.keys(errorCodes),
  };
}

/** Settings that accept only listed words, with their nouns for messages. */
const closed = { init: 'initialisation', tuner: 'tuner', optimizer: 'optimizer' } as const;

/**
 * Checks names that plugins may provide, and the precision's provider, before anything is read.
 * @throws OnnxLoraError `CONFIG_INVALID`, `PROVIDER_UNAVAILABLE`
 */
export function checkNames(settings: Settings, registry: PluginRegistry): void {
  checkMachine(settings, namesOf(registry.providers));
  const { precision = 'float32' } = settings;
  if (precision !== 'float32' && precision !== 'auto') sessionIn({ name: precision }, settings);
  const choices = choicesOf(registry);
  for (const [setting, noun] of Object.entries(closed) as [keyof typeof closed, string][]) {
    const given = settings[setting];
    if (given === undefined) continue;
    const words = choices[setting] ?? [];
    const name = setting === 'init' ? given : nameIn(given);
    if (name === undefined || words.includes(name) || (setting === 'init' && /^pissa_niter_\d+$/.test(name))) continue;
    const known =
      words.length > 0
        ? `It can be ${words.join(', ')}; plugins bring more (--plugin).`
        : 'Load a plugin that brings it (--plugin), or leave it out.';
    throw usageError(`There is no ${noun} "${name}" (${flagOf(setting)}).${didYouMean(name, words)} ${known}`);
  }
}

function namesOf(list: readonly { readonly name: string }[]): string[] {
  return list.map(({ name }) => name);
}
