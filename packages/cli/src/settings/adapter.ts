/** @file Settings of the adapter, as rows that map to the SDK's options. */

import type { LoraOptions, Model } from '@onnx-lora/sdk';
import { settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { DEFAULT_RANK, dropoutPatterns, initializerNames } from '@onnx-lora/sdk/core';
import { z } from 'zod';
import { namedOrJson, parseLayers, parseTable, parseTargets, parseTokens } from './numbers.ts';
import { type CommandSetting, optionsIn, type SettingName, type Settings } from './setting.ts';

type Table = string | Readonly<Record<string, number>>;

const biases = ['none', 'all', 'lora_only'] as const;

const text = z.string().min(1);
const list = z.array(text).min(1);
const index = z.int().min(0);

/** Settings of targets and adapter, in the order of `--help`. */
export const adapterTable: SettingTable<Omit<LoraOptions, 'original'> & { original: string }, CommandSetting> =
  settingsOf({
    targetModules: {
      name: 'targets',
      kind: 'other',
      schema: z.union([text, list], {
        error: 'must be names, re:PATTERN, conditions such as kind:linear, or all-linear',
      }),
      placeholder: '<modules>',
      description:
        'modules to adapt: comma-separated names, re:PATTERN for whole paths, all-linear, none, or conditions: node:, weight: (patterns), kind:, shape:',
      to: parseTargets,
      group: 'Target modules',
    },
    tuner: {
      kind: 'text',
      placeholder: '<name>',
      description: "a plugin's tuner in place of LoRA: its name, or JSON with its settings",
      to: (text) => namedOrJson(text, '--tuner', 'ia3'),
      group: 'The adapter',
    },
    r: {
      kind: 'number',
      whole: true,
      min: 1,
      description: 'rank of the adapter',
      default: DEFAULT_RANK,
      group: 'The adapter',
    },
    loraAlpha: {
      kind: 'number',
      above: 0,
      description: 'scales the adapter by lora-alpha / r (default: 2 r)',
      group: 'The adapter',
    },
    useRslora: {
      name: 'rslora',
      kind: 'flag',
      description: 'scale by lora-alpha / √r, for high ranks',
      group: 'The adapter',
    },
    useDora: {
      name: 'dora',
      kind: 'flag',
      description: 'DoRA: also train a magnitude per output',
      group: 'The adapter',
    },
    modulesToSave: {
      kind: 'texts',
      placeholder: '<modules>',
      description: 'modules to train in full and save with the adapter, such as classifier',
      group: 'Target modules',
    },
    excludeModules: {
      kind: 'texts',
      placeholder: '<modules>',
      description: 'modules to leave out of the targets',
      group: 'Target modules',
    },
    layersToTransform: {
      kind: 'other',
      schema: z.union([text, index, z.array(index)], { error: 'must be layer numbers, such as 0-3,7' }),
      placeholder: '<layers>',
      description: 'only these layer numbers, such as 0-3,7',
      to: parseLayers,
      group: 'Target modules',
    },
    layersPattern: {
      kind: 'texts',
      placeholder: '<names>',
      description: 'name of the list that --layers-to-transform counts in, if the model has several',
      group: 'Target modules',
    },
    rankPattern: {
      kind: 'other',
      schema: z.union([text, z.record(z.string(), z.number())], { error: 'must be names and ranks, such as query=4' }),
      placeholder: '<table>',
      description: 'ranks of single modules, such as query=4,output.dense=16',
      to: (table: Table) => parseTable('rank-pattern', table),
      group: 'The adapter',
    },
    alphaPattern: {
      kind: 'other',
      schema: z.union([text, z.record(z.string(), z.number())], { error: 'must be names and alphas, such as query=8' }),
      placeholder: '<table>',
      description: 'alphas of single modules, in the same form',
      to: (table: Table) => parseTable('alpha-pattern', table),
      group: 'The adapter',
    },
    targetParameters: {
      kind: 'texts',
      placeholder: '<names>',
      description: 'parameters to adapt by their own names, such as experts.up_proj',
      group: 'Target modules',
    },
    trainableTokenIndices: {
      kind: 'other',
      schema: z.union([text, index, z.array(index), z.record(z.string(), z.array(index))], {
        error: 'must be token ids, such as 5,7 or wte=5,7',
      }),
      placeholder: '<ids>',
      description: 'token ids to train the embedding rows of: 5,7, or wte=5,7 for a named embedding',
      to: parseTokens,
      group: 'Target modules',
    },
    bias: {
      kind: 'choice',
      of: biases,
      placeholder: '<which>',
      description: `biases to train in full: ${biases.join(', ')}`,
      default: 'none',
      group: 'Target modules',
    },
    loraBias: { kind: 'flag', description: 'give lora_B a bias of its own', group: 'The adapter' },
    loraDropout: {
      kind: 'number',
      min: 0,
      below: 1,
      example: 0.1,
      placeholder: '<share>',
      description: "dropout probability on the adapter's input",
      default: 0,
      group: 'The adapter',
    },
    loraDropoutPattern: {
      kind: 'choice',
      of: dropoutPatterns,
      placeholder: '<pattern>',
      description: `unit that --lora-dropout zeroes: ${dropoutPatterns.join(', ')}`,
      default: 'element',
      group: 'The adapter',
    },
    ensureWeightTying: {
      kind: 'flag',
      description: 'one adapter for embed_tokens and the lm_head that shares its weight',
      group: 'Target modules',
    },
    initLoraWeights: {
      name: 'init',
      kind: 'text',
      placeholder: '<name>',
      description: `initialization of the adapter: ${initializerNames.join(', ')}`,
      group: 'The adapter',
    },
    original: {
      kind: 'text',
      placeholder: '<path or id>',
      description: 'with --init loftq: the model before quantization',
      group: 'The adapter',
    },
  });

/** Names of these settings, without those of the init. */
export const adapterSettings: readonly SettingName[] = adapterTable.rows
  .map(({ name }) => name as SettingName)
  .filter((name) => name !== 'init' && name !== 'original');

/** Options for `train` and `previewLora`, with the opened model of `--original`. */
export function loraOptions(settings: Settings, original?: Model): LoraOptions {
  const { original: _, ...options } = optionsIn(settings, adapterTable);
  return { ...options, ...(original ? { original } : {}) };
}
