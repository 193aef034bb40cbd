/** @file From words on the command line to an opened model, a task and an adapter. */

import { existsSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { type Adapter, type FixedInputs, loadAdapter, type Model, modelFor } from '@onnx-lora/sdk';
import { defined } from '@onnx-lora/sdk/data';
import type { TaskOptions } from '@onnx-lora/sdk/plugin';
import type { Context } from './context.ts';
import { usageError } from './terminal/errors.ts';
import { holdsGraph } from './plugins/own.ts';
import type { Flags } from './options.ts';
import { splitList } from './settings/targets.ts';
import type { Settings } from './settings/setting.ts';

/**
 * The model and what is asked of it: without `--model`, the first word is the model.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where either is missing
 */
export function modelAndRest(
  words: readonly string[],
  model: string | undefined,
  what: 'files' | 'inputs',
): { readonly source: string; readonly rest: readonly string[] } {
  const source = requireModel(model ?? words[0]);
  const rest = model === undefined ? words.slice(1) : words;
  if (rest.length > 0) return { source, rest };
  throw usageError(
    model === undefined
      ? `No ${what} are named: "${source}" is taken for the model. Give the ${what} after it.`
      : `No ${what} are named. Give them beside --model.`,
  );
}

/**
 * Opens the model that the command line names, with all families known, and the inputs of `--fix` fixed.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when none is named, or a value of `--fix` is no number; else as `openModel`
 */
export async function openNamed(
  model: string | undefined,
  { registry, openModel, terminal: { stderr } }: Pick<Context, 'registry' | 'openModel' | 'terminal'>,
  { fix, precision }: Pick<Settings, 'fix' | 'precision'> = {},
): Promise<Model> {
  const source = requireModel(model);
  const isOnnx = holdsGraph(source);
  const isBuilt = !isOnnx && registry.builders.some((each) => each.recognises(source));
  if (isBuilt && stderr.isTTY) stderr.write(`building the graph of ${source} from its checkpoint\n`);
  if (!isOnnx && !isBuilt && holdsAdapter(source)) {
    throw usageError(
      `"${source}" is an adapter. Name the model that it was trained on in its place, and the adapter with --adapter.`,
    );
  }
  return openModel(source, {
    ...defined({ fixedInputs: fix && fixedInputs(fix), precision }),
    onDownload: (file) => {
      if (stderr.isTTY) stderr.write(`downloading ${file} of ${source}\n`);
    },
  });
}

function fixedInputs(fix: NonNullable<Settings['fix']>): FixedInputs {
  return Object.fromEntries(
    Object.entries(fix).map(([input, value]) => {
      if (typeof value !== 'string') return [input, value];
      const numbers = splitList(value).map((text) => fixedValue(text, input));
      return [input, value.includes(',') ? numbers : (numbers[0] ?? fixedValue('', input))];
    }),
  );
}

/** Whole numbers may be longer than a number can hold. */
function fixedValue(text: string, input: string): number | bigint | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^[+-]?\d+$/.test(text)) return BigInt(text);
  const number = text === '' ? NaN : Number(text);
  if (!Number.isNaN(number)) return number;
  throw usageError(
    `--fix ${input} must be a number, true or false, or several with commas between, but it is ${JSON.stringify(text)}. Write --fix ${input}=…`,
  );
}

/**
 * The model of a command that takes it as its only word.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when word and flag both name one
 */
export function oneModel(word: string | undefined, flag: unknown, settings: Settings): string | undefined {
  if (word === undefined || typeof flag !== 'string') return word ?? settings.model;
  throw usageError(`Two models are named: "${word}" and --model "${flag}". Remove one.`);
}

/** @throws OnnxLoraError `CONFIG_INVALID` when no model is named */
export function requireModel(model: string | undefined): string {
  if (model !== undefined && model !== '') return model;
  throw usageError('No model is named. Give a folder, an .onnx file or a hub id, as the first word or with --model.');
}

/** @throws OnnxLoraError `CONFIG_INVALID` when the flag is missing */
export function requireFlag(value: string | undefined, flag: string, what: string): string {
  if (value !== undefined && value !== '') return value;
  throw usageError(`--${flag} is missing: ${what}.`);
}

/** @throws OnnxLoraError `CONFIG_INVALID` for text that is no number */
export function numberFlag(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(number)) return number;
  throw usageError(`--${flag} must be a number, but it is ${JSON.stringify(text)}.`);
}

/**
 * The file that a command writes. Found out before the work, not after it.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when the flag is missing or names a folder
 */
export function requireOutFile(out: string | undefined, ending: string): string {
  const file = requireFlag(out, 'out', `name the ${ending} file to write`);
  if (isFolder(file))
    throw usageError(`"${file}" is a folder. Name a file, such as ${path.join(file, `out${ending}`)}.`);
  return file;
}

/**
 * Refuses to write over what is there, unless that is asked for. Found out before the work.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function requireFree(files: readonly string[], { overwrite }: Pick<Flags, 'overwrite'>): void {
  const found = overwrite ? undefined : files.find((file) => existsSync(file));
  if (found === undefined) return;
  throw usageError(`"${found}" is there already. Name another place, or add --overwrite to replace it.`);
}

/** What of a folder is replaced when an adapter is saved there; the file itself for one that is no folder's name. */
export function adapterPlaces(out: string): string[] {
  if (out.endsWith('.onnx_adapter')) return [out];
  return ['adapter_config.json', 'adapter_model.safetensors'].map((name) => path.join(out, name));
}

/**
 * Refuses to write an adapter over one that it is made from.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function requireOther(out: string, sources: readonly string[]): void {
  if (!existsSync(out)) return;
  const real = realpathSync(out);
  const same = sources.find((source) =>
    [source, path.join(source, 'adapter')].some((each) => existsSync(each) && realpathSync(each) === real),
  );
  if (same !== undefined)
    throw usageError(`"${out}" is an adapter that is read here, and would be overwritten. Name another to write.`);
}

/** True for a folder that is there. */
export function isFolder(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** The adapter that a task is chosen for. */
export interface ChosenAdapter {
  readonly adapter: Adapter;
  /** What the user called it. */
  readonly source: string;
}

/** The adapter that the settings name, loaded; undefined where they name none. */
export async function chosenAdapter({ adapter: source }: Settings): Promise<ChosenAdapter | undefined> {
  return source === undefined ? undefined : { adapter: await loadAdapter(source), source };
}

/**
 * The model as the adapter answers with it. Asked before anything else is read that the adapter's labels may not fit.
 *
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base
 */
export async function placedOn(model: Model, adapter: Adapter, allowBaseMismatch = false): Promise<Model> {
  const own = modelFor<Model>(model, adapter);
  await own.place(adapter, { allowBaseMismatch });
  return own;
}

/** What a task is made from; `settings` are with those of the task as its table has them. */
export function taskOptions({ validation, set }: Settings, data: string, seed: number): TaskOptions {
  return { data, seed, ...defined({ validation: validation === 0 ? undefined : validation, settings: set }) };
}

/** True for a PEFT folder, and for the folder of a training run. */
export function holdsAdapter(source: string): boolean {
  return ['', 'adapter'].some((inside) => existsSync(path.join(source, inside, 'adapter_config.json')));
}
