/** @file Every setting that has both a flag and a key in a YAML file: its type, its words for `--help`, its limits. */

import { initializerNames, type Provider, type ScheduleName } from '@onnx-lora/sdk';
import { z } from 'zod';

/** Values of settings; what is absent was not given. */
export interface Settings {
  model?: string;
  data?: string;
  validation?: string | number;
  task?: string;
  adapter?: string;
  targets?: string | string[];
  r?: number;
  alpha?: number;
  rslora?: boolean;
  dora?: boolean;
  modulesToSave?: string[];
  excludeModules?: string[];
  layersToTransform?: string | number | number[];
  layersPattern?: string[];
  rankPattern?: string | Record<string, number>;
  alphaPattern?: string | Record<string, number>;
  targetParameters?: string[];
  trainableTokenIndices?: string | number[] | Record<string, number[]>;
  bias?: (typeof biases)[number];
  loraBias?: boolean;
  ensureWeightTying?: boolean;
  init?: string;
  original?: string;
  initBatches?: number;
  steps?: number;
  epochs?: number;
  batchSize?: number;
  lr?: number;
  schedule?: ScheduleName;
  warmupSteps?: number;
  weightDecay?: number;
  seed?: number;
  provider?: Provider;
  threads?: number;
  checkpointEvery?: number;
  out?: string;
}

/** The name of a setting in code; its flag is `--batch-size` for `batchSize`. */
export type SettingName = keyof Settings;

/** One setting. */
export interface SettingInfo {
  /** What follows the flag; absent for a switch. */
  readonly placeholder?: string;
  /** How the text after a flag becomes a value. */
  readonly form: 'text' | 'number' | 'list' | 'switch';
  readonly description: string;
  /** Checks a value; its message continues `--r …`. */
  readonly schema: z.ZodType;
}

const providers = ['auto', 'cpu', 'cuda', 'dml', 'coreml', 'webgpu'] as const satisfies readonly Provider[];
const schedules = ['linear', 'cosine', 'constant'] as const satisfies readonly ScheduleName[];

const biases = ['none', 'all', 'lora_only'] as const;

const text = z.string({ error: 'must be text' }).min(1, { error: 'must not be empty' });
const list = z.array(text, { error: 'must be a list of names' }).min(1, { error: 'must not be empty' });
const isSwitch = z.boolean({ error: 'must be true or false' });

function whole(least: number): z.ZodType {
  const error = `must be a whole number of at least ${least}`;
  return z.int({ error }).min(least, { error });
}

function above(zero: 'above 0' | 'of at least 0'): z.ZodType {
  const error = `must be a number ${zero}`;
  const number = z.number({ error });
  return zero === 'above 0' ? number.gt(0, { error }) : number.min(0, { error });
}

const index = z.int().min(0);

function oneOf(words: readonly string[]): z.ZodType {
  return z.enum(words, { error: `must be one of ${words.join(', ')}` });
}

/** A folder or a fraction. Text that can only be meant as a number, such as `20%` or `0,2`, must not pass for a folder. */
function folderOrFraction(): z.ZodType {
  const error = 'must be a folder, or a fraction between 0 and 1 such as 0.2';
  const fraction = z.number({ error }).gt(0, { error }).lt(1, { error });
  const folder = z
    .string({ error })
    .min(1, { error })
    .regex(/^(?![+-]?[\d.,]*\d[\d.,]*%?$)/, { error });
  return z.preprocess(
    (value) =>
      typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : value,
    z.union([fraction, folder], { error }),
  );
}

