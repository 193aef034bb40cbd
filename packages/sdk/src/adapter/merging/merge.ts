/** @file Merges adapters into a model: a plain .onnx with the same outputs. */

import { OnnxLoraError } from '../../errors.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import {
  type ModuleAdapter,
  nodesOf as tuningNodes,
  type PlacedModuleAdapter,
} from '../../lora/methods/moduleAdapter.ts';
import { lastNode } from '../../match/layers/layer.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { refold } from '../../match/view.ts';
import { type FullyTrained, requireOneOwner } from '../combine/fullyTrained.ts';
import { partName } from '../combine/options.ts';
import { capitalised, type KeptParameter, keptParameter } from '../combine/sources.ts';
import { withRecord } from './branchRecord.ts';
import { withBranches } from './branches.ts';
import { type EditedModel, editWeights, lossOf, type WeightEdit } from './editWeights.ts';
import { withFloatBiases } from './floatBias.ts';
import type { PlacedAdapter } from '../naming/place.ts';

/** Options of {@link mergeAdapter}. */
export interface MergeAdapterOptions {
  /** Subtracts the deltas instead of adding them. */
  readonly unmerge?: boolean;
  /** Weight of each adapter's change; 1 by default. */
  readonly weights?: readonly number[];
  /** Names of the adapters for errors; by default their numbers. */
  readonly names?: readonly (string | undefined)[];
  /**
   * The share of a change that rounding may take from a quantised weight. Beyond it, a branch computes the change, and
   * unmerging fails. By default all weights are requantised.
   */
  readonly mayLose?: number;
  /** Paths of heads that the base lacks in this form: taken whole, whatever the weight. */
  readonly newHeads?: ReadonlySet<string>;
}

/** A merged model. */
export interface MergedModel extends EditedModel {
  /**
   * Modules whose weight cannot hold the change, such as 4-bit weights or grouped convolutions: branches compute it.
   */
  readonly beside: readonly string[];
}

interface Part {
  readonly placed: PlacedModuleAdapter;
  readonly from: number;
  /** Undefined if no weight can hold the change. */
  readonly edits: readonly [weights: readonly WeightEdit[], biases: readonly WeightEdit[]] | undefined;
}

/**
 * Merges adapters in order. Unchanged weights stay on disk. Copies weights that other layers share. Rounds 16-bit and
 * requantises quantised weights, and reports their errors.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for changes that cannot be subtracted, and adapters that one branch cannot
 *   hold; `INPUT_INVALID` for adapters that cannot be merged together, such as two with trained heads
 */
export function mergeAdapter(
  model: ModelProto,
  adapters: PlacedAdapter | readonly PlacedAdapter[],
  { unmerge = false, weights = [], names = [], newHeads = new Set(), mayLose = Infinity }: MergeAdapterOptions = {},
): MergedModel {
  const all = Array.isArray(adapters) ? (adapters as readonly PlacedAdapter[]) : [adapters as PlacedAdapter];
  if (unmerge) for (const placed of all) checkUnmerge(placed);
  const sign = unmerge ? -1 : 1;
  const owned = all.map((placed, i) => fullyTrained(placed, partName(names[i], i, all.length), weights[i] ?? 1));
  requireSums(all, owned);
  const owners = requireOneOwner(owned, ({ module }) => newHeads.has(module));
  // Parameters that adapters agree on are applied once, and new ones whole.
  const isWhole = ({ tuning: { parameter, path } }: PlacedModuleAdapter): boolean =>
    parameter !== undefined && (newHeads.has(path) || owners.get(parameter.name)!.count > 1);
  const parts = all.flatMap(({ tunings }, from) =>
    tunings.map((placed): Part => {
      if (placed.tuning.isHeldByWeight?.(placed.saved) === false) return { placed, from, edits: undefined };
      const own = placed.tuning.edits(placed.saved, sign);
      const weigh = (edit: WeightEdit): WeightEdit => (isWhole(placed) ? edit : weighted(edit, weights[from] ?? 1));
      return { placed, from, edits: [own.weights.map(weigh), own.biases.map(weigh)] };
    }),
  );
  const beside = besideLayers(parts, mayLose);
  const [first] = beside;
  if (unmerge && first) throw first.edits ? tooCoarse(first, mayLose) : cannotUnmerge(first.placed.tuning.path, 'is no part of its weight'); // prettier-ignore
  // Biases last: fully trained ones already have their new values.
  const edits = all.flatMap((_, from) => {
    const own = parts.filter((each) => each.from === from && !beside.has(each));
    return [0, 1].flatMap((at) => own.flatMap((each) => each.edits![at]!));
  });
  const branches = all.map((_, from) => ({
    name: owned[from]!.name,
    weight: weights[from] ?? 1,
    tunings: [...beside].flatMap((each) => (each.from === from ? [each.placed] : [])),
  }));
  // Branches first: edits may replace the nodes that the injection looks for.
  const widened = withBranches(model, branches);
  const edited = editWeights(widened.model, edits);
  const changed = parts.flatMap((each) => (beside.has(each) ? [] : placesOf(each)));
  const merged = refold(withFloatBiases(edited.model, changed));
  const recorded = branches.filter(({ tunings }) => tunings.length > 0);
  const { changes, tensors } = widened;
  return {
    ...edited,
    model: changes && recorded.length > 0 ? withRecord(merged, recorded, changes, tensors) : merged,
    beside: [...new Set([...beside].map(({ placed }) => placed.tuning.path))],
  };
}

