/** @file Every setting that has both a flag and a key in a YAML file: its type, its words for `--help`, its limits. */

import type { Provider } from '@onnx-lora/sdk';
import type { SettingValue } from '@onnx-lora/sdk/plugin';
import {
  type BadLossPolicy,
  type BadSamplePolicy,
  initializerNames,
  optimizerNames,
  providerNames,
  type ScheduleName,
  scheduleNames,
} from '@onnx-lora/sdk/core';
import { z } from 'zod';

/** Values of settings; what is absent was not given. */
export interface Settings {
  model?: string;
  fix?: Record<string, FixedSetting>;
  data?: string;
  validation?: string | number;
  task?: string;
  set?: Record<string, SettingValue>;
  adapter?: string;
  from?: string;
  targets?: string | string[];
  tuner?: string;
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
  loraDropout?: number;
  ensureWeightTying?: boolean;
  init?: string;
  original?: string;
  initBatches?: number;
  steps?: number;
  epochs?: number;
  batchSize?: number;
  accumulationSteps?: number;
  sampling?: 'uniform' | 'balanced' | 'length';
  batchLength?: number;
  lr?: number;
  optimizer?: string;
  schedule?: ScheduleName;
  warmupSteps?: number;
  weightDecay?: number;
  loraPlusRatio?: number;
  clipNorm?: number;
  ema?: number;
  eval?: boolean;
  evalEvery?: number | 'epoch';
  metric?: string;
  patience?: number;
  minDelta?: number;
  loadBest?: boolean;
  onBadLoss?: BadLossPolicy;
  onBadSample?: BadSamplePolicy;
  prefetch?: number;
  memory?: number | 'auto';
  cachePrefix?: number | 'auto' | 'off';
  seed?: number;
  provider?: Provider;
  threads?: number;
  checkpointEvery?: number;
  keepCheckpoints?: number;
  tensorboard?: boolean;
  track?: string[];
  plugins?: string[];
  out?: string;
}

/** What an input of the model may be fixed to, before it is read as the input's type. */
export type FixedSetting = string | number | boolean | (number | boolean)[];

/** The name of a setting in code; its flag is `--batch-size` for `batchSize`. */
export type SettingName = keyof Settings;

/** One setting. */
export interface SettingInfo {
  /** What follows the flag; absent for a switch. */
  readonly placeholder?: string;
  /** How the text after a flag becomes a value; the flags of `pairs` and `each` may come many times. */
  readonly form: 'text' | 'number' | 'list' | 'switch' | 'pairs' | 'each';
  /** The flag, where it is not the key: `plugin` for `plugins`, `no-eval` for an `eval` that is false. */
  readonly flag?: string;
  readonly description: string;
  /** What it is where nobody sets it; absent where that depends on other things, which the description then says. */
  readonly default?: string | number | boolean;
  /** Checks a value; its message continues `--r …`. */
  readonly schema: z.ZodType;
}

const MILLION = 1_000_000;

const badLosses = ['stop', 'skip', 'backoff'] as const satisfies readonly BadLossPolicy[];
const badSamples = ['fail', 'skip'] as const satisfies readonly BadSamplePolicy[];

const biases = ['none', 'all', 'lora_only'] as const;

const text = z.string({ error: 'must be text' }).min(1, { error: 'must not be empty' });
const list = z.array(text, { error: 'must be a list of names' }).min(1, { error: 'must not be empty' });
const isSwitch = z.boolean({ error: 'must be true or false' });

/** `most` is what nobody needs more of: memory or time would end before. */
function whole(least: number, most = 1_000_000_000): z.ZodType {
  const error = `must be a whole number of at least ${least}`;
  return z
    .int({ error })
    .min(least, { error })
    .max(most, { error: `must be a whole number from ${least} to ${most}` });
}

/** From nothing to almost all. */
const shareError = 'must be a number from 0 to below 1, such as 0.1';
const share: z.ZodType = z.number({ error: shareError }).min(0, { error: shareError }).lt(1, { error: shareError });

