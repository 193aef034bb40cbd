/** @file `openModel`: opens a model from a folder, .onnx files or an id on the Hugging Face hub. */

import { existsSync, statSync } from '../platform/files.ts';
import * as path from '../platform/path.ts';
import { OnnxLoraError, systemFailure } from '../errors.ts';
import { settle } from '../files/swapFolder.ts';
import {
  type WeightPrecision,
  isWeightPrecision,
  type PrecisionChoice,
  precisionOf,
} from '../ops/precision/precision.ts';
import { withoutUndefined } from '../plugin/withoutUndefined.ts';
import type { Plugin } from '../plugin/registry/definePlugin.ts';
import type { FamilyFiles, ModelFamily } from '../plugin/families/family.ts';
import { type PluginRegistry, catalogueOf } from '../plugin/registry/loadPlugins.ts';
import { OrtRuntime } from '../runtime/ort.ts';
import type { Runtime } from '../runtime/session.ts';
import { WorkerRuntime } from '../runtime/worker/workerRuntime.ts';
import { type FixedInputs, requireOneFile } from './graph/fixedInputs.ts';
import { filesInFolder, filesNamed, onlyFile, publishedAs, type FileSearch, wholeFile } from './opening/findFiles.ts';
import { downloadModel, isHubId, type LoadAdapterOptions } from './opening/hub.ts';
import { type FilesToJoin, needsNoJoin, joinFiles, partsByName } from './graph/joinFiles.ts';
import { builderFor, builtFiles, filesOnDisk, type ModelFiles, realFile } from './opening/modelFiles.ts';
import { knownOptions } from '../knownOptions.ts';
import { Model, type ModelParts, type PartOf } from './loaded/model.ts';
import { ownConfig, readModelConfig } from './opening/readModelConfig.ts';
import { withProviders } from '../plugin/registry/withProviders.ts';
import { notFound } from '../files/notFound.ts';
import { type RequestedPrecision, requestedPrecision, precisionOnMachine } from './loaded/precision.ts';
import { quantizedGraphs } from './quantizing/quantizedParts.ts';
import { requirePath } from './loaded/argumentChecks.ts';

/** Options of {@link openModel}. */
export interface OpenOptions extends Omit<LoadAdapterOptions, 'maxTensors'> {
  /** Families to recognise the model by, such as those of `@onnx-lora/vision`. */
  readonly families?: readonly ModelFamily[];
  /** Plugins, or the result of `loadPlugins`. Their families come after `families`. */
  readonly plugins?: PluginRegistry | readonly Plugin[];
  /** Runs sessions and training; by default a {@link WorkerRuntime}, or for `worker: false` an {@link OrtRuntime}. */
  readonly runtime?: Runtime;
  /** Runs sessions and training in place of `runtime`. */
  readonly workerRuntime?: Runtime;
  /**
   * For batch normalisations that the exporter folded into convolution weights, as torch's exporters do by default:
   * each output's factor γ ÷ √(σ² + ε), by module path. Adapters are made for the weight without it.
   */
  readonly foldedScales?: Readonly<Record<string, Float32Array>>;
  /** The variant of a folder's files: `fp16` opens `model_fp16.onnx`. Full precision by default. */
  readonly variant?: string;
  /**
   * Describes a model of several files that no family knows: its parts, and which output feeds which input. Without it,
   * files named by hand are joined by equal names of outputs and inputs.
   * @example
   * { parts: [{ name: 'encoder', prefix: 'model.encoder' }, { name: 'decoder', reads: { states: 'last_hidden_state' } }] }
   */
  readonly files?: FamilyFiles;
  /**
   * The precision of training, evaluation and sessions; `float32` by default. The file stays as it is.
   * - `int8` computes products with weights in 8-bit integers on the CPU, forward and backward. Processors whose
   *   integer products saturate round weights a little more; `saturates` states it without measuring.
   * - `float16` computes them in half precision on a GPU, whose provider must be named, and halves the memory of
   *   weights.
   * - `int4` and `nf4` round weights to 4 bits while opening, as `quantize` would, and compute in float32.
   * @example
   * const model = await openModel('models/vit', { precision: 'int8' });
   */
  readonly precision?: PrecisionChoice;
  /** Called after each layer that is quantised for `int4` and `nf4`; not if the user's cache has the weights. */
  readonly onLayer?: (done: number, total: number, module: string) => void;
  /** Constant inputs, as in {@link Model.withFixedInputs}: `{ sr: 16000n }`. For models of one file. */
  readonly fixedInputs?: FixedInputs;
}

