/** @file Settings of one call, from flags and the YAML file of `--config`, checked value by value. */

import { readFile, stat } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { decodeText } from '@onnx-lora/sdk/data';
import { didYouMean, settingSchema, settingsOf, type SettingTable, type SettingValues, type TaskFactory, valueOfWords } from '@onnx-lora/sdk/plugin'; // prettier-ignore
import type { Document, visit } from 'yaml';
import { usageError } from '../terminal/errors.ts';
import { wordsOf } from './settingsSchema.ts';
import { flagOf, settingElsewhere, settingInfos } from './settings.ts';
import { type CommandSetting, type Content, keyOf, type SettingName, type Settings } from './setting.ts';

const names = Object.keys(settingInfos) as SettingName[];
/** Config files of values of `set`, by the object that holds them. */
const filesOfSets = new WeakMap<object, ReadonlyMap<string, string>>();
const MAX_CONFIG_BYTES = 1 << 20;

/**
 * Merges flags and the config file, whose keys are the flags without dashes; `batch_size` and `batchSize` mean
 * `batch-size`. Flags win.
 * @param flags by setting name, as commander gives them; other keys are ignored
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid value or key, `FILE_NOT_FOUND`
 */
export async function readSettings(
  flags: Readonly<Record<string, unknown>>,
  configFile: string | undefined,
): Promise<Settings> {
  const fromFile: Settings = configFile === undefined ? {} : settingsIn(await readYaml(configFile), configFile);
  const fromFlags = settingsFromFlags(flags);
  // Steps override epochs, so the file's steps must not override the flag's epochs.
  if (fromFlags.epochs !== undefined) delete fromFile.steps;
  const settings = { ...fromFile, ...fromFlags };
  if (!fromFile.set) return settings;
  const set = { ...fromFile.set, ...fromFlags.set };
  const inFile = Object.keys(fromFile.set).filter((name) => !Object.hasOwn(fromFlags.set ?? {}, name));
  filesOfSets.set(set, new Map(inFile.map((name) => [name, configFile!])));
  return { ...settings, set };
}

function settingsFromFlags(flags: Readonly<Record<string, unknown>>): Settings {
  const given = names.filter((name) => Object.hasOwn(flags, name) && flags[name] !== undefined);
  return Object.fromEntries(
    given.map((name) => [name, checked(name, valueOfFlag(name, flags[name]), () => flagOf(name), flags[name])]),
  );
}

function valueOfFlag(name: SettingName, given: unknown): unknown {
  const row = settingInfos[name];
  if (row.form === 'pairs') return Object.fromEntries((given as string[]).map(pairOf));
  if (typeof given !== 'string') return given;
  if (given.startsWith('--')) throw usageError(`${flagOf(name)} needs a value, but the flag ${given} follows it.`);
  return valueOfWords(row, given);
}

/** `a=b` → `['a', 'b']`; a name alone is true. */
function pairOf(text: string): [string, string | true] {
  const at = text.indexOf('=');
  return at < 0 ? [text, true] : [text.slice(0, at), text.slice(at + 1)];
}

/** Reads the keys and values of a YAML file. @throws OnnxLoraError `FILE_NOT_FOUND`, `CONFIG_INVALID` */
export async function readYaml(file: string): Promise<Record<string, unknown>> {
  const yaml = await import('yaml');
  // The parser's own check is quadratic, and there may be a hundred thousand keys.
  const document = yaml.parseDocument(await readText(file), { prettyErrors: true, uniqueKeys: false });
  const [error] = document.errors;
  if (error)
    throw usageError(`"${file}" is not valid YAML: ${error.message.split('\n')[0]!.replace(/:$/, '')}. Correct it.`);
  const twice = repeatedKey(document, yaml.visit);
  if (twice !== undefined) throw usageError(`"${file}" has the key "${twice}" twice. Remove one.`);
  return toPlain(document, file);
}

/**
 * Converts a file's keys and values to settings, and checks them.
 * @param under parent keys in the file
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function settingsIn(
  content: Readonly<Record<string, unknown>>,
  file: string,
  under: readonly string[] = [],
): Settings {
  const settings: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(content)) {
    const name = settingOfKey(key);
    if (!name) throw usageError(unknownKey(file, key, under));
    if (Object.hasOwn(settings, name)) throw usageError(`"${file}" has the key "${keyOf(name)}" twice. Remove one.`);
    if (value !== null && value !== undefined)
      settings[name] = checked(name, value, (inner) => `"${[...under, key, ...inner].join('.')}" in "${file}"`);
  }
  return settings;
}

/** The first duplicate key; plain values would silently keep the last. */
function repeatedKey(document: Document, visited: typeof visit): string | undefined {
  let repeated: string | undefined;
  visited(document, {
    Map(_, { items }) {
      const keys = new Set<string>();
      for (const { key } of items) {
        const text = String(key);
        if (keys.has(text)) repeated = text;
        keys.add(text);
      }
      return repeated === undefined ? undefined : visited.BREAK;
    },
  });
  return repeated;
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MAX_CONFIG_BYTES) {
      throw usageError(`"${file}" has ${size} bytes, more than settings can need. Name a YAML file of settings.`);
    }
    return decodeText(await readFile(file), file, 'CONFIG_INVALID');
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new OnnxLoraError('FILE_NOT_FOUND', `There is no config file "${file}". Check the path.`, { cause });
    }
    throw new OnnxLoraError('FILE_INVALID', `"${file}" cannot be read: ${(cause as Error).message}. Name a file.`, {
      cause,
    });
  }
}