function above(zero: 'above 0' | 'of at least 0', most?: number): z.ZodType {
  const error = `must be a number ${zero}`;
  const number = z.number({ error });
  const least = zero === 'above 0' ? number.gt(0, { error }) : number.min(0, { error });
  return most === undefined ? least : least.max(most, { error: `must be a number ${zero} and not above ${most}` });
}

const index = z.int().min(0);
const decay = 'must be a number between 0 and 1, such as 0.999';

/** Megabytes, or one of these words. */
function megabytesOr(...words: readonly string[]): z.ZodType {
  const error = `must be a number of megabytes, or ${words.join(' or ')}`;
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value),
    z.union([z.number({ error }).gt(0, { error }), z.enum(words, { error })], { error }),
  );
}

function stepsOrEpoch(): z.ZodType {
  const error = 'must be a number of steps, or epoch';
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
    z.union([z.int({ error }).min(1, { error }), z.literal('epoch', { error })], { error }),
  );
}

/** One of these words, or another that a plugin brings; whoever uses it says if there is none such. */
function nameSuchAs(words: readonly string[]): z.ZodType {
  return z.string({ error: `must be a name, such as ${words.join(', ')}` }).min(1, { error: 'must not be empty' });
}

function oneOf(words: readonly string[]): z.ZodType {
  return z.enum(words, { error: `must be one of ${words.join(', ')}` });
}