// prettier-ignore
const requireKnown = knownOptions<OpenOptions>('openModel', {
  families: true, plugins: true, runtime: true, workerRuntime: true, foldedScales: true, variant: true, files: true, precision: true,
  onLayer: true, fixedInputs: true, revision: true, onDownload: true,
});

/**
 * Opens a model. Its weights stay on disk. A model published as several files, such as SAM's vision encoder and mask
 * decoder, is joined into one; each entry of `model.parts` is one file as a model.
 * @param source a folder laid out like a published repository (`config.json`, `preprocessor_config.json`,
 *   `onnx/model.onnx`, or a family's files), an .onnx file, a hub id such as `org/name`, or several .onnx files to
 *   join, each reading outputs of earlier ones
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `MODEL_INVALID`, `FILE_INVALID`; `MODEL_UNSUPPORTED` for files that do not
 *   fit together, and for `fixedInputs` of several files; `INPUT_INVALID` for `fixedInputs` that the model lacks or
 *   rejects; `CONFIG_INVALID` for an unknown option
 */
export async function openModel(source: string | readonly string[], given: OpenOptions = {}): Promise<Model> {
  for (const each of typeof source === 'string' ? [source] : (source ?? [source])) requirePath('openModel', each);
  requireKnown(given);
  try {
    const precision = requestedPrecision(given.precision);
    const model = await (precision && isWeightPrecision(precision) ? openInFewerBits(source, given, precision) : openAsItIs(source, given)); // prettier-ignore
    const fixed = model.withFixedInputs(given.fixedInputs ?? {});
    return await (precision && !isWeightPrecision(precision) ? inPrecision(fixed, precision) : fixed);
  } catch (error) {
    throw systemFailure(error) ?? error;
  }
}

async function inPrecision(model: Model, asked: Exclude<RequestedPrecision, WeightPrecision>): Promise<Model> {
  const precision = await precisionOnMachine(asked, model.runtime);
  return model.derived({ precision: precisionOf(model.onnx.model, precision, model.name) });
}

/** Opens the model as if `quantize` had written its files. */
async function openInFewerBits(
  source: string | readonly string[],
  given: OpenOptions,
  precision: WeightPrecision,
): Promise<Model> {
  const graphs = await quantizedGraphs(await openAsItIs(source, given), precision, given.onLayer);
  return openAsItIs(source, given, ({ has, open, list }) => ({
    has,
    list,
    open: (file) => {
      const model = graphs.get(realFile(file));
      return model ? { path: file, model } : open(file);
    },
  }));
}

interface Opening extends OpenOptions {
  readonly plugins: PluginRegistry;
  readonly at: ModelFiles;
}

async function openAsItIs(
  source: string | readonly string[],
  given: OpenOptions,
  changed: (files: ModelFiles) => ModelFiles = (files) => files,
): Promise<Model> {
  const plugins = catalogueOf(given.plugins);
  const families = [...(given.families ?? []), ...plugins.families];
  const options: Opening = { ...given, at: changed(filesOnDisk), plugins, families };
  if (typeof source !== 'string') return openFiles(source, options);
  const located = existsSync(source) ? source : await fromHub(source, options);
  if (!statSync(located).isDirectory()) return openFile(source, located, options);
  settle(located);
  const builder = builderFor(located, plugins);
  const at = builder ? changed(await builtFiles(located, builder, families)) : options.at;
  return openFolder(source, located, { ...options, at });
}