/** All settings, in the order in which `--help` and a written config.yaml show them. */
export const settingInfos: Readonly<Record<SettingName, SettingInfo>> = {
  model: {
    form: 'text',
    placeholder: '<path or id>',
    description: 'folder laid out like a published repository, .onnx file, or id on the hub',
    schema: text,
  },
  data: {
    form: 'text',
    placeholder: '<folder>',
    description: 'the data; for image-classification a folder per class, or such folders in train/ and test/',
    schema: text,
  },
  validation: {
    form: 'text',
    placeholder: '<folder|fraction>',
    description: 'data held out of training, to be measured: another folder, or a fraction of --data such as 0.2',
    schema: folderOrFraction(),
  },
  task: {
    form: 'text',
    placeholder: '<name>',
    description: "what is learned; default: the usual task of the model's family",
    schema: text,
  },
  adapter: {
    form: 'text',
    placeholder: '<path>',
    description: 'PEFT folder, folder of a training run, or .onnx_adapter file',
    schema: text,
  },
  targets: {
    form: 'text',
    placeholder: '<modules>',
    description:
      'modules to adapt: names with commas between, re:PATTERN for whole paths, all-linear, none, or conditions: node:, weight: (patterns), kind:, shape:',
    schema: z.union([text, list], {
      error: 'must be names, re:PATTERN, conditions such as kind:linear, or all-linear',
    }),
  },
  r: { form: 'number', placeholder: '<n>', description: 'rank of the adapter (default: 8)', schema: whole(1) },
  alpha: {
    form: 'number',
    placeholder: '<x>',
    description: 'the adapter acts times alpha / r (default: 2 r)',
    schema: above('above 0'),
  },
  rslora: { form: 'switch', description: 'scale by alpha / √r instead, for high ranks', schema: isSwitch },
  dora: { form: 'switch', description: 'DoRA: train a magnitude per output as well', schema: isSwitch },
  modulesToSave: {
    form: 'list',
    placeholder: '<modules>',
    description: 'modules to train in full and save with the adapter, such as classifier',
    schema: list,
  },
  excludeModules: {
    form: 'list',
    placeholder: '<modules>',
    description: 'modules to leave out of the targets',
    schema: list,
  },
  layersToTransform: {
    form: 'text',
    placeholder: '<layers>',
    description: 'only these layer numbers, such as 0-3,7',
    schema: z.union([text, index, z.array(index)], { error: 'must be layer numbers, such as 0-3,7' }),
  },
  layersPattern: {
    form: 'list',
    placeholder: '<names>',
    description: 'name of the list whose numbers --layers-to-transform means, where there are several',
    schema: list,
  },
  rankPattern: {
    form: 'text',
    placeholder: '<table>',
    description: 'other ranks, such as query=4,output.dense=16',
    schema: z.union([text, z.record(z.string(), z.number())], { error: 'must be names and ranks, such as query=4' }),
  },
  alphaPattern: {
    form: 'text',
    placeholder: '<table>',
    description: 'other alphas, likewise',
    schema: z.union([text, z.record(z.string(), z.number())], { error: 'must be names and alphas, such as query=8' }),
  },
  targetParameters: {
    form: 'list',
    placeholder: '<names>',
    description: 'parameters to adapt by their own names, such as experts.up_proj',
    schema: list,
  },
  trainableTokenIndices: {
    form: 'text',
    placeholder: '<ids>',
    description: 'tokens whose rows of the embedding are trained: 5,7, or wte=5,7 for one by name',
    schema: z.union([text, index, z.array(index), z.record(z.string(), z.array(index))], {
      error: 'must be token ids, such as 5,7 or wte=5,7',
    }),
  },
  bias: {
    form: 'text',
    placeholder: '<which>',
    description: `biases to train in full: ${biases.join(', ')} (default: none)`,
    schema: oneOf(biases),
  },
  loraBias: { form: 'switch', description: 'give lora_B a bias of its own', schema: isSwitch },
  ensureWeightTying: {
    form: 'switch',
    description: 'one adapter for embed_tokens and the lm_head that shares its weight',
    schema: isSwitch,
  },
  init: {
    form: 'text',
    placeholder: '<name>',
    description: `how the adapter starts: ${initializerNames.join(', ')}`,
    schema: text,
  },
  original: {
    form: 'text',
    placeholder: '<path or id>',
    description: 'with --init loftq: the model before it was quantised',
    schema: text,
  },
  initBatches: {
    form: 'number',
    placeholder: '<n>',
    description: 'batches that corda, eva and lora_ga look at (default: 8)',
    schema: whole(1),
  },
  steps: { form: 'number', placeholder: '<n>', description: 'optimizer steps; overrides --epochs', schema: whole(1) },
  epochs: {
    form: 'number',
    placeholder: '<x>',
    description: 'passes over the data (default: 3)',
    schema: above('above 0'),
  },
  batchSize: { form: 'number', placeholder: '<n>', description: 'examples at a time (default: 32)', schema: whole(1) },
  lr: {
    form: 'number',
    placeholder: '<x>',
    description: 'highest learning rate (default: 0.001)',
    schema: above('above 0'),
  },
  schedule: {
    form: 'text',
    placeholder: '<name>',
    description: `course of the learning rate: ${schedules.join(', ')} (default: linear)`,
    schema: oneOf(schedules),
  },
  warmupSteps: {
    form: 'number',
    placeholder: '<n>',
    description: 'steps over which the learning rate first rises (default: 0)',
    schema: whole(0),
  },
  weightDecay: {
    form: 'number',
    placeholder: '<x>',
    description: 'decoupled weight decay (default: 0.01)',
    schema: above('of at least 0'),
  },
  seed: {
    form: 'number',
    placeholder: '<n>',
    description: 'the same seed gives the same run (default: 0)',
    schema: whole(0),
  },
  provider: {
    form: 'text',
    placeholder: '<name>',
    description: `where it runs: ${providers.join(', ')} (default: auto)`,
    schema: oneOf(providers),
  },
  threads: {
    form: 'number',
    placeholder: '<n>',
    description: 'threads of the CPU (default: all cores)',
    schema: whole(1),
  },
  checkpointEvery: {
    form: 'number',
    placeholder: '<n>',
    description: 'save the adapter every n steps; the last 3 are kept (default: 100)',
    schema: whole(1),
  },
  out: { form: 'text', placeholder: '<path>', description: 'where the result is written', schema: text },
};

/** `batchSize` → `batch-size`: the flag without its dashes, and the key in a YAML file. */
export function keyOf(name: SettingName): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