/** A folder or a fraction. Text that can only be meant as a number, such as `20%` or `0,2`, must not pass for a folder. */
function folderOrFraction(): z.ZodType {
  const error = 'must be a folder, or a fraction between 0 and 1 such as 0.2';
  const fraction = z.number({ error }).gte(0, { error }).lt(1, { error });
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
  fix: {
    form: 'pairs',
    placeholder: '<input=value>',
    description:
      'an input of the model that keeps this value, such as sr=16000, and is not fed; may be given many times',
    schema: z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean(), z.array(z.union([z.number(), z.boolean()]))], {
        error: 'must be a number, true or false, or several with commas between',
      }),
      { error: 'must be inputs and values, such as sr: 16000' },
    ),
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
    description:
      'data held out of training, to be measured: another folder, or a fraction of --data such as 0.2; 0 holds nothing out',
    schema: folderOrFraction(),
  },
  task: {
    form: 'text',
    placeholder: '<name>',
    description: "what is learned; default: the usual task of the model's family",
    schema: text,
  },
  set: {
    form: 'pairs',
    placeholder: '<name=value>',
    description: "a setting of the task's own; may be given many times (see onnx-lora tasks)",
    schema: z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean(), z.array(z.string())], {
        error: 'must be text, a number, true or false, or a list of texts',
      }),
      { error: 'must be names and values, such as augment: standard' },
    ),
  },
  adapter: {
    form: 'text',
    placeholder: '<path>',
    description: 'PEFT folder, folder of a training run, or .onnx_adapter file',
    schema: text,
  },
  from: {
    form: 'text',
    placeholder: '<run|adapter>',
    description:
      'begin with this adapter: its modules, ranks and head, and its numbers; folder of a run, PEFT folder or .onnx_adapter file',
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
  tuner: {
    form: 'text',
    placeholder: '<name>',
    description: 'another tuner than LoRA, which a plugin brings: its name, or JSON with its settings',
    schema: text,
  },
  r: { form: 'number', placeholder: '<n>', description: 'rank of the adapter', default: 8, schema: whole(1) },
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
    description: `biases to train in full: ${biases.join(', ')}`,
    default: 'none',
    schema: oneOf(biases),
  },
  loraBias: { form: 'switch', description: 'give lora_B a bias of its own', schema: isSwitch },
  loraDropout: {
    form: 'number',
    placeholder: '<share>',
    description: 'share of what an adapter reads that each step leaves out',
    default: 0,
    schema: share,
  },
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
    description: 'batches that corda, eva and lora_ga look at',
    default: 8,
    schema: whole(1, MILLION),
  },
  steps: { form: 'number', placeholder: '<n>', description: 'optimizer steps; overrides --epochs', schema: whole(1) },
  epochs: {
    form: 'number',
    placeholder: '<x>',
    description: 'passes over the data',
    default: 3,
    schema: above('above 0', MILLION),
  },
  batchSize: {
    form: 'number',
    placeholder: '<n>',
    description: "examples at a time (default: 32, or the task's)",
    schema: whole(1, MILLION),
  },
  accumulationSteps: {
    form: 'number',
    placeholder: '<n>',
    description: 'batches whose gradients make one step',
    default: 1,
    schema: whole(1, MILLION),
  },
  sampling: {
    form: 'text',
    placeholder: '<how>',
    description:
      'uniform; balanced: every class equally often, however many examples it has; or length: batches of examples of about one length',
    default: 'uniform',
    schema: oneOf(['uniform', 'balanced', 'length']),
  },
  batchLength: {
    form: 'number',
    placeholder: '<n>',
    description:
      'with --sampling length: most tokens (or seconds) of a batch, padding included; short examples then come in larger batches, up to --batch-size',
    schema: above('above 0'),
  },
  lr: {
    form: 'number',
    placeholder: '<x>',
    description: 'highest learning rate',
    default: 0.001,
    schema: above('above 0'),
  },
  optimizer: {
    form: 'text',
    placeholder: '<name>',
    description: `one of ${optimizerNames.join(', ')}`,
    default: 'adamw',
    schema: nameSuchAs(optimizerNames),
  },
  schedule: {
    form: 'text',
    placeholder: '<name>',
    description: `course of the learning rate: ${scheduleNames.join(', ')}`,
    default: 'linear',
    schema: oneOf(scheduleNames),
  },
  warmupSteps: {
    form: 'number',
    placeholder: '<n>',
    description: 'steps over which the learning rate first rises; below 1: this part of all steps',
    default: 0,
    schema: above('of at least 0'),
  },
  weightDecay: {
    form: 'number',
    placeholder: '<x>',
    description: 'weight decay (default: 0.01 with adamw)',
    schema: above('of at least 0'),
  },
  loraPlusRatio: {
    form: 'number',
    placeholder: '<x>',
    description: 'LoRA+: lora_B learns so many times faster than lora_A',
    schema: above('above 0'),
  },
  clipNorm: {
    form: 'number',
    placeholder: '<x>',
    description: 'bound the norm of all gradients together',
    schema: above('above 0'),
  },
  ema: {
    form: 'number',
    placeholder: '<decay>',
    description: 'average the adapter over the last steps, such as 0.999; the average is measured and saved',
    schema: z.number({ error: decay }).gt(0, { error: decay }).lt(1, { error: decay }),
  },
  eval: {
    form: 'switch',
    flag: 'no-eval',
    description: 'do not measure before and after (in a file: eval: false)',
    default: true,
    schema: isSwitch,
  },
  evalEvery: {
    form: 'text',
    placeholder: '<n|epoch>',
    description: 'measure the held-out data every n steps, or after each epoch',
    schema: stepsOrEpoch(),
  },
  metric: {
    form: 'text',
    placeholder: '<name>',
    description:
      "metric by which --load-best and --patience compare; name:lower or name:higher says which is better (default: the task's first)",
    schema: text,
  },
  patience: {
    form: 'number',
    placeholder: '<n>',
    description: 'stop early after n measurements without a better one',
    schema: whole(1),
  },
  minDelta: {
    form: 'number',
    placeholder: '<x>',
    description: 'how much better a measurement must be to count for --patience',
    default: 0,
    schema: above('of at least 0'),
  },
  loadBest: { form: 'switch', description: 'keep the adapter that measured best, not the last one', schema: isSwitch },
  onBadLoss: {
    form: 'text',
    placeholder: '<what>',
    description: `when a loss is no number: ${badLosses.join(', ')} (skip the batch and halve the learning rate)`,
    default: 'stop',
    schema: oneOf(badLosses),
  },
  onBadSample: {
    form: 'text',
    placeholder: '<what>',
    description: `when a file cannot be read: ${badSamples.join(', ')}`,
    default: 'fail',
    schema: oneOf(badSamples),
  },
  prefetch: {
    form: 'number',
    placeholder: '<n>',
    description: 'batches that load while a step computes',
    default: 2,
    schema: whole(0, 1000),
  },
  memory: {
    form: 'text',
    placeholder: '<auto|MB>',
    description: 'megabytes that a step may keep for its gradients; the rest is computed again',
    default: 'auto',
    schema: megabytesOr('auto'),
  },
  cachePrefix: {
    form: 'text',
    placeholder: '<auto|off|MB>',
    description: 'keep what frozen layers below the adapter give for each example, up to so many megabytes',
    default: 'auto',
    schema: megabytesOr('auto', 'off'),
  },
  seed: {
    form: 'number',
    placeholder: '<n>',
    description: 'the same seed gives the same run',
    default: 0,
    schema: whole(0, 2 ** 32 - 1),
  },
  provider: {
    form: 'text',
    placeholder: '<name>',
    description: `where it runs: ${providerNames.join(', ')}`,
    default: 'auto',
    schema: nameSuchAs(providerNames),
  },
  threads: {
    form: 'number',
    placeholder: '<n>',
    description: 'threads of the CPU (default: all cores)',
    schema: whole(1, 256),
  },
  checkpointEvery: {
    form: 'number',
    placeholder: '<n>',
    description: 'save all that --resume needs every n steps',
    default: 100,
    schema: whole(1),
  },
  keepCheckpoints: {
    form: 'number',
    placeholder: '<n>',
    description: 'how many checkpoints stay',
    default: 3,
    schema: whole(1),
  },
  tensorboard: { form: 'switch', description: 'write tensorboard/ into the folder of the run', schema: isSwitch },
  track: {
    form: 'each',
    placeholder: '<name>',
    description: 'who follows the run: tensorboard, or a tracker of a plugin; may be given many times',
    schema: list,
  },
  plugins: {
    form: 'each',
    flag: 'plugin',
    placeholder: '<package>',
    description: 'load this plugin first: an installed package, or the path of a .js file; may be given many times',
    schema: list,
  },
  out: { form: 'text', placeholder: '<path>', description: 'where the result is written', schema: text },
};

