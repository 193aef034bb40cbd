/** @file Where each tensor of an adapter belongs in a graph. */

import { OnnxLoraError, nearest } from '../errors.ts';
import type { GraphProto } from '../graph/proto.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { AdapterPlan, LowRankSite, TrainedParameter, TunedSite } from '../lora/plan.ts';
import { withParts } from '../match/partSites.ts';
import type { Site } from '../match/sites.ts';
import { tiedLayers } from '../match/tiedWeights.ts';
import type { Tensor } from '../runtime/tensor.ts';
import type { Adapter } from './adapter.ts';
import { ParameterFinder } from './findParameter.ts';
import { SiteNames, scalingAt } from './moduleNames.ts';
import type { PrefixChange } from './modulePrefix.ts';
import type { LowRankTensors, PlacedAdapter, TunedTensors } from './placed.ts';
import { fromEarlierLayout, hasEarlierLayout } from './stackedLayout.ts';
import { parseTensorName, tensorName } from './tensorNames.ts';
import { tiedTokenTensors, tokenTensors } from './trainableTokens.ts';
import { type ChosenTuner, tunedSite } from './tunedSite.ts';

/**
 * Finds the place of every tensor of an adapter.
 *
 * @param options how the adapter's module names and the graph's differ; modules that may have any number of outputs; a head
 *   that the base does not have; whether an adapter may have no place at all, as one for another part of the model; the tuner of an adapter that is not LoRA
 * @throws OnnxLoraError `ADAPTER_MISMATCH` when a shape differs from the model's, half of a pair is missing, or nothing
 *   in the model fits; `MODEL_UNSUPPORTED` for parts of an adapter that cannot be applied
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
  const trained: PlacedAdapter['trained'][number][] = [];
  const tuned = new Map<string, TunedTensors & { readonly tensors: Map<string, Tensor> }>();
  const unused: string[] = [];
  /** Whether the tensor is one of the tuner's; then it has its place. */
  const isTuned = (module: string, word: string, tensor: Tensor): boolean => {
    const site = chosen && names.find(inGraph(module));
    if (!site || !chosen) return false;
    const own = tuned.get(module) ?? { tuned: tunedSite(site, module, chosen), tensors: new Map<string, Tensor>() };
    const expected = own.tuned.tuning.tensors[word];
    if (!expected) return false;
    requireShape(`${word} of "${site.path}"`, tensor.dims, expected.dims, model);
    tuned.set(module, { ...own, tensors: own.tensors.set(word, tensor) });
    return true;
  };
  for (const [name, tensor] of adapter.tensors) {
    const { module, role, parameter } = parseTensorName(name);
    if (role === 'parameter' && isTuned(module, parameter!, tensor)) continue;
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
        trained.push({
          parameter:
            role === 'parameter' && module === inGraph(module)
              ? checked
              : { ...checked, savedAs: tensorName(module, role, parameter) },
          tensor,
        });
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
    ...own.flatMap((tensors) => (tensors.lowRank.tokens ? tiedTokenRows(tensors, sites, own) : [])),
  ];
  tuned.forEach(requireWhole);
  if (lowRank.length + trained.length + tuned.size === 0 && !mayBeEmpty) {
    const wanted = parseTensorName([...adapter.tensors.keys()][0] ?? '').module;
    const near = nearest(wanted, names.paths);
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `None of the adapter's modules is in "${model}": it adapts "${wanted}"…, the model has ${(near.length > 0 ? near : names.paths.slice(0, 3)).map((each) => `"${each}"`).join(', ')}…. Use the base model that the adapter was trained on.`,
    );
  }
  return { adapter, lowRank, trained, tuned: [...tuned.values()], unused };
}