/** The changes that need branches, with all others of the same layers, since those layers' nodes change. */
function besideLayers(parts: readonly Part[], mayLose: number): ReadonlySet<Part> {
  const byTensor = new Map<string, Set<Part>>();
  const byNode = new Map<NodeProto, Part[]>();
  for (const part of parts) {
    for (const { stored } of mayLose === Infinity ? [] : (part.edits?.flat() ?? [])) {
      const [{ name }] = stored.tensors;
      byTensor.set(name, (byTensor.get(name) ?? new Set()).add(part));
    }
    for (const node of nodesOf(part)) byNode.set(node, [...(byNode.get(node) ?? []), part]);
  }
  const isLost = ([name, own]: readonly [string, ReadonlySet<Part>]): boolean =>
    lossOf([...own].flatMap(({ edits }) => edits!.flat().filter(({ stored }) => stored.tensors[0].name === name))) >
    mayLose;
  const lost = [...byTensor].filter(isLost).flatMap(([, own]) => [...own]);
  const beside = new Set([...parts.filter(({ edits }) => !edits), ...lost]);
  // A Set iterates over members added meanwhile.
  for (const part of beside) for (const node of nodesOf(part)) for (const other of byNode.get(node)!) beside.add(other);
  return beside;
}

/** The nodes of a changed layer, and readers of its weights. */
function nodesOf(part: Part): readonly NodeProto[] {
  const { placed, edits = [] } = part;
  return [
    ...tuningNodes(placed.tuning),
    ...placesOf(part).flatMap((place) => [...place.nodes, lastNode(place)]),
    ...edits.flat().flatMap(({ readers }) => readers.map(({ node }) => node)),
  ];
}

/** An adapter's fully trained parameters by the graph's names, and its other modules. */
function fullyTrained({ tunings }: PlacedAdapter, name: string, weight: number): FullyTrained {
  const parameters: [string, KeptParameter][] = [];
  const modules = new Set<string>();
  for (const { tuning, saved } of tunings) {
    if (tuning.parameter) {
      parameters.push([tuning.parameter.name, keptParameter(tuning.parameter, saved.get('parameter')!)]);
    } else {
      modules.add(tuning.path);
      if (tuning.site?.part) modules.add(tuning.site.part.of);
    }
  }
  return { name, weight, modules, parameters: new Map(parameters) };
}

/** True if a tuning changes the layer, a part of it, or its enclosing layer. */
function doOverlap(site: Site | undefined, path: string, other: ModuleAdapter): boolean {
  if (other.parameter) return false;
  return path === other.path || site?.part?.of === other.path || other.site?.part?.of === path;
}

/** @throws OnnxLoraError `INPUT_INVALID` for a layer with DoRA that another adapter also changes */
function requireSums(all: readonly PlacedAdapter[], owned: readonly FullyTrained[]): void {
  all.forEach(({ tunings }, i) => {
    for (const {
      tuning: { site, path, noSum },
    } of tunings) {
      const other = owned.find((_, j) => j !== i && all[j]!.tunings.some((each) => doOverlap(site, path, each.tuning)));
      if (noSum === undefined || !other) continue;
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `${capitalised(owned[i]!.name)} ${noSum} on "${path}", which ${other.name} adapts as well: a magnitude multiplies the whole weight, so the adapter's change is no sum of low-rank products. Serve the adapters side by side, or train them without DoRA.`,
      );
    }
  });
}

function placesOf({ placed }: Part): readonly Site[] {
  const { site } = placed.tuning;
  return site ? occurrencesOf(site) : [];
}

function weighted(edit: WeightEdit, weight: number): WeightEdit {
  if (weight === 1) return edit;
  const change = (before: Float32Array): Float32Array => {
    const from = before.slice();
    return edit.change(before).map((to, i) => from[i]! + weight * (to - from[i]!));
  };
  return { ...edit, change };
}

function checkUnmerge({ tunings }: PlacedAdapter): void {
  const stays = tunings.find(({ tuning }) => tuning.noUnmerge !== undefined);
  if (stays) throw cannotUnmerge(stays.tuning.path, stays.tuning.noUnmerge!);
}

function cannotUnmerge(module: string, reason: string): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The adapter of "${module}" cannot be taken out of a merged model: it ${reason}. Use the base model that it was merged into.`,
  );
}

function tooCoarse({ placed: { tuning }, edits }: Part, mayLose: number): OnnxLoraError {
  const { stored } = edits!.flat()[0]!;
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The adapter of "${tuning.path}" cannot be removed: the file does not say that it is beside the layer, and quantising the weight (${stored.storage}) again would take more than ${100 * mayLose}% of its change away. Use the base model that it was merged into.`,
  );
}
