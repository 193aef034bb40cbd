/** @file Resolves arguments to an opened model, a task and an adapter. */

import { existsSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { type Adapter, type FixedInputs, loadAdapter, type Model, modelForAdapter } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import type { TaskOptions } from '@onnx-lora/sdk/plugin';
import type { Context } from './context.ts';
import { usageError } from './terminal/errors.ts';
import { holdsGraph } from './plugins/own.ts';
import type { Flags } from './options.ts';
import { splitList } from './settings/numbers.ts';
import type { Settings } from './settings/setting.ts';

/**
 * Splits arguments into the model and the rest: without `--model`, the first one is the model.
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
 * Opens the named model with all families, and fixes the inputs of `--fix`.
 * @throws OnnxLoraError `CONFIG_INVALID` when none is named, or a value of `--fix` is no number; as `openModel`
 */
export async function openNamed(
  model: string | undefined,
  { registry, openModel, terminal: { stderr } }: Pick<Context, 'registry' | 'openModel' | 'terminal'>,
  { fix, precision }: Pick<Settings, 'fix' | 'precision'> = {},
): Promise<Model> {
  const source = requireModel(model);
  if (precision === 'auto') {
    throw usageError(
      '--precision auto is for train alone, which times steps in each precision. Name one here; an adapter notes in which it learned.',
    );
  }
  const isOnnx = holdsGraph(source);
  const isBuilt = !isOnnx && registry.builders.some((each) => each.recognises(source));
  if (isBuilt && stderr.isTTY) stderr.write(`building the graph of ${source} from its checkpoint\n`);
  if (!isOnnx && !isBuilt && holdsAdapter(source)) {
    throw usageError(
      `"${source}" is an adapter. Name the model that it was trained on in its place, and the adapter with --adapter.`,
    );
  }
  return openModel(source, {
    ...withoutUndefined({ fixedInputs: fix && fixedInputs(fix), precision }),
    onLayer: (done, total, module) => {
      if (stderr.isTTY) stderr.write(`\r\x1b[Kquantising ${done} of ${total} layers, kept for the next start: ${module}${done === total ? '\n' : ''}`); // prettier-ignore
    },
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

/** A bigint, because integers may exceed the safe range. */
function fixedValue(text: string, input: string): number | bigint | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^[+-]?\d+$/.test(text)) return BigInt(text);
  const number = text === '' ? NaN : Number(text);
  if (!Number.isNaN(number)) return number;
  throw usageError(
    `--fix ${input} must be a number, true or false, or several with commas between, but it is ${JSON.stringify(text)}. Write --fix ${input}=…`,
  );
}

/** The model of a command without other arguments. @throws OnnxLoraError `CONFIG_INVALID` when two are named */
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

/** The output file. @throws OnnxLoraError `CONFIG_INVALID` when the flag is missing or names a folder */
export function requireOutFile(out: string | undefined, ending: string): string {
  const file = requireFlag(out, 'out', `name the ${ending} file to write`);
  if (isFolder(file))
    throw usageError(`"${file}" is a folder. Name a file, such as ${path.join(file, `out${ending}`)}.`);
  return file;
}

/** Refuses to overwrite without `--overwrite`; checked before the work. @throws OnnxLoraError `CONFIG_INVALID` */
export function requireFree(files: readonly string[], { overwrite }: Pick<Flags, 'overwrite'>): void {
  const found = overwrite ? undefined : files.find((file) => existsSync(file));
  if (found === undefined) return;
  throw usageError(`"${found}" is there already. Name another place, or add --overwrite to replace it.`);
}

export function adapterPlaces(out: string): string[] {
  if (out.endsWith('.onnx_adapter')) return [out];
  return ['adapter_config.json', 'adapter_model.safetensors'].map((name) => path.join(out, name));
}

/** Refuses to overwrite an adapter that is read. @throws OnnxLoraError `CONFIG_INVALID` */
export function requireOther(out: string, sources: readonly string[]): void {
  if (!existsSync(out)) return;
  const real = realpathSync(out);
  const same = sources.find((source) =>
    [source, path.join(source, 'adapter')].some((each) => existsSync(each) && realpathSync(each) === real),
  );
  if (same !== undefined)
    throw usageError(`"${out}" is an adapter that is read here, and would be overwritten. Name another to write.`);
}

/** True for an existing folder. */
export function isFolder(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

export interface ChosenAdapter {
  readonly adapter: Adapter;
  readonly source: string;
}

/** Loads the adapter of the settings; undefined without one. */
export async function chosenAdapter({ adapter: source }: Settings): Promise<ChosenAdapter | undefined> {
  return source === undefined ? undefined : { adapter: await loadAdapter(source), source };
}

/** The model with the adapter's head and labels. @throws OnnxLoraError `ADAPTER_MISMATCH` for another base */
export async function placedOn(model: Model, adapter: Adapter, allowBaseMismatch = false): Promise<Model> {
  const own = modelForAdapter<Model>(model, adapter);
  await own.place(adapter, { allowBaseMismatch });
  return own;
}

/** Options for a task; `settings` include the task's own. */
export function taskOptions({ validation, set }: Settings, data: string, seed: number): TaskOptions {
  return { data, seed, ...withoutUndefined({ validation: validation === 0 ? undefined : validation, settings: set }) };
}

export function holdsAdapter(source: string): boolean {
  return ['', 'adapter'].some((inside) => existsSync(path.join(source, inside, 'adapter_config.json')));
}
