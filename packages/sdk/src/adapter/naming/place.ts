/** @file Places an adapter's tensors in a graph. */

import { OnnxLoraError, nearest } from '../../errors.ts';
import type { GraphProto } from '../../graph/proto.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { PlacedModuleAdapter } from '../../lora/methods/moduleAdapter.ts';
import type { TrainedParameter } from '../../lora/methods/trainedParameter.ts';
import type { ChosenTuner } from '../../lora/methods/adaptedLayer.ts';
import { LowRank, type PlacedLowRank } from '../../lora/methods/lora.ts';
import { WholeParameter } from '../../lora/methods/saved.ts';
import { withParts } from '../../match/attention/fusedQkv.ts';
import type { Site } from '../../match/sites.ts';
import { tiedLayers } from '../../match/tiedWeights.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import type { Adapter } from '../adapter.ts';
import { ParameterFinder } from '../merging/findParameter.ts';
import { dropoutAt, SiteNames, scalingAt } from './moduleNames.ts';
import type { PrefixChange } from './modulePrefix.ts';
import { requireLayers, requireShape, placeTunerModules } from './placeTunerModules.ts';
import { fromEarlierLayout, hasEarlierLayout } from '../formats/stackedLayout.ts';
import { LN_TUNING } from '../formats/peftConfig.ts';
import { normName, parseTensorName, tensorName } from '../formats/tensorNames.ts';
import { tiedTokenTensors, tokenTensors } from '../formats/trainableTokens.ts';

/** An adapter's tensors, placed in a graph. */
export interface PlacedAdapter {
  /** The adapter. */
  readonly adapter: Adapter;
  /** Its tunings by module, with their tensors. */
  readonly tunings: readonly PlacedModuleAdapter[];
  /** Tensors without a place: modules that the graph lacks, and copies of the base. */
  readonly unused: readonly string[];
}

/**
 * Places every tensor of an adapter.
 * @param options the prefix change; heads of dynamic size; a head that the base lacks; whether no place at all is fine,
 *   as for a part of a model; the tuner, unless LoRA
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for different shapes, half a pair, or no match at all; `MODEL_UNSUPPORTED`
 *   for parts that cannot be applied
 */
export function placeAdapter(
  adapter: Adapter,
  graph: GraphProto,
  sites: readonly Site[],
  model: string,
  {
    prefix = { inAdapter: '', inGraph: '' },
    openHeads = new Set(),
    newHead,
    mayBeEmpty = false,
    chosen,
  }: {
    readonly prefix?: PrefixChange;
    readonly openHeads?: ReadonlySet<string>;
    readonly newHead?: string | undefined;
    readonly mayBeEmpty?: boolean;
    readonly chosen?: ChosenTuner | undefined;
  } = {},
): PlacedAdapter {
  const inGraph = (module: string): string =>
    module.startsWith(prefix.inAdapter) ? `${prefix.inGraph}${module.slice(prefix.inAdapter.length)}` : module;
  const names = new SiteNames(withParts(sites), adapter.config);
  const parameters = new ParameterFinder(graph, sites);
  const modules = new Map<string, Map<string, Tensor>>();
  const trained: PlacedModuleAdapter[] = [];
  const unused: string[] = [];
  const byTuner = chosen ? placeTunerModules(adapter, chosen, (module) => names.find(inGraph(module)), model) : [];
  if (chosen && byTuner.length === 0) requireLayers(adapter);
  const tuned = new Set(byTuner.flatMap((each) => each.names));
  for (const [name, tensor] of adapter.tensors) {
    const { module, role, parameter } = parseTensorName(name);
    if (tuned.has(name)) continue;
    const packed = names.find(inGraph(module));
    if (packed?.part && (role === 'parameter' || role === 'base_layer.bias')) throw trainedPart(packed);
    if (role === 'parameter' || role === 'base_layer.bias') {
      const path = role === 'parameter' ? inGraph(module) : (names.find(inGraph(module))?.path ?? inGraph(module));
      const found = parameters.find(path, parameter ?? 'bias');
      if (!found) unused.push(name);
      else {
        const checked = {
          ...checkParameter(found, tensor, model, openHeads),
          ...(found.modulePath === newHead ? { isNew: true } : {}),
        };
        const isNorm = adapter.config.peftType === LN_TUNING && name.includes('.ln_tuning_layers.');
        const isPlain = role === 'parameter' && module === inGraph(module) && !isNorm;
        const savedAs = isNorm ? normName(module, parameter!) : tensorName(module, role, parameter);
        const own = isPlain ? checked : { ...checked, savedAs };
        trained.push({ tuning: new WholeParameter(own), saved: new Map([['parameter', tensor]]), names: [name] });
      }
    } else if (role === 'base_layer.weight' || !names.find(inGraph(module))) {
      unused.push(name);
    } else {
      const tensors = modules.get(module) ?? new Map<string, Tensor>();
      modules.set(module, tensors.set(role, tensor));
    }
  }
  const own = [...modules].map(([module, tensors]) =>
    lowRankTensors(module, names.find(inGraph(module))!, tensors, adapter, model),
  );
  const lowRank = [
    ...(adapter.config.extra['ensure_weight_tying'] === true ? tied(own, sites) : own),
    ...own.flatMap((placed) => (placed.tuning.product.tokens ? tiedTokenRows(placed, sites, own) : [])),
  ];
  const tunings = [...lowRank, ...trained, ...byTuner];
  if (tunings.length === 0 && !mayBeEmpty) {
    const wanted = parseTensorName([...adapter.tensors.keys()][0] ?? '').module;
    const near = nearest(wanted, names.paths);
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `None of the adapter's modules is in "${model}": it adapts "${wanted}"…, the model has ${(near.length > 0 ? near : names.paths.slice(0, 3)).map((each) => `"${each}"`).join(', ')}…. Use the base model that the adapter was trained on.`,
    );
  }
  return { adapter, tunings, unused };
}

