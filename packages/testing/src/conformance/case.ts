/** @file Finds and reads conformance cases. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { OnnxLoraError, type Model, openModel, type OpenOptions, type Feeds, type Tensor } from '@onnx-lora/sdk';
import { isObject, type JsonObject, readSafetensors } from '@onnx-lora/sdk/data';
import { parseTensorName, PEFT_PREFIX } from '@onnx-lora/sdk/core';
import type { Dim } from '@onnx-lora/sdk/plugin';
import { arrayOf, type GraphPort, type LossFragment, sizeOf } from '@onnx-lora/sdk/tasks';

/** The loss of a case, as in case.json. */
export interface CaseLoss {
  /** `cross-entropy`, `mse` … */
  readonly kind: string;
  /** The output that it reads, if it is one. */
  readonly output?: string;
  /** Label to ignore. */
  readonly ignoreIndex?: number;
  /** For CTC. */
  readonly blank?: number;
  /** For CTC: the reduction over a batch. */
  readonly reduction?: 'mean' | 'sum';
  /** For CTC: whether labels too long for their frames have a loss of 0. */
  readonly zero_infinity?: boolean;
}

/** A loss that the caller of {@link conformance} knows. */
export interface CaseObjective {
  /** The loss as a graph fragment. */
  readonly loss: LossFragment;
  /** Its targets, from the tensors of the case that are no inputs of the model; these by default. */
  readonly targets?: (given: Feeds) => Feeds;
}

/** Losses that the caller knows, by {@link CaseLoss.kind}. */
export type CaseLosses = Readonly<Record<string, (loss: CaseLoss) => CaseObjective>>;

/** PEFT's training of the adapter on the case's batch. */
export interface CaseTraining {
  /** `adamw`, `loraplus` (AdamW with PEFT's LoRA+ groups), or an optimizer of a plugin. */
  readonly optimizer: string;
  readonly lr: number;
  /** Settings of the optimizer: `betas`, `eps`, `weightDecay` … */
  readonly [setting: string]: unknown;
  readonly steps: number;
  /** Losses before each step, and after the last. */
  readonly losses: readonly number[];
}

/** Contents of case.json. */
export interface CaseDescription {
  readonly outputs: readonly string[];
  readonly inputs: readonly string[];
  /** Paths of the adapted modules. */
  readonly adapted: readonly string[];
  /** Names of the trained tensors in PEFT. */
  readonly trainable: readonly string[];
  /** Every adaptable module of the torch model: path → [weight shape, torch class]. */
  readonly modules: Readonly<Record<string, readonly [readonly number[], string]>>;
  readonly loss?: CaseLoss;
  /** Edges of the graph at which torch stops gradients. */
  readonly stopGradient?: readonly { readonly node: string; readonly tensor: string }[];
  readonly train?: CaseTraining;
  /** Why PEFT cannot merge the adapter. */
  readonly noMerge?: string;
  /** Replaces the usual tolerances: norm of the difference / norm of the expected values. */
  readonly relativeRms?: number;
}

/** An opened case. */
export interface ConformanceCase extends CaseDescription {
  /** Name of the folder. */
  readonly id: string;
  readonly folder: string;
  readonly model: Model;
  /** The loss, where the caller knows it. */
  readonly objective?: CaseObjective;
  /** The batch, by graph input. */
  readonly feeds: Feeds;
  /** Inputs of the loss: `labels` … */
  readonly targets: Feeds;
  /** Dropout masks, 1 where a value is kept, by `<module>.<step>`. */
  readonly masks: ReadonlyMap<string, Tensor>;
  /** PEFT's results: `base.<output>`, `lora.<output>`, `lora.grad.<tensor>` … */
  readonly expected: ReadonlyMap<string, Tensor>;
  /** Merged weights, by torch's parameter names. */
  readonly merged?: ReadonlyMap<string, Tensor>;
}

const DESCRIPTION = 'case.json';
const MASK = 'dropout.';

/** Lists case folders; each argument is a case or a folder of cases. @throws OnnxLoraError `FILE_NOT_FOUND` */
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

/** Name of a case in reports. */
export function caseName(folder: string): string {
  return path.basename(path.resolve(folder));
}

/** Whether a case has an adapter; cases of checkpoints may have none. */
export function hasAdapter(folder: string): boolean {
  return existsSync(path.join(folder, 'adapter'));
}

