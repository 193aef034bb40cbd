/** @file Plans a sweep: configurations of each method, and a trial of each per seed and fold. */

import { createHash } from 'node:crypto';
import { type PluginRegistry } from '@onnx-lora/sdk';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { withoutUndefined, Random } from '@onnx-lora/sdk/data';
import { choicesOf } from '../settings/choices.ts';
import { nameIn, objectIn } from '../settings/numbers.ts';
import { settingInfos } from '../settings/settings.ts';
import type { Settings } from '../settings/setting.ts';
import { settingOfKey, settingsIn } from '../settings/readSettings.ts';
import { configOf } from '../settings/runConfig.ts';
import { usageError } from '../terminal/errors.ts';
import { short } from '../terminal/table.ts';
import type { Content } from '../settings/setting.ts';
import type { SweepFile } from './sweepFile.ts';

/** Settings to try, without seed and fold. */
export interface Configuration {
  readonly method: string;
  /** Its method and tried values: `lora r 8, lr 0.003`. */
  readonly name: string;
  readonly values: Content;
  /** In the order of seeds and folds. */
  readonly trials: readonly Trial[];
}

export interface Trial {
  /** Hash of the settings. */
  readonly id: string;
  readonly seed: number;
  readonly fold?: number;
  readonly settings: Settings;
}

export interface SweepPlan {
  readonly configurations: readonly Configuration[];
  readonly methods: readonly string[];
  readonly baseline: string;
}

/** Settings that cannot be varied, with the reason. */
const fixed: Readonly<Record<string, string>> = {
  seed: 'Seeds are in sweep.seeds.',
  out: 'Each trial has a folder of its own.',
  plugins: 'Name plugins beside "sweep".',
  eval: 'A trial that is not measured says nothing.',
  metric: 'All are compared by one: name it beside "sweep".',
  data: 'Trials of other data cannot be compared: name it beside "sweep".',
  validation: 'Trials of other data cannot be compared: name it beside "sweep".',
  task: 'Trials of other tasks cannot be compared: name it beside "sweep".',
  adapter: 'No run has it.',
};

const MOST = 100_000;

/**
 * Plans the trials of a sweep file.
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown method or setting, or an invalid value
 */
export function planSweep(sweep: SweepFile, registry: PluginRegistry): SweepPlan {
  const { options, content, file } = sweep;
  const known = knownMethods(registry);
  const methods = options.methods
    ? Object.entries(options.methods).map(([name, own]) => ({ name, own: ownOf(name, own, known, file) }))
    : [{ name: nameOfBase(content), own: {} }];
  const [first] = methods;
  if (!first) throw usageError(`"sweep.methods" in "${file}" names no method. Leave it out, or name some.`);
  const names = methods.map(({ name }) => name);
  const { baseline = names.find((name) => name === 'lora') ?? first.name } = options;
  if (!names.includes(baseline))
    throw usageError(`"sweep.baseline" in "${file}" is "${baseline}", but the sweep has no such method.${didYouMean(baseline, names)} Methods are ${names.join(', ')}.`); // prettier-ignore
  const configurations = methods.flatMap(({ name, own }) => configurationsOf(name, own, sweep, registry));
  const seen = new Map<string, string>();
  for (const { name, trials } of configurations) {
    const other = seen.get(trials[0]!.id);
    if (other !== undefined)
      throw usageError(`"${other}" and "${name}" of "${file}" are the same settings. Remove one.`);
    seen.set(trials[0]!.id, name);
  }
  return { configurations, methods: names, baseline };
}

/** Methods known by name, with their settings. */
function knownMethods(registry: PluginRegistry): Readonly<Record<string, Content>> {
  const choices = choicesOf(registry);
  return Object.fromEntries<Content>([
    ...['init', 'tuner'].flatMap((setting) =>
      (choices[setting] ?? []).map((name): [string, Content] => [name, { [setting]: name }]),
    ),
    ['lora', {}],
    ['dora', { dora: true }],
    ['rslora', { rslora: true }],
  ]);
}

function ownOf(name: string, own: Content, known: Readonly<Record<string, Content>>, file: string): Content {
  const says = ['tuner', 'dora', 'rslora', 'init'].some((key) => Object.hasOwn(own, key));
  if (Object.hasOwn(known, name)) return says ? own : { ...known[name], ...own };
  if (Object.keys(own).length > 0) return own;
  const names = Object.keys(known);
  throw usageError(
    `"sweep.methods" in "${file}" names "${name}", but that is not a method, and it has no settings here.${didYouMean(name, names)} Methods by name are ${names.join(', ')}; plugins bring more (plugins: […]).`,
  );
}

