/** @file Conformance cases on disk: finding their folders, and reading what one holds. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError, type Model, openModel, type OpenOptions, type Feeds, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { parseTensorName } from '@onnx-lora/sdk/core';
import { completeFeeds } from './completeFeeds.ts';

/** The loss that a case was trained with, as case.json has it. */
export interface CaseLoss {
  /** `cross-entropy`, `mse` … */
  readonly kind: string;
  /** The model's output that it is computed from. */
  readonly output: string;
  /** Labels with this value do not count. */
  readonly ignoreIndex?: number;
  /** Of CTC. */
  readonly blank?: number;
  /** Of CTC: how the losses of a batch become one. */
  readonly reduction?: 'mean' | 'sum';
  /** Of CTC: whether a label that its frames have no room for counts as 0. */
  readonly zero_infinity?: boolean;
}

/** How PEFT trained the adapter on the one batch of the case, and what it measured. */
export interface CaseTraining {
  /** `adamw`, `loraplus` (AdamW in PEFT's groups of LoRA+), or the name of a plugin's optimizer. */
  readonly optimizer: string;
  readonly lr: number;
  /** Settings of the optimizer stand beside these, by its own names: `betas`, `eps`, `weightDecay` … */
  readonly [setting: string]: unknown;
  readonly steps: number;
  /** Before each step, and after the last. */
  readonly losses: readonly number[];
}

/** What case.json says. */
export interface CaseDescription {
  readonly outputs: readonly string[];
  readonly inputs: readonly string[];
  /** Paths of the modules that the adapter covers. */
  readonly adapted: readonly string[];
  /** Names of the trained tensors, as PEFT saves them. */
  readonly trainable: readonly string[];
  /** Every adaptable module of the torch model: path → [weight shape, torch class]. */
  readonly modules: Readonly<Record<string, readonly [readonly number[], string]>>;
  readonly loss?: CaseLoss;
  readonly train?: CaseTraining;
  /** Why PEFT does not merge the adapter. */
  readonly noMerge?: string;
  /** Replaces the usual tolerances: norm of the difference over norm of the expected. */
  readonly relativeRms?: number;
}

/** One case, opened. */
export interface ConformanceCase extends CaseDescription {
  /** Name of the folder. */
  readonly id: string;
  readonly folder: string;
  readonly model: Model;
  /** The batch, by graph input. */
  readonly feeds: Feeds;
  /** What the loss needs besides: `labels` … */
  readonly targets: Feeds;
  /** Masks of dropout, 1 where a number is kept, by `<module>.<step>`. */
  readonly masks: ReadonlyMap<string, Tensor>;
  /** PEFT's numbers: `base.<output>`, `lora.<output>`, `lora.grad.<tensor>` … */
  readonly expected: ReadonlyMap<string, Tensor>;
  /** Weights after merging, by torch's parameter names. */
  readonly merged?: ReadonlyMap<string, Tensor>;
}

const DESCRIPTION = 'case.json';
/** What masks of dropout are called by before their module and step. */
const MASK = 'dropout.';

/**
 * The case folders that a user's arguments name: each is a case itself, or a folder of cases.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` for an argument that is neither
 */
export function findCases(folders: readonly string[]): string[] {
  return folders.flatMap((folder) => {
    if (!existsSync(folder) || !statSync(folder).isDirectory()) {
      throw new OnnxLoraError(
        'FILE_NOT_FOUND',
        `There is no folder "${folder}". Name a case folder, or a folder of such.`,
      );
    }
    if (existsSync(path.join(folder, DESCRIPTION))) return [folder];
    const inside = readdirSync(folder)
      .sort()
      .map((name) => path.join(folder, name))
      .filter((each) => existsSync(path.join(each, DESCRIPTION)));
    if (inside.length > 0) return inside;
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `Neither "${folder}" nor a folder in it holds a ${DESCRIPTION}. Name a case folder.`,
    );
  });
}

/** The name by which a case is reported. */
export function caseName(folder: string): string {
  return path.basename(path.resolve(folder));
}

/** Whether a case says what an adapter does, as those of checkpoints need not. */
export function hasAdapter(folder: string): boolean {
  return existsSync(path.join(folder, 'adapter'));
}

/**
 * Opens a case.
 *
 * @throws OnnxLoraError for files that are missing, damaged or not what a case holds
 */