/** Opens a case. @throws OnnxLoraError for missing, damaged or invalid files */
export async function readCase(
  folder: string,
  { losses = {}, ...options }: Pick<OpenOptions, 'plugins' | 'runtime'> & { readonly losses?: CaseLosses | undefined },
): Promise<ConformanceCase> {
  const description = parseDescription(path.join(folder, DESCRIPTION));
  const { tensors } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
  const numbers = (await readSafetensors(path.join(folder, 'expected.safetensors'))).tensors;
  const file = path.join(folder, 'model.onnx');
  // Without a model, the folder is a checkpoint that a plugin builds.
  const source = existsSync(file) ? file : folder;
  const opened = await openModel(source, { ...options, foldedScales: foldedScales(numbers) });
  const known = new Set(opened.registry.tuners.flatMap(({ rowInputs = [] }) => rowInputs));
  const rowInputs = [...tensors.keys()].filter((name) => known.has(name) && !description.inputs.includes(name));
  const isFed = ([name]: [string, Tensor]): boolean => description.inputs.includes(name) || rowInputs.includes(name);
  const isMask = ([name]: [string, Tensor]): boolean => name.startsWith(MASK);
  const merged = path.join(folder, 'merged.safetensors');
  const { loss } = description;
  const objective = loss && Object.hasOwn(losses, loss.kind) ? losses[loss.kind]!(loss) : undefined;
  const targets = Object.fromEntries([...tensors].filter((entry) => !isFed(entry) && !isMask(entry)));
  return {
    ...description,
    id: caseName(folder),
    folder,
    model: opened.withRowInputs(rowInputs).withStoppedGradients(),
    ...(objective ? { objective } : {}),
    feeds: { ...Object.fromEntries([...tensors].filter(isFed)), ...emptyCache(opened, tensors) },
    targets: objective?.targets?.(targets) ?? targets,
    masks: new Map([...tensors].filter(isMask).map(([name, mask]) => [name.slice(MASK.length), mask])),
    expected: numbers,
    ...(existsSync(merged) ? { merged: (await readSafetensors(merged)).tensors } : {}),
  };
}

/** Adds missing feeds: masks of 1 and empty caches. */
export function completeFeeds(ports: Readonly<Record<string, GraphPort>>, given: Feeds): Feeds {
  const sizes = new Map<Dim, number>();
  for (const [name, { dims = [] }] of Object.entries(ports)) {
    given[name]?.dims.forEach((size, i) => sizes.set(dims[i] ?? i, size));
  }
  return Object.fromEntries(
    Object.entries(ports).map(([name, { type, dims: shape = [] }]) => {
      if (given[name]) return [name, given[name]];
      const dims = shape.map((dim) => (typeof dim === 'number' ? dim : (sizes.get(dim) ?? 0)));
      const data = new (arrayOf(type))(sizeOf(dims));
      return [name, { type, dims, data: type === 'int64' ? (data as BigInt64Array).fill(1n) : data }];
    }),
  );
}

/** Empty caches of a decoder, where the case has none. */
function emptyCache({ inputs }: Model, given: ReadonlyMap<string, Tensor>): Feeds {
  const isCache = ([name]: [string, unknown]): boolean => name.startsWith('past_key_values.') && !given.has(name);
  const all = completeFeeds(inputs, Object.fromEntries([...given].filter(([name]) => name in inputs)));
  return Object.fromEntries(Object.entries(all).filter(isCache));
}

/** Factors of normalisations that the exporter folded into convolutions: `fold.<path>`. */
function foldedScales(expected: ReadonlyMap<string, Tensor>): Record<string, Float32Array> {
  const folds = [...expected].filter(([name]) => name.startsWith('fold.'));
  return Object.fromEntries(folds.map(([name, { data }]) => [name.slice('fold.'.length), data as Float32Array]));
}

function parseDescription(file: string): CaseDescription {
  const json = parseObject(readFileSync(file, 'utf8'), file);
  const { loss, train, tolerance, stopGradient } = json;
  const relativeRms = (tolerance as { relativeRms?: unknown } | undefined)?.relativeRms;
  return {
    inputs: strings(json, 'inputs', file),
    outputs: strings(json, 'outputs', file),
    adapted: strings(json, 'adapted', file),
    trainable: strings(json, 'trainable', file),
    modules: (json['modules'] ?? {}) as CaseDescription['modules'],
    ...(isObject(loss) ? { loss: loss as unknown as CaseLoss } : {}),
    ...(Array.isArray(stopGradient) ? { stopGradient: stopGradient as { node: string; tensor: string }[] } : {}),
    ...(isObject(train) ? { train: train as unknown as CaseTraining } : {}),
    ...(typeof json['noMerge'] === 'string' ? { noMerge: json['noMerge'] } : {}),
    ...(typeof relativeRms === 'number' ? { relativeRms } : {}),
  };
}

function parseObject(text: string, file: string): JsonObject {
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

function strings(json: JsonObject, key: string, file: string): string[] {
  const value = json[key] ?? [];
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw new OnnxLoraError('FILE_INVALID', `"${key}" of "${file}" must be a list of names. Copy the case again.`);
}

/** Whether a module may be absent, because it is unused: PEFT trains its tensors, but only others have gradients. */
export function mayBeAbsent({ trainable, expected }: ConformanceCase, module: string): boolean {
  // Tuners name tensors by modules of theirs inside the layer, such as `lily_A.weight`.
  const own = trainable.filter((name) => `${parseTensorName(name).module}.`.startsWith(`${module}.`));
  const gradientOf = (name: string): Tensor | undefined => expected.get(`lora.grad.${name}`);
  // A tensor that layers share has one gradient, which is listed for unused layers, too.
  const isShared = (name: string): boolean =>
    trainable.some((each) => {
      const isCopy = !own.includes(each) && each.endsWith(name.slice(PEFT_PREFIX.length + module.length));
      return isCopy && isDeepStrictEqual(gradientOf(each)?.data, gradientOf(name)!.data);
    });
  const hasGradient = (name: string): boolean => gradientOf(name) !== undefined;
  return own.length > 0 && trainable.some(hasGradient) && !own.some((name) => hasGradient(name) && !isShared(name));
}