function nameOfBase({ tuner, dora }: Content): string {
  return nameOfTuner(tuner) ?? (dora === true ? 'dora' : 'lora');
}

function nameOfTuner(tuner: unknown): string | undefined {
  if (isObject(tuner)) return String(tuner['name']);
  return typeof tuner === 'string' ? (nameIn(tuner) ?? tuner) : undefined;
}

interface Axis {
  readonly key: string;
  readonly values: readonly unknown[] | Range;
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly isLog: boolean;
  readonly isWhole: boolean;
}

function configurationsOf(method: string, own: Content, sweep: SweepFile, registry: PluginRegistry): Configuration[] {
  const { file, options, content } = sweep;
  const { draws, drawSeed } = options;
  const mayDraw = draws !== undefined;
  const axes = [
    ...Object.entries(own).map((entry) => axisOf(entry, ['sweep', 'methods', method], mayDraw, sweep)),
    ...Object.entries(options.try)
      .filter(([key]) => !Object.hasOwn(own, key))
      .map((entry) => axisOf(entry, ['sweep', 'try'], mayDraw, sweep)),
  ];
  const chosen = draws === undefined ? grid(axes, file) : drawn(axes, draws, seedOf(method, drawSeed));
  const told = axes.filter(({ values }) => !Array.isArray(values) || values.length > 1).map(({ key }) => key);
  return chosen.map((values) => {
    const shown = told.map((key) => `${key} ${wordOf(values[key])}`);
    const name = [method, shown.join(', ')].filter((part) => part !== '').join(' ');
    const raw = withTunerSettings(plain({ ...content, ...values }), registry);
    const settings = settingsIn(raw, file);
    return {
      method,
      name,
      values: Object.fromEntries(told.map((key) => [key, values[key] ?? null])),
      trials: trialsOf(settings, options),
    };
  });
}

/** Checks a key and its values; a tuner's own settings are checked later with it. */
function axisOf(
  [key, given]: [string, unknown],
  under: readonly string[],
  mayDraw: boolean,
  { file }: SweepFile,
): Axis {
  const name = settingOfKey(key);
  const reason = name === undefined ? undefined : fixed[name];
  if (reason !== undefined) throw usageError(`"${[...under, key].join('.')}" in "${file}" cannot be tried. ${reason}`);
  const range = rangeOf(given);
  if (range && name !== undefined && settingInfos[name].kind === 'number') {
    const where = `"${[...under, key].join('.')}" in "${file}"`;
    if (!mayDraw) throw usageError(`${where} is a range, from which values are drawn. Add search: random and draws, or list values.`); // prettier-ignore
    if (!(range.from < range.to) || (range.isLog && !(range.from > 0)))
      throw usageError(`${where} must be from a number to a larger one${range.isLog ? ', both above 0' : ''}. Correct it.`); // prettier-ignore
    for (const end of [range.from, range.to]) settingsIn({ [key]: end }, file, under);
    return { key, values: { ...range, isWhole: settingInfos[name].whole === true } };
  }
  const values = Array.isArray(given) ? (given as unknown[]) : [given];
  if (values.length === 0) throw usageError(`"${[...under, key].join('.')}" in "${file}" is an empty list. Name values, or leave it out.`); // prettier-ignore
  const checked = name === 'tuner' || name === 'optimizer' ? values.filter((value) => !isObject(value)) : values;
  if (name !== undefined) for (const value of checked) settingsIn({ [key]: value }, file, under);
  return { key, values };
}

function rangeOf(given: unknown): Omit<Range, 'isWhole'> | undefined {
  if (!isObject(given)) return undefined;
  const { from, to, scale } = given;
  return typeof from === 'number' && typeof to === 'number' ? { from, to, isLog: scale === 'log' } : undefined;
}

function grid(axes: readonly Axis[], file: string): Content[] {
  let all: Content[] = [{}];
  for (const { key, values } of axes) {
    all = all.flatMap((before) => (values as readonly unknown[]).map((value) => ({ ...before, [key]: value })));
    if (all.length > MOST) throw usageError(`"${file}" asks for more than ${MOST} configurations. Draw some: search: random.`); // prettier-ignore
  }
  return all;
}

