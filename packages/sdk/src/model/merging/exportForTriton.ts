/** @file `exportForTriton`: a Triton model repository of the base, and an ensemble for each adapter. */

import * as path from '../../platform/path.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import { formatSafetensors } from '../../adapter/formats/safetensors.ts';
import { type AdapterFeeds, adapterFeeds } from '../../adapter/serving/feeds.ts';
import { OnnxLoraError } from '../../errors.ts';
import { refuseOverwrite } from '../../files/atomicWriter.ts';
import { writeOnnxFiles } from '../../graph/file/onnxFile.ts';
import type { ModelProto, ValueInfoProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { knownOptions } from '../../knownOptions.ts';
import { declaredType } from '../../ops/inferGraph.ts';
import type { Model } from '../loaded/model.ts';
import { type ExportOptions, withAdapterInputs } from './exportWithInputs.ts';
import { requireWritable } from './merge.ts';
import { tritonEnsemble, tritonModel, type TritonPort } from './tritonConfig.ts';
import { requireAdapters, requireModel, requirePath } from '../loaded/argumentChecks.ts';

/** Options of {@link exportForTriton}. */
export interface TritonOptions extends ExportOptions {
  /** Name of the base; by default the last part of the model's name. */
  readonly name?: string;
}

const requireKnown = knownOptions<TritonOptions>('exportForTriton', { allowBaseMismatch: true, overwrite: true, name: true }); // prettier-ignore

/** Result of {@link exportForTriton}. */
export interface TritonResult {
  /** All files. */
  readonly files: readonly string[];
  /** Name of the base. */
  readonly model: string;
  /** Names of the adapters, each a model for clients. */
  readonly adapters: readonly string[];
  /** Names of the base's optional inputs. */
  readonly inputs: readonly string[];
}

const WEIGHTS = '-weights';

/**
 * Writes a model repository for NVIDIA's Triton Inference Server: all files or none. The base is one model (`NAME`)
 * with the adapters' tensors as optional inputs; without them it answers as the base. Each adapter is an ensemble
 * (`ADAPTER`) with the base's inputs and outputs: a graph of constants (`ADAPTER-weights`) feeds its tensors to the
 * base, which is loaded once. `inputs.safetensors` next to an ensemble has its tensors by input name, for clients that
 * feed the base directly. Triton allows no optional inputs in batched models: each request is a batch of any size.
 * @param adapters by their names in the repository
 * @param folder the repository, created if missing
 * @throws OnnxLoraError as `exportWithInputs`; `INPUT_INVALID` for duplicate model names; `MODEL_UNSUPPORTED` for input
 *   or output types that Triton lacks
 */
export async function exportForTriton(
  given: Model,
  adapters: Readonly<Record<string, Adapter>>,
  folder: string,
  options: TritonOptions = {},
): Promise<TritonResult> {
  requireModel('exportForTriton', given);
  requireAdapters('exportForTriton', Object.values(adapters ?? { none: adapters }));
  requirePath('exportForTriton', folder);
  requireKnown(options);
  const base = options.name ?? path.basename(path.resolve(given.name), '.onnx').replaceAll(/[^\w.-]/g, '-');
  requireModelName(base);
  const names = Object.keys(adapters);
  const all = [base, ...names, ...names.map((name) => name + WEIGHTS)];
  requireApart(all);
  const fileOf = (name: string): string => path.join(folder, name, '1', 'model.onnx');
  const configOf = (name: string): string => path.join(folder, name, 'config.pbtxt');
  const tensorsOf = (name: string): string => path.join(folder, name, '1', 'inputs.safetensors');
  requireWritable(given, fileOf(base));
  refuseOverwrite(all.map((name) => path.join(folder, name)), options); // prettier-ignore
  const { graph, model, placed, inputs } = await withAdapterInputs(given, adapters, options);
  const optional = new Set(inputs.map(({ name }) => name));
  const constants = new Set(graph.graph?.initializer?.map(({ name }) => name));
  const types = model.types();
  const port = (info: ValueInfoProto): TritonPort => {
    const known = types.get(info.name ?? '')?.shape;
    const declared = declaredType(info).shape ?? known;
    // Triton also needs sizes that ONNX Runtime infers.
    const dims = declared?.map((dim, axis) => (typeof dim === 'number' ? dim : (known?.[axis] ?? dim)));
    return { name: info.name ?? '', type: info.type?.tensorType?.elemType ?? 0, dims };
  };
  const { input = [], output = [] } = graph.graph ?? {};
  const places = input.filter(({ name = '' }) => optional.has(name));
  const own = input.filter(({ name = '' }) => !constants.has(name));
  const [fed, answers] = [own.map(port), output.map(port)];
  const models = [{ file: fileOf(base), model: graph }];
  const beside: [string, Uint8Array | (() => Uint8Array)][] = [];
  const config = (name: string, text: string): number => beside.push([configOf(name), new TextEncoder().encode(text)]);
  config(base, tritonModel(base, fed, answers, places.map(port)));
  for (const [name, each] of placed) {
    const feeds = new Map(adapterFeeds(each, inputs));
    const weights = constantsModel(graph, own[0]!, feeds);
    const tensors = weights.graph!.output!.map(port);
    models.push({ file: fileOf(name + WEIGHTS), model: weights });
    config(name + WEIGHTS, tritonModel(name + WEIGHTS, fed.slice(0, 1), tensors));
    config(name, tritonEnsemble(name, { base, weights: name + WEIGHTS }, fed, answers, tensors));
    beside.push([tensorsOf(name), () => formatSafetensors(feeds)]);
  }
  return { files: writeOnnxFiles(models, beside), model: base, adapters: names, inputs: [...optional] };
}

/** The input is unused, but ensemble steps need one. */
function constantsModel(
  { opsetImport = [], irVersion }: ModelProto,
  input: ValueInfoProto,
  feeds: AdapterFeeds,
): ModelProto {
  const held = (name: string): string => `${name}/held`;
  return {
    ...(irVersion !== undefined && { irVersion }),
    opsetImport: opsetImport.filter(({ domain = '' }) => domain === ''),
    graph: {
      name: 'weights',
      initializer: [...feeds].map(([name, tensor]) => tensorProto(held(name), tensor)),
      node: [...feeds.keys()].map((name) => ({ opType: 'Identity', name, input: [held(name)], output: [name] })),
      input: [input],
      output: [...feeds].map(([name, { dims }]) => ({
        name,
        type: { tensorType: { elemType: 1, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
      })),
    },
  };
}

function requireModelName(name: string): void {
  if (/^[\w-][\w.-]*$/.test(name)) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `The base would be called ${JSON.stringify(name)}, which cannot be the name of a folder. Give it another (name).`,
  );
}

function requireApart(names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `Two models of the repository would be called "${twice}". Name the base or an adapter otherwise; "-weights" stands behind the names of adapters.`,
  );
}
