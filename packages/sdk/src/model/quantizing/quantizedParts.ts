/** @file Quantises the linear layers and embeddings of a model's graphs, for files or for immediate use. */

import { nextTurn } from '../../platform/pause.ts';
import { relativeError } from '../../adapter/merging/editWeights.ts';
import { OnnxLoraError } from '../../errors.ts';
import { readBytes } from '../../graph/bytes.ts';
import type { OnnxFile } from '../../graph/file/onnxFile.ts';
import { ScratchBytes } from '../../graph/file/scratchWeights.ts';
import type { SingularValues } from '../../linalg/decompositions.ts';
import type { Site } from '../../match/sites.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import type { WeightPrecision } from '../../ops/precision/precision.ts';
import { type QuantizedForm, type QuantizedFrom, quantizeMatrix, quantizeTable } from '../../ops/quantization/forms.ts';
import { withoutUndefined } from '../../plugin/withoutUndefined.ts';
import { Random } from '../../runtime/random.ts';
import type { Model } from '../loaded/model.ts';
import { realFile } from '../opening/modelFiles.ts';
import { QUANTIZED_KEY } from '../graph/modelGraph.ts';
import { chooseLayers, isQuantizable, type KeptLayer, withoutShared } from './chooseLayers.ts';
import { loftqMatrix } from './loftq.ts';
import { preparedWeights, type QuantizedWeight } from './preparedWeights.ts';
import { outputErrors } from './outputErrors.ts';
import { type MatrixTensors, quantizedGraph, rowsOf, withBytes, withNames } from './quantizedGraph.ts';
import { type CheckedOptions, checkedOptions, type QuantizedLayer, type QuantizeOptions } from './quantizeOptions.ts';

/** First opset with the integer rounding that the products need. */
const FIRST_OPSET = 11;

/** One file of a model. */
export interface ModelPart {
  readonly model: Model;
  /** Prefix of the file's module paths in the whole model. */
  readonly prefix: string;
}

/** Checked options with internal state. */
export interface QuantizeRequest
  extends CheckedOptions, Pick<QuantizeOptions, 'targetModules' | 'excludeModules' | 'data' | 'loftq' | 'onLayer'> {
  readonly random: Random;
  readonly scratch: ScratchBytes;
  /** Whether quantised weights are kept in the user's cache. */
  readonly isKept?: boolean;
}

/** A quantised model. */
export interface QuantizedParts {
  readonly graphs: readonly ReturnType<typeof quantizedGraph>[];
  readonly layers: readonly QuantizedLayer[];
  readonly kept: readonly KeptLayer[];
  /** The origin, also noted in the graphs. */
  readonly made: QuantizedFrom;
  readonly components: ReadonlyMap<string, SingularValues>;
}

/** The files of a model. */
export function partsOf(model: Model): readonly (ModelPart & { readonly onlyServes: boolean })[] {
  if (model.parts.length === 0) return [{ model, prefix: '', onlyServes: false }];
  return model.parts.map((part, i) => {
    const { path: prefix, onlyServes } = model.partFiles[i]!;
    return { model: part, prefix, onlyServes };
  });
}

/**
 * Quantises a model's graphs in memory, by the files' real paths, with weights in a temporary file.
 * @throws OnnxLoraError `CONFIG_INVALID`; `MODEL_UNSUPPORTED` if no layer can be quantised
 */
export async function quantizedGraphs(
  model: Model,
  { name, ...choice }: WeightPrecision,
  onLayer?: QuantizeOptions['onLayer'],
): Promise<ReadonlyMap<string, OnnxFile['model']>> {
  const checked = checkedOptions({ bits: name === 'nf4' ? name : 4, ...withoutUndefined(choice) });
  const parts = partsOf(model);
  const scratch = new ScratchBytes();
  try {
    const { graphs } = await quantizeParts(model, parts, {
      ...checked,
      random: new Random(0),
      scratch,
      isKept: true,
      ...(onLayer && { onLayer }),
    });
    return new Map(parts.map((part, i) => [realFile(part.model.file), graphs[i]!]));
  } finally {
    scratch.leave();
  }
}

/**
 * Quantises weights, one in memory at a time, and inserts them into the graphs of the parts.
 * @throws OnnxLoraError `TARGET_NOT_FOUND`; `MODEL_UNSUPPORTED` if no layer can be quantised; `DATA_INVALID`
 */
