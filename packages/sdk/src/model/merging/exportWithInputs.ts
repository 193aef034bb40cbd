/** @file `exportWithInputs`: a model with adapters as optional inputs, and `.onnx_adapter` files for ONNX Runtime. */

import * as path from '../../platform/path.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import { adapterFeeds, baseFeeds } from '../../adapter/serving/feeds.ts';
import { formatOrtAdapter } from '../../adapter/formats/ortAdapter.ts';
import type { PlacedAdapter } from '../../adapter/naming/place.ts';
import { joinModules } from '../../adapter/serving/slots.ts';
import { OnnxLoraError } from '../../errors.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { refuseOverwrite } from '../../files/atomicWriter.ts';
import { knownOptions } from '../../knownOptions.ts';
import { writeOnnxFiles } from '../../graph/file/onnxFile.ts';
import type { ModelProto, TypeProto, ValueInfoProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { indexWhole } from '../../graph/walk.ts';
import { injectAdapters } from '../../lora/inject.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { AdapterInput } from '../../lora/methods/moduleAdapter.ts';
import { refold } from '../../match/view.ts';
import { requireWritable } from './merge.ts';
import { withSharedHead } from '../head/forAdapter.ts';
import type { Model } from '../loaded/model.ts';
import { requireAdapters, requireModel, requirePath } from '../loaded/argumentChecks.ts';

/** Options of {@link exportWithInputs}. */
export interface ExportOptions {
  /** Accepts adapters of other base weights. */
  readonly allowBaseMismatch?: boolean;
  /** Replaces existing files; by default they are an error. */
  readonly overwrite?: boolean;
}

const requireKnown = knownOptions<ExportOptions>('exportWithInputs', { allowBaseMismatch: true, overwrite: true });

/** Result of {@link exportWithInputs}. */
export interface ExportResult {
  /** The .onnx file, and its `.data` file if the weights exceed the limit of one file. */
  readonly files: readonly string[];
  /** The `.onnx_adapter` files by adapter. */
  readonly adapters: Readonly<Record<string, string>>;
  /** Names of the optional inputs. */
  readonly inputs: readonly string[];
}

/** First IR version whose initializers need not be inputs, so inputs may have defaults. */
const OPTIONAL_INPUTS = 4;

/**
 * Writes a model with adapter inputs, and each adapter as an `.onnx_adapter` file in the same folder: all files or
 * none. The inputs default to the unchanged base. ONNX Runtime's C, C++, C#, Java and Python bindings run the base, or
 * an adapter with its file as active adapter. (onnxruntime-node ignores feeds for such inputs.) Inputs are float32: of
 * a linear layer A `[in, r]` and B `[r, out]`, any r, with the scaling in B; for DoRA `lora_gain`, a factor per output;
 * for fully trained parameters their own shape, with linear weights as `[in, out]`.
 * @param adapters by file name
 * @throws OnnxLoraError `ADAPTER_MISMATCH`, also for heads of different sizes; `INPUT_INVALID` for no adapter, an
 *   invalid file name, and adapters over 2 GiB; `FILE_INVALID` if a file cannot be written; `CONFIG_INVALID` for an
 *   unknown option
 */
export async function exportWithInputs(
  given: Model,
  adapters: Readonly<Record<string, Adapter>>,
  file: string,
  options: ExportOptions = {},
): Promise<ExportResult> {
  requireModel('exportWithInputs', given);
  requireAdapters('exportWithInputs', Object.values(adapters ?? { none: adapters }));
  requirePath('exportWithInputs', file);
  requireKnown(options);
  requireWritable(given, file);
  const folder = path.dirname(file);
  const placeOfAdapter = (name: string): string => path.join(folder, `${name}.onnx_adapter`);
  refuseOverwrite([file, ...Object.keys(adapters).map(placeOfAdapter)], options);
  const { graph, placed, inputs } = await withAdapterInputs(given, adapters, options);
  const written = placed.map(([name, each]) => [placeOfAdapter(name), each] as const);
  const files = writeOnnxFiles(
    [{ file, model: graph }],
    written.map(([name, each]) => [name, () => formatOrtAdapter(new Map(adapterFeeds(each, inputs)))] as const),
  );
  return {
    files: files.slice(0, -written.length),
    adapters: Object.fromEntries(placed.map(([name], i) => [name, written[i]![0]])),
    inputs: inputs.map(({ name }) => name),
  };
}

/** A graph with adapter inputs, and the adapters placed in it. */
export interface AdapterInputGraph {
  readonly graph: ModelProto;
  /** The base, with the head that all adapters share. */
  readonly model: Model;
  readonly placed: readonly (readonly [name: string, adapter: PlacedAdapter])[];
  readonly inputs: readonly AdapterInput[];
}

/**
 * Adds optional inputs for these adapters.
 * @throws OnnxLoraError `ADAPTER_MISMATCH`, also for heads of different sizes; `INPUT_INVALID` for no adapter or an
 *   invalid name
 */
export async function withAdapterInputs(
  given: Model,
  adapters: Readonly<Record<string, Adapter>>,
  { allowBaseMismatch = false }: ExportOptions,
): Promise<AdapterInputGraph> {
  if (Object.keys(adapters).length === 0)
    throw new OnnxLoraError('INPUT_INVALID', 'No adapter is named, so there is nothing to make inputs for. Name one.');
  const model = withSharedHead(given, adapters);
  const placed: (readonly [string, PlacedAdapter])[] = [];
  for (const [name, adapter] of Object.entries(adapters)) {
    requireName(name);
    placed.push([name, await model.place(adapter, { allowBaseMismatch })]);
  }
  const plan = joinModules(placed.flatMap(([, { tunings }]) => tunings.map(({ tuning }) => tuning)));
  const { model: injected, inputs } = injectAdapters(model.onnx.model, plan, { types: model.types(), mode: 'single' });
  return { graph: withDefaults(refold(injected), inputs), model, placed, inputs };
}

function withDefaults(model: ModelProto, inputs: readonly AdapterInput[]): ModelProto {
  const byName = new Map(inputs.map((input) => [input.name, input]));
  // A zero rank: some providers cannot multiply matrices without columns.
  const defaults = baseFeeds(inputs, 1);
  const { graph = {} } = model;
  const { uses, outputs } = indexWhole(graph);
  // A fully trained parameter's default replaces its initializer, under another name.
  const replaced = new Set(
    inputs.flatMap(({ tuning: { parameter } }) => parameter?.stored.tensors.map(({ name }) => name) ?? []),
  );
  const kept = (graph.initializer ?? []).filter(
    ({ name = '' }) => !replaced.has(name) || uses.has(name) || outputs.has(name),
  );
  return {
    ...model,
    irVersion: Math.max(Number(model.irVersion ?? 0), OPTIONAL_INPUTS),
    graph: {
      ...graph,
      initializer: [...kept, ...[...defaults].map(([name, tensor]) => tensorProto(name, tensor))],
      input: (graph.input ?? []).map((info): ValueInfoProto => {
        const input = byName.get(info.name ?? '');
        return input ? { ...info, type: declaredType(input, defaults.get(input.name)!.dims) } : info;
      }),
    },
  };
}

/** Float32 in the default's shape, with a symbolic rank per module. */
function declaredType({ tuning, tensor }: AdapterInput, dims: readonly number[]): TypeProto {
  const dim = dims.map((dimValue, axis) => {
    if (axis !== tensor.rankAxis) return { dimValue };
    const { groups } = kindOf(tuning.site!).matrix(tuning.site!);
    // B of a grouped convolution has a column per rank of a group.
    return { dimParam: `${tuning.path}.r${groups === 1 || tensor.role === 'lora_A' ? '' : ` / ${groups}`}` };
  });
  return { tensorType: { elemType: dataTypeNumber('float32'), shape: { dim } } };
}

function requireName(name: string): void {
  if (/^[\w-][\w.-]*$/.test(name)) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `An adapter is called ${JSON.stringify(name)}, which cannot be the name of its file. Use letters, digits, dots, hyphens and underscores.`,
  );
}
