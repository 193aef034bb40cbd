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
import type { SingularValues } from '../../linalg/decompositions.ts';
import type { Site } from '../../match/sites.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import { type QuantizedForm, type QuantizedFrom, quantizeMatrix, quantizeTable } from '../../ops/quantization/forms.ts';
import { defined } from '../../plugin/data/defined.ts';
import { Random } from '../../runtime/random.ts';
import { requireWritable } from '../merging/merge.ts';
import { companionsOf, placeOf, requireOtherFolder } from '../merging/mergeParts.ts';
import type { Model } from '../model.ts';
import { QUANTIZED_KEY } from '../modelGraph.ts';
import { withOwnConfig } from '../opening/readModelConfig.ts';
import { chooseLayers, isQuantizable, type KeptLayer, withoutShared } from './chooseLayers.ts';
import { loftqAdapter, loftqMatrix } from './loftq.ts';
import { outputErrors } from './outputErrors.ts';
import { type MatrixTensors, quantizedGraph, rowsOf, withBytes, withNames } from './quantizedGraph.ts';
import { checkedOptions, type QuantizeOptions, type QuantizeResult } from './quantizeOptions.ts';

/** The first opset whose integers the rows of a product can be rounded to. */
const FIRST_OPSET = 11;

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
  const { form, maxError, smallest, examples } = checkedOptions(options);
  const { data, loftq, onLayer } = options;
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
  const random = new Random(options.seed ?? 0);
  const scratch = new ScratchBytes();
  try {
    const all = new Map<string, Quantized>();
    for (const [i, site] of sites.entries()) {
      const rows = rowsOf(site);
      const isTable = site.kind === 'embedding';
      const found = isTable ? undefined : loftq && loftqMatrix(rows, form, loftq, random);
      const { tensors, restored } = isTable ? quantizeTable(rows) : (found?.quantized ?? quantizeMatrix(rows, form));
      all.set(site.path, {
        site,
        error: relativeError(restored, rows.values),
        tensors: withBytes(tensors, (bytes) => scratch.keep(readBytes(bytes))),
        ...(found && { components: found.components, errorWithAdapter: found.error }),
      });
      onLayer?.(i + 1, sites.length, site.path);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    const tensors = new Map([...all].map(([module, each]) => [module, each.tensors]));
    const measured = data && (await outputErrors(model, { layers: tensors, form, data, examples }));
    const decisive = (module: string): number => {
      const { error, errorWithAdapter } = all.get(module)!;
      return measured?.get(module) ?? errorWithAdapter ?? error;
    };
    const far = [...all.keys()].flatMap((module) => {
      const error = decisive(module);
      return error <= maxError ? [] : [{ module, error, reason: tooFar(error) }];
    });
    for (const { module } of far) all.delete(module);
    const shared = withoutShared(model, [...all.values()].map(({ site }) => site)).kept; // prettier-ignore
    for (const { module } of shared) all.delete(module);
    const written = parts.map(({ prefix, ...part }) => ({ ...part, ...inFewerBits(part.model, all, form, prefix) }));
    const nameless = new Set(written.flatMap((each) => each.nameless));
    const left = [
      ...kept,
      ...far,
      ...shared,
      ...[...nameless].map((module) => ({ module, reason: 'would lose its module path' })),
    ];
    const layers = [...all].flatMap(([module, { error, errorWithAdapter }]) =>
      nameless.has(module)
        ? []
        : [{ module, error, ...defined({ outputError: measured?.get(module), errorWithAdapter }) }],
    );
    requireSome(model, layers.length, left);
    const made: QuantizedFrom = { from: await model.digest(), ...form };
    const components = new Map(
      layers.flatMap(({ module }) => {
        const own = all.get(module)!.components;
        return own ? [[module, own] as const] : [];
      }),
    );
    const graphs = written.flatMap(({ graph: { graph }, onlyServes }) => (onlyServes ? [] : [graph]));
    const adapter = loftq && (await loftqAdapter(model, components, { ...loftq, made, graphs, random }));
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
      ...(adapter && { adapter }),
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
  readonly errorWithAdapter?: number;
  readonly components?: SingularValues;
}

/** A file to write. */
interface PartFile {
  readonly file: string;
  readonly model: Model;
  /** What module paths of the whole have before those of the file. */
  readonly prefix: string;
  /** Whether it is no part of the joined graph. */
  readonly onlyServes: boolean;
}

/** @throws OnnxLoraError `FILE_INVALID` for a place that is the model's own */
function partsFor(model: Model, place: string): readonly PartFile[] {
  const isFolder = !place.endsWith('.onnx');
  if (isFolder && model.parts.length > 0) {
    requireOtherFolder(model, place);
    return model.parts.map((part, i) => ({
      file: path.join(place, placeOf(part, model)),
      model: part,
      prefix: model.partFiles[i]!.path,
      onlyServes: model.partFiles[i]!.onlyServes,
    }));
  }
  const file = isFolder ? path.join(place, path.dirname(placeOf(model, model)), 'model.onnx') : place;
  requireWritable(model, file);
  return [{ file, model, prefix: '', onlyServes: false }];
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` where no layer is left */
function requireSome(model: Model, count: number, kept: readonly KeptLayer[]): void {
  if (count > 0) return;
  const [first] = kept;
  const why = first ? ` "${first.module}" ${first.reason}${kept.length > 1 ? `, and so on (${kept.length} layers)` : ''}.` : ''; // prettier-ignore
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `No layer of "${model.name}" can be quantised.${why} Quantise a file with float32 weights, allow smaller weights (smallest) or a larger error (maxError, --max-error), or take the file as it is.`,
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
    const found = isQuantizable(site) ? layers.get(whole(site)) : undefined;
    if (found?.site.kind !== site.kind || found.site.weightShape.join() !== site.weightShape.join()) continue;
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
