/** @file `quantize`: a file of fewer bits for plain ONNX Runtime, from a model in float32. */

import { realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '../../errors.ts';
import { requireUnused } from '../../files/atomicWriter.ts';
import { isInFile, readBytes } from '../../graph/bytes.ts';
import { writeOnnxFiles } from '../../graph/file/onnxFile.ts';
import { ScratchBytes } from '../../graph/file/scratchWeights.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { tensorsOf } from '../../graph/tensors.ts';
import { allGraphs } from '../../graph/walk.ts';
import type { Site } from '../../match/sites.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import { type QuantizedBits, quantizedBits, type QuantizedForm, quantizeMatrix } from '../../ops/quantization/forms.ts';
import { requireWritable } from '../merging/merge.ts';
import { companionsOf, placeOf, requireOtherFolder } from '../merging/mergeParts.ts';
import { defined } from '../../plugin/data/defined.ts';
import type { Model } from '../model.ts';
import { withOwnConfig } from '../opening/readModelConfig.ts';
import { positive, whole } from '../training/options/checks.ts';
import { chooseLayers, type KeptLayer, type LayerChoice } from './chooseLayers.ts';
import { type CalibrationData, outputErrors } from './outputErrors.ts';
import { type MatrixTensors, quantizedGraph, rowsOf, withBytes, withNames } from './quantizedGraph.ts';

export type { KeptLayer } from './chooseLayers.ts';
export type { CalibrationData } from './outputErrors.ts';

/** Options of {@link quantize}. */
export interface QuantizeOptions extends Pick<LayerChoice, 'targetModules' | 'excludeModules'> {
  /**
   * `8`: products in integers, weights with a step for each output, what is multiplied in 8 bits with a step for each
   * row: about a quarter as large, and faster. `4`: integers in blocks with a step and a zero point each. `nf4`: the 16 numbers
   * of QLoRA, in blocks with the largest magnitude of each. Both are for memory.
   */
  readonly bits: QuantizedBits;
  /** Numbers of a block of 4 bits, a power of two of at least 16: 32 by default, and 64 for `nf4`. */
  readonly blockSize?: number;
  /**
   * Layers that are further off stay in float32, norm over norm: 0.05 of 8 bits by default, 0.2 of 4. Their output is meant where
   * there are data, else their weight.
   */
  readonly maxError?: number;
  /** Layers with fewer numbers in their weight stay in float32: 4,096 by default. */
  readonly smallest?: number;
  /** Data to measure what layers give on: a task, or what the model is fed. Without, weights alone are compared. */
  readonly data?: CalibrationData;
  /** How many examples of a task are measured; 64 by default. */
  readonly examples?: number;
  /** False refuses to write over files that are there; true by default. */
  readonly overwrite?: boolean;
  /** Called after each layer. */
  readonly onLayer?: (done: number, total: number, module: string) => void;
}

/** A layer that was quantised. */
export interface QuantizedLayer {
  /** torch's module path. */
  readonly module: string;
  /** How far the weight is off: the Euclidean norm of the difference, in parts of that of the weight. */
  readonly error: number;
  /** The same of what the layer gives on the data, where there are data. */
  readonly outputError?: number;
}

/** What {@link quantize} wrote. */
export interface QuantizeResult {
  /** The .onnx files, and what lies beside them. */
  readonly files: readonly string[];
  /** Bytes of all constants before. */
  readonly bytesBefore: number;
  /** And after. */
  readonly bytesAfter: number;
  /** The layers that were quantised, in graph order. */
  readonly layers: readonly QuantizedLayer[];
  /** The linear layers that were asked for and stay as they are. */
  readonly kept: readonly KeptLayer[];
}

/** Where a quantised file's metadata say what it was made from. */
const QUANTIZED_KEY = 'onnx_lora.quantized';

/** The first opset whose integers the rows of a product can be rounded to. */
const FIRST_OPSET = 11;
/** Numbers of a weight: what smaller ones would save, nobody misses. */
const SMALLEST = 4096;
/** Blocks that ONNX Runtime's products of 4 bits know. */
const BLOCK_SIZES: readonly number[] = [16, 32, 64, 128, 256];

/**
 * Writes a model with its linear layers in fewer bits. Modules keep their paths, so that the same targets match, and adapters are
 * trained on the file as on any other. Weights are read, rounded and set aside one at a time. Complete or not at all.
 *
 * A `place` that does not end in `.onnx` is a folder, as `merge` has it.
 *
 * @example
 * const { layers, bytesBefore, bytesAfter } = await quantize(model, 'models/vit-4bit', { bits: 4 });
 *
 * @throws OnnxLoraError `CONFIG_INVALID`; `TARGET_NOT_FOUND`; `MODEL_UNSUPPORTED` where no layer can be quantised; `DATA_INVALID`;
 *   `FILE_INVALID` when the file cannot be written, or is there and `overwrite` is false
 */
export async function quantize(model: Model, place: string, options: QuantizeOptions): Promise<QuantizeResult> {
  const form = formOf(options);
  const { maxError = form.bits === 8 ? 0.05 : 0.2, smallest = SMALLEST, examples = 64, data, onLayer } = options;
  positive('maxError', maxError);
  whole('examples', examples, 1, 1_000_000);
  const opset = opsetOf(model.onnx.model);
  if (opset < FIRST_OPSET) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" has opset ${opset}, which has no quantised products. Export it with opset ${FIRST_OPSET} or later.`,
    );
  }
  const parts = partsFor(model, place);
  const beside = place.endsWith('.onnx') ? [] : companionsOf(model, place);
  requireUnused([...parts.map(({ file }) => file), ...beside.map(([file]) => file)], options);
  const { sites, kept } = chooseLayers(model, form, { ...options, smallest });
  requireSome(model, sites.length, kept);
  const scratch = new ScratchBytes();
  try {
    const all = new Map<string, Quantized>();
    for (const [i, site] of sites.entries()) {
      const rows = rowsOf(site);
      const { tensors, restored } = quantizeMatrix(rows, form);
      const error = relativeError(restored, rows.values);
      all.set(site.path, { site, error, tensors: withBytes(tensors, (bytes) => scratch.keep(readBytes(bytes))) });
      onLayer?.(i + 1, sites.length, site.path);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    const tensors = new Map([...all].map(([module, each]) => [module, each.tensors]));
    const measured = data && (await outputErrors(model, { layers: tensors, form, data, examples }));
    const decisive = (module: string): number => measured?.get(module) ?? all.get(module)!.error;
    const far = [...all.keys()].flatMap((module) => {
      const error = decisive(module);
      return error <= maxError ? [] : [{ module, error, reason: tooFar(error) }];
    });
    for (const { module } of far) all.delete(module);
    const written = parts.map(({ prefix, ...part }) => ({ ...part, ...inFewerBits(part.model, all, form, prefix) }));
    const nameless = new Set(written.flatMap((each) => each.nameless));
    const left = [
      ...kept,
      ...far,
      ...[...nameless].map((module) => ({ module, reason: 'would lose its module path' })),
    ];
    const layers = [...all].flatMap(([module, { error }]) =>
      nameless.has(module) ? [] : [{ module, error, ...defined({ outputError: measured?.get(module) }) }],
    );
    requireSome(model, layers.length, left);
    const made: QuantizedFrom = { from: await model.digest(), ...form };
    const files = writeOnnxFiles(
      written.map(({ file, graph }) => ({ file, model: withMetadata(graph, made, model, place) })),
      beside,
    );
    return {
      files,
      bytesBefore: bytesOf(sourceFiles(parts)),
      bytesAfter: bytesOf(files.slice(0, files.length - beside.length)),
      layers,
      kept: left,
    };
  } finally {
    scratch.drop();
  }
}