function trainedPart({ path, part }: Site): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The adapter has trained a weight or bias of "${path}" in full, which is one with others in "${part!.of}". Use a base model in which it is a layer of its own.`,
  );
}

/** @throws OnnxLoraError `ADAPTER_INVALID` where one of a module's tensors is missing */
function requireWhole({ tuned: { site, tuning }, tensors }: TunedTensors): void {
  const missing = Object.keys(tuning.tensors).find((word) => !tensors.has(word));
  if (missing === undefined) return;
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `The adapter holds only part of module "${site.path}": ${missing} is missing. Copy or save it again.`,
  );
}

/** The adapters with those of layers tied to the embeddings' with the same weight. */
function tied(lowRank: readonly LowRankTensors[], sites: readonly Site[]): LowRankTensors[] {
  const embeddings = lowRank.filter(({ lowRank: { site, tokens } }) => site.kind === 'embedding' && !tokens);
  const tiedTo = new Map(
    embeddings.flatMap(({ lowRank: each }) => tiedLayers(each.site, sites).map((layer) => [layer.path, each] as const)),
  );
  return lowRank.map((each) => {
    const other = tiedTo.get(each.lowRank.site.path);
    return other && other.r === each.lowRank.r ? { ...each, lowRank: { ...each.lowRank, tiedTo: other } } : each;
  });
}

/** Trained rows of an embedding act in the layers that share its table too. */
function tiedTokenRows(
  tensors: LowRankTensors,
  sites: readonly Site[],
  others: readonly LowRankTensors[],
): LowRankTensors[] {
  const { site } = tensors.lowRank;
  return tiedLayers(site, sites).map((layer) => {
    if (others.every(({ lowRank }) => lowRank.site.path !== layer.path)) return tiedTokenTensors(tensors, layer);
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The adapter trains rows of "${site.path}" and adapts "${layer.path}", whose weight is the same. Only one of the two can be applied.`,
    );
  });
}

/** The plan that gives a place to every one of these adapters. */
export function joinPlans(placed: readonly PlacedAdapter[]): AdapterPlan {
  const lowRank = new Map<string, LowRankSite>();
  const trained = new Map<string, TrainedParameter>();
  const tuned = new Map<string, TunedSite>();
  for (const each of placed) {
    for (const { lowRank: entry } of each.lowRank) {
      const before = lowRank.get(entry.site.path);
      lowRank.set(entry.site.path, {
        site: entry.site,
        dora: entry.dora || (before?.dora ?? false),
        bias: (entry.bias ?? false) || (before?.bias ?? false),
      });
    }
    for (const { parameter } of each.trained) trained.set(parameter.name, parameter);
    for (const { tuned: entry } of each.tuned) {
      const before = tuned.get(entry.site.path);
      if (before && before.form !== entry.form) throw cannotShare(entry.site.path);
      tuned.set(entry.site.path, entry);
    }
  }
  for (const path of tuned.keys()) {
    const isTrained = [...trained.values()].some(({ modulePath }) => modulePath === path);
    if (lowRank.has(path) || isTrained) throw cannotShare(path);
  }
  return { lowRank: [...lowRank.values()], trained: [...trained.values()], tuned: [...tuned.values()] };
}

/** The error for adapters that need different graphs. */
export function cannotShare(path: string): OnnxLoraError {
  return new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `The adapters change "${path}" in different ways, which one session cannot hold: another tuner than LoRA, or other settings of it. Make a session for each kind of adapter.`,
  );
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
): LowRankTensors {
  const rows = tensors.get('trainable_tokens_delta');
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
  const lowRank = { site, r, dora, bias: bias !== undefined, ...(module === site.path ? {} : { savedAs: module }) };
  return {
    lowRank,
    A,
    B,
    ...(magnitude ? { magnitude } : {}),
    ...(bias ? { bias } : {}),
    scaling: scalingAt(adapter.config, lowRank).scaling,
    names: [...tensors.keys()].map((role) => tensorName(module, role as Parameters<typeof tensorName>[1])),
  };
}

/**
 * Checks the shape of a tensor of an adapter.
 *
 * @param what how errors call the tensor
 * @throws OnnxLoraError `ADAPTER_MISMATCH`
 */
export function requireShape(what: string, found: readonly number[], expected: readonly number[], model: string): void {
  if (found.length === expected.length && found.every((dim, i) => dim === expected[i])) return;
  const isTurned = found.length === 2 && found[0] === expected[1];
  const remedy = isTurned ? 'It may be transposed: PEFT has matrices as [outputs, inputs]. Save it so, or use' : 'Use';
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `${what} has shape [${found.join(', ')}], but "${model}" needs [${expected.join(', ')}]. ${remedy} the base model that the adapter was trained on.`,
  );
}