function trainedPart({ path, part }: Site): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The adapter has trained a weight or bias of "${path}" in full, which is one with others in "${part!.of}". Use a base model in which it is a layer of its own.`,
  );
}

/** Links adapters of layers to those of the embeddings that they are tied to. */
function tied(lowRank: readonly PlacedLowRank[], sites: readonly Site[]): PlacedLowRank[] {
  const layers = lowRank.map(({ tuning }) => tuning.product);
  const embeddings = layers.filter(({ site, tokens }) => site.kind === 'embedding' && !tokens);
  const tiedTo = new Map(
    embeddings.flatMap((layer) => tiedLayers(layer.site, sites).map(({ path }) => [path, layer] as const)),
  );
  return lowRank.map((each) => {
    const { product: layer, scaling } = each.tuning;
    const other = tiedTo.get(layer.site.path);
    return other && other.r === layer.r ? { ...each, tuning: new LowRank({ ...layer, tiedTo: other }, scaling) } : each;
  });
}

/** Trained rows of an embedding also act in the layers tied to it. */
function tiedTokenRows(
  placed: PlacedLowRank,
  sites: readonly Site[],
  others: readonly PlacedLowRank[],
): PlacedLowRank[] {
  const { site } = placed.tuning;
  return tiedLayers(site, sites).map((layer) => {
    if (others.every(({ tuning }) => tuning.path !== layer.path)) return tiedTokenTensors(placed, layer);
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The adapter trains rows of "${site.path}" and adapts "${layer.path}", whose weight is the same. Only one of the two can be applied.`,
    );
  });
}

function checkParameter(
  found: TrainedParameter,
  tensor: Tensor,
  model: string,
  openHeads: ReadonlySet<string>,
): TrainedParameter {
  const { dims } = found.stored;
  const expected = found.torchDims ?? (found.layout === 'in-out' ? dims.toReversed() : dims);
  const isOpen = openHeads.has(found.modulePath);
  const own = isOpen ? [tensor.dims[0] ?? 1, ...expected.slice(1)] : expected;
  requireShape(`${found.name} of the adapter`, tensor.dims, own, model);
  return isOpen ? { ...found, isOpen } : found;
}

function lowRankTensors(
  module: string,
  site: Site,
  tensors: ReadonlyMap<string, Tensor>,
  adapter: Adapter,
  model: string,
): PlacedLowRank {
  const rows = tensors.get('trainable_tokens_delta') ?? tensors.get('own_tokens_delta');
  if (rows) return tokenTensors(module, site, rows, adapter.config, model);
  const kind = kindOf(site);
  const { names } = kind;
  const magnitude = tensors.get('lora_magnitude_vector');
  const [savedA, savedB] = [tensors.get(names.lora_A), tensors.get(names.lora_B)];
  if (!savedA || !savedB) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `The adapter holds only half of module "${site.path}", a ${site.kind}: ${savedA ? names.lora_B : names.lora_A} is missing. Copy or save it again.`,
    );
  }
  const isEarlier = hasEarlierLayout(site, savedA, savedB, adapter.config);
  const [A, B] = isEarlier ? fromEarlierLayout(site, savedA, savedB) : [savedA, savedB];
  const r = kind.rankOf(site, A.dims);
  const dora = magnitude !== undefined;
  const bias = tensors.get('lora_B.bias');
  const refusal = kind.refuses(site, { r, dora, bias: bias !== undefined });
  if (refusal !== undefined)
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The adapter of "${site.path}" cannot be applied: the layer ${refusal}.`,
    );
  requireShape(`${names.lora_A} of "${site.path}"`, A.dims, kind.factorShape(site, 'lora_A', r), model);
  requireShape(`${names.lora_B} of "${site.path}"`, B.dims, kind.factorShape(site, 'lora_B', r), model);
  if (magnitude)
    requireShape(`lora_magnitude_vector of "${site.path}"`, magnitude.dims, kind.perOutputShape(site), model);
  if (bias) requireShape(`lora_B.bias of "${site.path}"`, bias.dims, [kind.matrix(site).out], model);
  const named = module === site.path ? {} : { savedAs: module };
  // As PEFT trains adapters initialised by MiCA.
  const left = adapter.config.initLoraWeights === 'mica' ? { left: ['lora_B'] } : {};
  const layer = { site, r, dora, bias: bias !== undefined, ...named, ...left, ...dropoutAt(site, adapter.config) };
  const optional = { lora_magnitude_vector: magnitude, 'lora_B.bias': bias };
  return {
    tuning: new LowRank(layer, scalingAt(adapter.config, layer).scaling),
    saved: new Map(
      Object.entries({ lora_A: A, lora_B: B, ...optional }).flatMap(([role, tensor]) =>
        tensor ? [[role, tensor]] : [],
      ),
    ),
    names: [...tensors.keys()].map((role) => tensorName(module, role as Parameters<typeof tensorName>[1])),
  };
}