/** Flags by the headings under which help has them where there are many; some are no settings. */
export const groups: Readonly<Record<string, readonly (SettingName | (string & {}))[]>> = {
  'Model, data and task': ['model', 'fix', 'data', 'validation', 'task', 'set', 'plugins', 'config'],
  'The run and its folder': ['out', 'resume', 'overwrite', 'checkpointEvery', 'keepCheckpoints', 'tensorboard', 'track', 'json', 'quiet', 'debug'],
  'Steps and batches': ['steps', 'epochs', 'batchSize', 'accumulationSteps', 'sampling', 'batchLength', 'seed'],
  'How it learns': ['lr', 'optimizer', 'schedule', 'warmupSteps', 'weightDecay', 'loraPlusRatio', 'clipNorm', 'ema'],
  'What is adapted': ['from', 'targets', 'excludeModules', 'layersToTransform', 'layersPattern', 'targetParameters', 'modulesToSave', 'trainableTokenIndices', 'bias', 'ensureWeightTying'],
  'The adapter': ['r', 'alpha', 'rankPattern', 'alphaPattern', 'rslora', 'dora', 'loraBias', 'loraDropout', 'tuner', 'init', 'original', 'initBatches'],
  'What is measured': ['evalEvery', 'eval', 'metric', 'patience', 'minDelta', 'loadBest'],
  'When something is wrong': ['onBadLoss', 'onBadSample'],
  'Where it runs': ['provider', 'threads', 'memory', 'cachePrefix', 'prefetch'],
}; // prettier-ignore

/** `batchSize` → `batch-size`: the key in a YAML file, and of nearly all the flag without its dashes. */
export function keyOf(name: SettingName): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The flag of a setting, with its dashes. */
export function flagOf(name: SettingName): string {
  return `--${settingInfos[name].flag ?? keyOf(name)}`;
}

/** What a setting is for, with its default. */
export function descriptionOf(name: SettingName): string {
  const { description, default: value } = settingInfos[name];
  return value === undefined || typeof value === 'boolean' ? description : `${description} (default: ${value})`;
}