export async function quantizeParts(
  model: Model,
  parts: readonly ModelPart[],
  request: QuantizeRequest,
): Promise<QuantizedParts> {
  const { form, maxError, examples, data, loftq, onLayer, random, scratch, isKept = false } = request;
  const opset = opsetOf(model.onnx.model);
  if (opset < FIRST_OPSET) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" has opset ${opset}, and that has no quantised products. Export it with opset ${FIRST_OPSET} or later.`,
    );
  }
  const { sites, kept } = chooseLayers(model, form, request);
  requireSome(model, sites.length, kept);
  const all = new Map<string, Quantized>();
  let done = 0;
  const quantized = async (site: Site): Promise<Quantized> => {
    const rows = rowsOf(site);
    const isTable = site.kind === 'embedding';
    const found = isTable ? undefined : loftq && loftqMatrix(rows, form, loftq, random);
    const { tensors, restored } = isTable ? quantizeTable(rows) : (found?.quantized ?? quantizeMatrix(rows, form));
    const error = relativeError(restored, rows.values);
    onLayer?.(++done, sites.length, site.path);
    await nextTurn();
    return { site, error, tensors, ...(found && { components: found.components, errorWithAdapter: found.error }) };
  };
  const known = isKept ? await preparedWeights(model, sites, form, quantized) : undefined;
  for (const site of sites) {
    const weight = known?.get(site.path) ?? (await quantized(site));
    const kept = known ? weight.tensors : withBytes(weight.tensors, (bytes) => scratch.keep(readBytes(bytes)));
    all.set(site.path, { site, ...weight, tensors: kept });
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
  const made: QuantizedFrom = { from: await model.digest(), ...form };
  const found = parts.map((part) => inFewerBits(part, all, form));
  const nameless = new Set(found.flatMap((each) => each.nameless));
  const left = [
    ...kept,
    ...far,
    ...shared,
    ...[...nameless].map((module) => ({ module, reason: 'would lose its module path' })),
  ];
  const layers = [...all].flatMap(([module, { error, errorWithAdapter }]) =>
    nameless.has(module)
      ? []
      : [{ module, error, ...withoutUndefined({ outputError: measured?.get(module), errorWithAdapter }) }],
  );
  requireSome(model, layers.length, left);
  const components = new Map(
    layers.flatMap(({ module }) => {
      const own = all.get(module)!.components;
      return own ? [[module, own] as const] : [];
    }),
  );
  return { graphs: found.map(({ graph }) => withNote(graph, made)), layers, kept: left, made, components };
}

/** A quantised weight, by module path in the whole model. */
interface Quantized extends QuantizedWeight {
  readonly site: Site;
  readonly errorWithAdapter?: number;
  readonly components?: SingularValues;
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` if no layer is left */
function requireSome(model: Model, count: number, kept: readonly KeptLayer[]): void {
  if (count > 0) return;
  const [first] = kept;
  const why = first ? ` "${first.module}" ${first.reason}${kept.length > 1 ? `, and so on (${kept.length} layers)` : ''}.` : ''; // prettier-ignore
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `No layer of "${model.name}" can be quantised.${why} Quantise a file with float32 weights, allow smaller weights (smallest) or a larger error (maxError, --max-error), or take the file as it is.`,
  );
}

/** Quantises layers of a file, and returns the paths of those that would lose their names, left as they are. */
function inFewerBits(
  { model, prefix }: ModelPart,
  layers: ReadonlyMap<string, Quantized>,
  form: QuantizedForm,
): { readonly graph: ReturnType<typeof quantizedGraph>; readonly nameless: readonly string[] } {
  const whole = (site: Site): string => (prefix === '' ? site.path : `${prefix}.${site.path}`);
  const names = new Map<string, string>();
  const own = new Map<Site, MatrixTensors>();
  for (const site of model.sites()) {
    const found = isQuantizable(site) ? layers.get(whole(site)) : undefined;
    if (found?.site.kind !== site.kind || found.site.weightShape.join() !== site.weightShape.join()) continue;
    const { stored, layout } = site.weight;
    const [{ name: root }] = stored.tensors;
    // Slices of one tensor get separate tensors; layers that read it alike share one.
    const key = `${stored.name} ${layout}`;
    const used = [...names.values()].filter((name) => name === root || name.startsWith(`${root}_part`)).length;
    if (!names.has(key)) names.set(key, used === 0 ? root : `${root}_part${used}`);
    own.set(site, withNames(found.tensors, names.get(key)!));
  }
  const nameless: string[] = [];
  for (;;) {
    const graph = quantizedGraph(model.onnx.model, own, form);
    const found = model.derived({ model: graph }).sites();
    const paths = new Set(found.map((site) => site.path));
    const lost = [...own.keys()].filter((site) => !paths.has(site.path));
    if (lost.length === 0) return { graph, nameless };
    nameless.push(...lost.map(whole));
    for (const site of lost) own.delete(site);
  }
}

function withNote<Graph extends ReturnType<typeof quantizedGraph>>(graph: Graph, made: QuantizedFrom): Graph {
  const others = (graph.metadataProps ?? []).filter(({ key }) => key !== QUANTIZED_KEY);
  return { ...graph, metadataProps: [...others, { key: QUANTIZED_KEY, value: JSON.stringify(made) }] };
}

function tooFar(error: number): string {
  if (!Number.isFinite(error)) return 'holds numbers that are not finite';
  return `would be ${(100 * error).toFixed(error < 0.1 ? 1 : 0)}% off`;
}