function openFolder(source: string, located: string, options: Opening): Model {
  const { at, families = [], variant } = options;
  const published = options.files ? [options.files] : publishedAs(families, readModelConfig(located));
  const wanted = { folder: located, has: at.has, list: at.list, published, variant };
  const single = (file: string): Model => modelOf({ name: source, onnx: at.open(file), folder: located }, options);
  const joined = (found: FilesToJoin): Model =>
    needsNoJoin(found, at.open) ? single(found.parts[0]!.file) : joinedModel(source, found, located, options);
  const preferred = joinableFiles({ ...wanted, published: published.filter(({ arePreferred }) => arePreferred) }, at); // prettier-ignore
  if (preferred) return joined(preferred);
  const whole = options.files ? undefined : wholeFile(wanted);
  if (whole !== undefined) return single(whole);
  const found = filesInFolder(wanted);
  if (found) return joined(found);
  return single(onlyFile(wanted, options.files !== undefined));
}

/** The files of the first published layout that the folder holds completely and that needs joining. */
function joinableFiles(wanted: FileSearch, { open }: ModelFiles): FilesToJoin | undefined {
  const found = wanted.published.map((each) => filesInFolder({ ...wanted, published: [each] }));
  return found.find((each) => each && !needsNoJoin(each, open));
}

/** One of a family's several files knows the joined model, as entries of `model.parts` do. */
function openFile(name: string, file: string, options: Opening): Model {
  const folder = folderOf(file);
  for (const each of new Set([folder, path.dirname(file)])) settle(each);
  const own = { name, onnx: options.at.open(file), folder };
  const published = publishedAs(options.families ?? [], readModelConfig(folder));
  const found = joinableFiles({ folder, ...options.at, published }, options.at);
  const at = found?.parts.findIndex((part) => realFile(part.file) === realFile(file)) ?? -1;
  if (!found || at < 0) return modelOf(own, options);
  let whole: PartOf | undefined;
  const partOf = (): PartOf => {
    if (!whole) {
      const joined = joinFiles(found, options.at.open);
      whole = { whole: modelOf({ name: folder, ...joined, folder }, options), path: joined.files[at]!.path };
    }
    return whole;
  };
  return modelOf({ ...own, partOf }, options);
}

function openFiles(files: readonly string[], options: Opening): Model {
  const [first] = files;
  if (first === undefined) {
    throw new OnnxLoraError('CONFIG_INVALID', 'No file of the model is named. Name at least one .onnx file.');
  }
  if (files.length === 1) return openFile(first, first, options);
  const folder = folderOf(first);
  for (const each of new Set([folder, ...files.map((file) => path.dirname(file))])) settle(each);
  const published = options.files ? [options.files] : publishedAs(options.families ?? [], readModelConfig(folder));
  return joinedModel(files.join(' + '), filesNamed(files, published) ?? partsByName(files), folder, options);
}

function joinedModel(name: string, found: FilesToJoin, folder: string, options: Opening): Model {
  requireOneFile(
    options.fixedInputs ?? {},
    found.parts.map(({ file }) => file),
    name,
  );
  return modelOf({ name, ...joinFiles(found, options.at.open), folder }, options);
}

function modelOf(
  parts: Pick<ModelParts, 'name' | 'onnx' | 'files' | 'partOf'> & { readonly folder: string },
  { families = [], plugins, runtime, workerRuntime = runtime, foldedScales }: OpenOptions,
): Model {
  const registry = catalogueOf(plugins);
  // The file's own config first: a merged file may lie in another model's folder.
  const config = ownConfig(parts.onnx.model, parts.onnx.path) ?? readModelConfig(parts.folder);
  return new Model({
    ...parts,
    ...withoutUndefined({ config, foldedScales }),
    families,
    registry,
    runtime: withProviders(runtime ?? new OrtRuntime(), registry.providers),
    sessionRuntime: withProviders(workerRuntime ?? new WorkerRuntime(), registry.providers),
  });
}

async function fromHub(source: string, options: Opening): Promise<string> {
  if (!isHubId(source)) {
    const remedy = 'Check the path; a model on the hub is named like "org/name".';
    throw notFound('file or folder', source, { remedy });
  }
  return downloadModel(source, { ...options, builders: options.plugins.builders });
}

/** The repository's folder: the file's own, or the parent of `onnx`. */
function folderOf(file: string): string {
  const parent = path.dirname(file);
  return path.basename(path.resolve(parent)) === 'onnx' && !existsSync(path.join(parent, 'config.json'))
    ? path.dirname(path.resolve(parent))
    : parent;
}