function toPlain(document: Document, file: string): Record<string, unknown> {
  let content: unknown;
  try {
    // Limits aliases, which could expand a small file hugely.
    content = document.toJS({ maxAliasCount: 20 });
  } catch (cause) {
    throw usageError(`"${file}" cannot be read: ${(cause as Error).message}. Write its values out.`);
  }
  if (content === null || content === undefined) return {};
  if (typeof content === 'object' && !Array.isArray(content)) return content as Record<string, unknown>;
  throw usageError(`"${file}" must hold keys and values, such as "steps: 200".`);
}

function unknownKey(file: string, key: string, under: readonly string[]): string {
  const known = names.map(keyOf);
  const meant = settingElsewhere(dashed(key));
  const hint = meant === undefined ? didYouMean(dashed(key), known) : ` Here it is "${keyOf(meant)}".`;
  return `"${file}" has the unknown key "${[...under, key].join('.')}".${hint} Keys are ${known.join(', ')}.`;
}

/** The setting of a file's key; undefined for an unknown key. */
export function settingOfKey(key: string): SettingName | undefined {
  return names.find((each) => keyOf(each) === dashed(key));
}

function dashed(key: string): string {
  return key.replaceAll('_', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Checks a value.
 * @param where names the value in messages, by the keys inside it
 * @param given the user's text, if it differs from the value
 */
function checked(name: SettingName, value: unknown, where: (inner: string[]) => string, given?: unknown): unknown {
  const row = settingInfos[name];
  // A number that may also be a word is accepted in quotes.
  const { data, error } = settingSchema(row).safeParse(row.or ? valueOfWords(row, value) : value);
  if (!error) return data;
  const { path, message } = error.issues[0]!;
  const inner = row.form === 'pairs' && given === undefined ? path.map(String) : [];
  const shown = inner.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], given ?? value);
  const hint = typeof shown === 'string' ? didYouMean(shown, wordsOf(name)) : '';
  throw usageError(`${where(inner)} ${message}, but it is ${JSON.stringify(shown)}.${hint}`);
}

/**
 * Reads a config file and one of its sections.
 * @param missing continues `"FILE" has no key "SECTION"` when the section is absent
 * @returns the section's options, and the rest of the file
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `CONFIG_INVALID`
 */
export async function readSection<Options>(
  file: string,
  section: string,
  table: SettingTable<Options, CommandSetting>,
  missing: string,
): Promise<{ readonly content: Content; readonly options: ReturnType<SettingTable<Options>['read']> }> {
  const { [section]: own, ...content } = await readYaml(file);
  if (typeof own !== 'object' || own === null || Array.isArray(own))
    throw usageError(`"${file}" has no key "${section}" ${missing}`);
  const given = Object.entries(own as Content).filter(([, value]) => value !== null);
  const options = table.read(
    Object.fromEntries(given.map(([key, value]) => [nameOf(key), value])) as SettingValues,
    { owner: `"${section}" in "${file}"`, where: (name) => `"${section}.${keyOf(name)}" in "${file}"` }, // prettier-ignore
  );
  return { content, options };
}

/** `draw-seed` → `drawSeed`. */
function nameOf(key: string): string {
  return key.replaceAll(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Converts the task's own settings to their types, so that config.yaml has a number as a number. */
export function withTaskSettings(settings: Settings, factory: TaskFactory): Settings {
  return settings.set === undefined ? settings : { ...settings, set: { ...taskSettings(settings.set, factory) } };
}

/** Checks and converts `--set` by the task's table. Idempotent. @throws OnnxLoraError `CONFIG_INVALID` */
export function taskSettings(given: SettingValues, { name: task, settings }: TaskFactory): SettingValues {
  return setBy(given, settings ?? settingsOf<unknown>({}), `The task "${task}"`);
}

/**
 * Checks and converts `--set` by a table.
 * @param owner names the table in messages: `The task "forecast"`
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown name or invalid value
 */
export function setBy(given: SettingValues, table: Pick<SettingTable, 'check'>, owner: string): SettingValues {
  const fileOf = (name: string): string | undefined => filesOfSets.get(given)?.get(name);
  return table.check(given, {
    owner,
    where: (name) => (fileOf(name) === undefined ? `--set ${name}` : `"set.${name}" in "${fileOf(name)}"`),
    remedy: (name) => (fileOf(name) === undefined ? `Write --set ${name}=….` : 'Correct it there.'),
    place: (name) => (fileOf(name) === undefined ? '' : `, which is set in "${fileOf(name)}"`),
  });
}