export async function readCase(
  folder: string,
  options: Pick<OpenOptions, 'plugins' | 'runtime'>,
): Promise<ConformanceCase> {
  const description = parseDescription(path.join(folder, DESCRIPTION));
  const { tensors } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
  const numbers = (await readSafetensors(path.join(folder, 'expected.safetensors'))).tensors;
  const file = path.join(folder, 'model.onnx');
  // A checkpoint, which a plugin builds, where there is none.
  const source = existsSync(file) ? file : folder;
  const opened = await openModel(source, { ...options, foldedScales: foldedScales(numbers) });
  const known = new Set(opened.registry.tuners.flatMap(({ rowInputs = [] }) => rowInputs));
  const rowInputs = [...tensors.keys()].filter((name) => known.has(name) && !description.inputs.includes(name));
  const isFed = ([name]: [string, Tensor]): boolean => description.inputs.includes(name) || rowInputs.includes(name);
  const isMask = ([name]: [string, Tensor]): boolean => name.startsWith(MASK);
  const merged = path.join(folder, 'merged.safetensors');
  return {
    ...description,
    id: caseName(folder),
    folder,
    model: opened.withRowInputs(rowInputs),
    feeds: { ...Object.fromEntries([...tensors].filter(isFed)), ...emptyCache(opened, tensors) },
    targets: Object.fromEntries([...tensors].filter((entry) => !isFed(entry) && !isMask(entry))),
    masks: new Map([...tensors].filter(isMask).map(([name, mask]) => [name.slice(MASK.length), mask])),
    expected: numbers,
    ...(existsSync(merged) ? { merged: (await readSafetensors(merged)).tensors } : {}),
  };
}

/** What a decoder begins with, where a case has none of it. */
function emptyCache({ inputs }: Model, given: ReadonlyMap<string, Tensor>): Feeds {
  const isCache = ([name]: [string, unknown]): boolean => name.startsWith('past_key_values.') && !given.has(name);
  const all = completeFeeds(inputs, Object.fromEntries([...given].filter(([name]) => name in inputs)));
  return Object.fromEntries(Object.entries(all).filter(isCache));
}

/** The factors of normalisations that the exporter folded into convolutions: `fold.<path>`. */
function foldedScales(expected: ReadonlyMap<string, Tensor>): Record<string, Float32Array> {
  const folds = [...expected].filter(([name]) => name.startsWith('fold.'));
  return Object.fromEntries(folds.map(([name, { data }]) => [name.slice('fold.'.length), data as Float32Array]));
}

function parseDescription(file: string): CaseDescription {
  const json = parseObject(readFileSync(file, 'utf8'), file);
  const { loss, train, tolerance } = json;
  const relativeRms = (tolerance as { relativeRms?: unknown } | undefined)?.relativeRms;
  return {
    inputs: strings(json, 'inputs', file),
    outputs: strings(json, 'outputs', file),
    adapted: strings(json, 'adapted', file),
    trainable: strings(json, 'trainable', file),
    modules: (json['modules'] ?? {}) as CaseDescription['modules'],
    ...(isObject(loss) ? { loss: loss as unknown as CaseLoss } : {}),
    ...(isObject(train) ? { train: train as unknown as CaseTraining } : {}),
    ...(typeof json['noMerge'] === 'string' ? { noMerge: json['noMerge'] } : {}),
    ...(typeof relativeRms === 'number' ? { relativeRms } : {}),
  };
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is not JSON: ${(cause as Error).message}. Copy the case again.`,
      { cause },
    );
  }
  if (isObject(json)) return json;
  throw new OnnxLoraError('FILE_INVALID', `"${file}" does not hold a JSON object. Copy the case again.`);
}

function strings(json: Record<string, unknown>, key: string, file: string): string[] {
  const value = json[key] ?? [];
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw new OnnxLoraError('FILE_INVALID', `"${key}" of "${file}" must be a list of names. Copy the case again.`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Whether a module's absence from the graph is legitimate: its outputs are unused, which shows in that PEFT trains its
 * tensors and no gradient reached any of them, while others got theirs.
 */
export function mayBeAbsent({ trainable, expected }: ConformanceCase, module: string): boolean {
  const own = trainable.filter((name) => parseTensorName(name).module === module);
  const hasGradient = (name: string): boolean => expected.has(`lora.grad.${name}`);
  return own.length > 0 && trainable.some(hasGradient) && !own.some(hasGradient);
}
