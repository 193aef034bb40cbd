/** @file The `sweep` section of the config file. */

import { settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { z } from 'zod';
import type { CommandSetting, Content } from './setting.ts';

export type Search = 'grid' | 'random' | 'halving';

export interface SweepOptions {
  /** Settings of each method, by name. */
  readonly methods: Readonly<Record<string, Content>>;
  /** Values to try with each method. */
  readonly try: Content;
  readonly search: Search;
  /** Configurations drawn per method; all without it. */
  readonly draws?: number;
  readonly drawSeed: number;
  /** Halving: 1 of `factor` configurations reaches the next rung. */
  readonly factor: number;
  /** Halving: number of rungs; by default until one configuration per method is left. */
  readonly rungs?: number;
  readonly seeds: readonly number[];
  readonly folds?: readonly number[];
  readonly baseline?: string;
  readonly parallel: number;
  /** Time budget of the sweep. */
  readonly minutes?: number;
  /** Megabytes of all running trials together. */
  readonly memory?: number;
  /** On a cluster: what a trial asks for, by name. */
  readonly resources?: Resources;
}

/** Amounts of `cpus`, `gpus`, `memory` in megabytes, and of resources that the cluster names. */
export type Resources = Readonly<Record<string, number>>;

const seed = z.int().min(0).max(2 ** 32 - 1); // prettier-ignore
const distinct = (list: readonly number[]): boolean => new Set(list).size === list.length;
/** A count, from 0, or a list. */
function counted(what: string): z.ZodType {
  const error = `must be how many there are, or a list of ${what}, none twice`;
  const list = z.array(seed, { error }).min(1, { error }).refine(distinct, { error });
  return z.union([z.int().min(1).max(1000), list], { error });
}
const table = z.record(z.string(), z.unknown());

export const sweepTable: SettingTable<SweepOptions, CommandSetting> = settingsOf({
  methods: {
    kind: 'other',
    schema: z.union([z.array(z.string().min(1)).min(1), z.record(z.string(), table.nullable())], {
      error: 'must be names, or names with settings, such as lora: { r: [4, 8] }',
    }),
    description:
      'ways to train that are held against each other: lora, dora, rslora, a tuner (loha …), an initialisation (pissa …), or a name of your own with its settings',
    to: methodsOf,
  },
  try: {
    kind: 'other',
    schema: z.record(z.string(), z.unknown(), { error: 'must be settings and values, such as lr: [1e-3, 3e-3]' }),
    description:
      'what each method is tried with: settings of train and a list of values each; set.NAME for one of the task',
  },
  search: {
    kind: 'choice',
    of: ['grid', 'random', 'halving'],
    description:
      'grid: all of it; random: draws; halving: all begin, and of each method only the best go on, step by step',
    default: 'grid',
  },
  draws: {
    kind: 'number',
    whole: true,
    min: 1,
    max: 10_000,
    description: 'how many configurations of each method are drawn (random, halving); values may then be { from, to }',
  },
  drawSeed: { kind: 'number', whole: true, min: 0, max: 2 ** 32 - 1, description: 'seed of the draws', default: 0 },
  factor: {
    kind: 'number',
    whole: true,
    min: 2,
    max: 100,
    description: 'halving: one in so many continues, with that many times the steps',
    default: 3,
  },
  rungs: {
    kind: 'number',
    whole: true,
    min: 2,
    max: 20,
    description: 'halving: how often it is measured, the end included (default: until one of each method is left)',
  },
  seeds: {
    kind: 'other',
    schema: counted('seeds'),
    description: 'every configuration is trained with each: how many, or which (default: the seed of the settings)',
    to: listed,
  },
  folds: {
    kind: 'other',
    schema: counted('folds'),
    description: "the task's setting fold: how many there are, or which, of a task that has it",
    to: listed,
  },
  baseline: { kind: 'text', description: 'the method that the others are held against (default: lora, or the first)' },
  parallel: {
    kind: 'number',
    whole: true,
    min: 1,
    max: 256,
    description: 'trials at a time, which share the cores',
    default: 1,
  },
  minutes: {
    kind: 'number',
    above: 0,
    description: 'minutes for all calls together; a later call with more continues',
  },
  memory: {
    kind: 'number',
    above: 0,
    unit: 'megabytes',
    description: 'megabytes that all running trials may have together; one that needs more alone is ended',
  },
  resources: {
    kind: 'other',
    schema: z.record(z.string().min(1), z.number().min(0), {
      error: 'must be names and amounts, such as { cpus: 2, gpus: 1 }',
    }),
    description:
      "on a cluster (--on): what each trial asks for: cpus (default 1, also its threads), gpus, memory in megabytes, or a resource of the cluster's own",
  },
});

function methodsOf(given: readonly string[] | Readonly<Record<string, Content | null>>): SweepOptions['methods'] {
  if (Array.isArray(given)) return Object.fromEntries((given as readonly string[]).map((name) => [name, {}]));
  const methods = given as Readonly<Record<string, Content | null>>;
  return Object.fromEntries(Object.entries(methods).map(([name, own]) => [name, own ?? {}]));
}

function listed(given: number | readonly number[]): readonly number[] {
  return typeof given === 'number' ? Array.from({ length: given }, (_, i) => i) : given;
}