/** Draws distinct configurations; fewer when there are no more. */
function drawn(axes: readonly Axis[], count: number, seed: number): Content[] {
  const random = new Random(seed);
  const found = new Map<string, Content>();
  for (let tries = 0; found.size < count && tries < 100 * count; tries++) {
    const values = Object.fromEntries(axes.map(({ key, values: all }) => [key, draw(all, random)]));
    const id = JSON.stringify(values);
    if (!found.has(id)) found.set(id, values);
  }
  return [...found.values()];
}

function draw(values: Axis['values'], random: Random): unknown {
  if (Array.isArray(values)) return values[random.index(values.length)];
  const { from, to, isLog, isWhole } = values as Range;
  const value = isLog ? Math.exp(random.uniform(Math.log(from), Math.log(to))) : random.uniform(from, to);
  return isWhole ? Math.round(value) : Number(value.toPrecision(3));
}

/** Independent draws per method, so that adding a method changes no others. */
function seedOf(method: string, drawSeed: number): number {
  return createHash('sha256').update(`${drawSeed} ${method}`).digest().readUInt32LE(0);
}

/** Moves `set.NAME` into `set`, and writes an optimizer with settings as JSON. */
function plain(content: Content): Content {
  const { set, optimizer, ...others } = content;
  const inSet = Object.entries(others).filter(([key]) => key.startsWith('set.'));
  const own = Object.fromEntries(inSet.map(([key, value]) => [key.slice('set.'.length), value]));
  return {
    ...Object.fromEntries(Object.entries(others).filter(([key]) => !key.startsWith('set.'))),
    ...(set === undefined && inSet.length === 0 ? {} : { set: { ...(set as object | undefined), ...own } }),
    ...(optimizer === undefined ? {} : { optimizer: isObject(optimizer) ? JSON.stringify(optimizer) : optimizer }),
  };
}

function isObject(value: unknown): value is Content {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Moves the tuner's own settings into it. */
function withTunerSettings(raw: Content, { tuners }: PluginRegistry): Content {
  const { tuner: given, ...others } = raw;
  const found = tuners.find(({ name }) => name === nameOfTuner(given));
  const isText = typeof given === 'string' && !given.startsWith('{');
  if (!found) return isObject(given) ? { ...others, tuner: JSON.stringify(given) } : raw;
  const named = isText ? { name: given } : typeof given === 'string' ? objectIn(given) : (given as Content);
  // Reading the setting reports the error.
  if (!named) return raw;
  const isOwn = ([key]: [string, unknown]): boolean => Object.hasOwn(found.defaults, key);
  const own = Object.entries(others).filter(isOwn);
  const settings = { ...named, ...Object.fromEntries(own.filter(([, value]) => value !== null)) };
  const tuner = Object.keys(settings).length === 1 ? found.name : JSON.stringify(settings);
  return { ...Object.fromEntries(Object.entries(others).filter((entry) => !isOwn(entry))), tuner };
}

function trialsOf(settings: Settings, { seeds, folds }: SweepFile['options']): Trial[] {
  const { out: _, ...others } = settings;
  return seeds.flatMap((seed) =>
    (folds ?? [undefined]).map((fold) => {
      const own: Settings = {
        keepCheckpoints: 1,
        ...others,
        seed,
        ...(fold === undefined ? {} : { set: { ...others.set, fold } }),
      };
      return { id: idOf(own), seed, ...withoutUndefined({ fold }), settings: own };
    }),
  );
}

function idOf(settings: Settings): string {
  return createHash('sha256').update(JSON.stringify(configOf(settings))).digest('hex').slice(0, 10); // prettier-ignore
}

function wordOf(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'number') return short(value);
  if (Array.isArray(value)) return value.map(String).join('+');
  return typeof value === 'object' ? JSON.stringify(value) : String(value as string | boolean);
}

/** The folder name of a trial: `lora-r-8-lr-0.003-seed-0-1f2e3d4c5b`. */
export function folderOf({ name }: Configuration, { seed, fold, id }: Trial): string {
  const words = `${name} seed ${seed}${fold === undefined ? '' : ` fold ${fold}`}`;
  const slug = words.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-').slice(0, 80); // prettier-ignore
  return `${slug.replaceAll(/^[-.]+|[-.]+$/g, '')}-${id}`;
}