/** A quantised weight, by the module's path in the whole model. */
interface Quantized {
  readonly site: Site;
  /** Without names of their own. */
  readonly tensors: MatrixTensors;
  readonly error: number;
}

/** @throws OnnxLoraError `CONFIG_INVALID` */
function formOf({ bits, blockSize }: QuantizeOptions): QuantizedForm {
  if (!quantizedBits.includes(bits)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `bits (--bits) must be one of ${quantizedBits.join(', ')}, but it is ${JSON.stringify(bits)}.`,
    );
  }
  if (blockSize !== undefined && bits === 8) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'blockSize (--block-size) is for 4 bits and nf4: weights of 8 bits have one step for each output. Leave it out.',
    );
  }
  if (blockSize !== undefined && !BLOCK_SIZES.includes(blockSize)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `blockSize (--block-size) must be one of ${BLOCK_SIZES.join(', ')}, which ONNX Runtime has products for, but it is ${blockSize}.`,
    );
  }
  return bits === 8 ? { bits } : { bits, blockSize: blockSize ?? (bits === 4 ? 32 : 64) };
}

/** A file to write. */
interface PartFile {
  readonly file: string;
  readonly model: Model;
  /** What module paths of the whole have before those of the file. */
  readonly prefix: string;
}

/** @throws OnnxLoraError `FILE_INVALID` for a place that is the model's own */
function partsFor(model: Model, place: string): readonly PartFile[] {
  const isFolder = !place.endsWith('.onnx');
  if (isFolder && model.parts.length > 0) {
    requireOtherFolder(model, place);
    return model.parts.map((part, i) => ({
      file: path.join(place, placeOf(part, model)),
      model: part,
      prefix: model.partPaths[i]!,
    }));
  }
  const file = isFolder ? path.join(place, path.dirname(placeOf(model, model)), 'model.onnx') : place;
  requireWritable(model, file);
  return [{ file, model, prefix: '' }];
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` where no layer is left */
function requireSome(model: Model, count: number, kept: readonly KeptLayer[]): void {
  if (count > 0) return;
  const [first] = kept;
  const why = first ? ` "${first.module}" ${first.reason}${kept.length > 1 ? `, and so on (${kept.length} layers)` : ''}.` : ''; // prettier-ignore
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `No linear layer of "${model.name}" can be quantised.${why} Quantise a file with float32 weights, allow smaller weights (smallest) or a larger error (maxError, --max-error), or take the file as it is.`,
  );
}

/** A file's graph with these layers quantised, and the paths of those that would not be found under their names any more. */
function inFewerBits(
  model: Model,
  layers: ReadonlyMap<string, Quantized>,
  form: QuantizedForm,
  prefix: string,
): { readonly graph: ReturnType<typeof quantizedGraph>; readonly nameless: readonly string[] } {
  const whole = (site: Site): string => (prefix === '' ? site.path : `${prefix}.${site.path}`);
  const names = new Map<string, string>();
  const own = new Map<Site, MatrixTensors>();
  for (const site of model.sites()) {
    const found = site.kind === 'linear' ? layers.get(whole(site)) : undefined;
    if (found?.site.weightShape.join() !== site.weightShape.join()) continue;
    const { stored, layout } = site.weight;
    const [{ name: root }] = stored.tensors;
    // Parts of one tensor have tensors of their own; what several layers read in the same way is one.
    const key = `${stored.name} ${layout}`;
    const used = [...names.values()].filter((name) => name === root || name.startsWith(`${root}_part`)).length;
    if (!names.has(key)) names.set(key, used === 0 ? root : `${root}_part${used}`);
    own.set(site, withNames(found.tensors, names.get(key)!));
  }
  const nameless: string[] = [];
  for (;;) {
    const graph = quantizedGraph(model.onnx.model, own, form);
    const paths = new Set(
      model
        .derived({ model: graph })
        .sites()
        .map((site) => site.path),
    );
    const lost = [...own.keys()].filter((site) => !paths.has(site.path));
    if (lost.length === 0) return { graph, nameless };
    nameless.push(...lost.map(whole));
    for (const site of lost) own.delete(site);
  }
}

/** What a quantised file was made from. */
type QuantizedFrom = QuantizedForm & {
  /** sha256 of the weights that were quantised. */
  readonly from: string;
};

function withMetadata(graph: ModelProto, made: QuantizedFrom, model: Model, place: string): ModelProto {
  const others = (graph.metadataProps ?? []).filter(({ key }) => key !== QUANTIZED_KEY);
  const own = { ...graph, metadataProps: [...others, { key: QUANTIZED_KEY, value: JSON.stringify(made) }] };
  // A lone file has no config.json beside it.
  return place.endsWith('.onnx') && model.config ? withOwnConfig(own, model.config) : own;
}

/** The files that hold the models, those of weights included. */
function sourceFiles(parts: readonly PartFile[]): string[] {
  const files = new Set<string>();
  for (const { model } of parts) {
    for (const file of model.files) files.add(realpathSync(file));
    for (const raw of [...allGraphs(model.onnx.model.graph)].flatMap(tensorsOf).map(rawBytes))
      if (raw && isInFile(raw)) files.add(realpathSync(raw.path));
  }
  return [...files];
}

function bytesOf(files: readonly string[]): number {
  return files.reduce((sum, file) => sum + statSync(file).size, 0);
}

/** ‖found − wanted‖ ÷ ‖wanted‖; not a number for weights that are none. */
function relativeError(found: Float32Array, wanted: Float32Array): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    difference += (found[i]! - wanted[i]!) ** 2;
    size += wanted[i]! ** 2;
  }
  return size === 0 ? 0 : Math.sqrt(difference / size);
}

function tooFar(error: number): string {
  return Number.isFinite(error) ? `would be ${percent(error)} off` : 'holds numbers that are not finite';
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
}
