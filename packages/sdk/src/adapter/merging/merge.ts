/** @file Folds adapters into the base's weights: a plain .onnx with the same outputs and no trace of LoRA. */

import { OnnxLoraError } from '../../errors.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import { type ModuleTuning, nodesOf as tuningNodes, type PlacedTuning } from '../../lora/methods/tuning.ts';
import { lastNode } from '../../match/layers/layer.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { refold } from '../../match/view.ts';
import { type FullyTrained, requireOneOwner } from '../combine/kept.ts';
import { partName } from '../combine/options.ts';
import { capital, type KeptParameter, keptParameter } from '../combine/sources.ts';
import { withRecord } from './branchRecord.ts';
import { withBranches } from './branches.ts';
import { type EditedModel, editWeights, lossOf, type WeightEdit } from './editWeights.ts';
import { withFloatBiases } from './floatBias.ts';
import type { PlacedAdapter } from '../naming/place.ts';

/** How {@link mergeAdapter} merges. */
export interface MergeAdapterOptions {
  /** Take the deltas out again instead of adding them. */
  readonly unmerge?: boolean;
  /** How much of each adapter: of weight w the w-th part of its change is made. 1 without. */
  readonly weights?: readonly number[];
  /** How errors call each adapter; by default its number. */
  readonly names?: readonly (string | undefined)[];
  /**
   * How much of the change a quantised weight may lose to rounding, norm over norm. Beyond it the weight stays as it is, and
   * what the adapters make of the layer becomes part of the graph; taking adapters out is refused. Without it all weights are
   * quantised anew.
   */
  readonly mayLose?: number;
  /** Paths of heads that the base does not have in this form: what an adapter brings is taken whole, whatever its weight. */
  readonly newHeads?: ReadonlySet<string>;
}

/** A merged model. */
export interface MergedModel extends EditedModel {
  /**
   * Modules whose weight cannot hold the change, such as that of a grouped convolution or of 4 bits: what their adapters make
   * of them has become part of the graph, beside the layer.
   */
  readonly beside: readonly string[];
}

/** What one adapter makes of one module, on its way into a model. */
interface Part {
  readonly placed: PlacedTuning;
  /** The adapter's number. */
  readonly from: number;
  /** Of weights, then of biases. None where no weight has room for the change. */
  readonly edits: readonly [weights: readonly WeightEdit[], biases: readonly WeightEdit[]] | undefined;
}

/**
 * The model with adapters merged, one after the other. Weights that they leave alone stay where they are on disk. A weight
 * that other layers share is copied for the adapted one, so that the others keep theirs. Weights of 16 bits are rounded,
 * and quantised ones quantised anew; how far they are then from the exact sum is reported.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for what cannot be taken out again, and for adapters that have no room together
 *   beside a layer; `INPUT_INVALID` for adapters that cannot be merged together, as those that have both trained a head
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
  // What several agree in is not theirs to change twice, and of what is new there is no part.
  const isWhole = ({ tuning: { parameter, path } }: PlacedTuning): boolean =>
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
  // Biases last, for one that is trained in full as well already counts with its new values.
  const edits = all.flatMap((_, from) => {
    const own = parts.filter((each) => each.from === from && !beside.has(each));
    return [0, 1].flatMap((at) => own.flatMap((each) => each.edits![at]!));
  });
  const branches = all.map((_, from) => ({
    name: owned[from]!.name,
    weight: weights[from] ?? 1,
    tunings: [...beside].flatMap((each) => (each.from === from ? [each.placed] : [])),
  }));
  // Beside the layers first: an edit may replace the nodes that this finds its places by.
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

/**
 * What goes beside layers: what no weight has room for, and what quantising anew would lose too much of. All that is trained
 * of one layer goes together, for its nodes are others then.
 */
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
  // A set's new members are visited too.
  for (const part of beside) for (const node of nodesOf(part)) for (const other of byNode.get(node)!) beside.add(other);
  return beside;
}

/** The nodes of the layer that a part changes, and those that read what it changes. */
function nodesOf(part: Part): readonly NodeProto[] {
  const { placed, edits = [] } = part;
  return [
    ...tuningNodes(placed.tuning),
    ...placesOf(part).flatMap((place) => [...place.nodes, lastNode(place)]),
    ...edits.flat().flatMap(({ readers }) => readers.map(({ node }) => node)),
  ];
}

/** What an adapter has trained in full, by the graph's names, and what else it changes. */
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

/** Whether a tuning changes a layer, a part of it, or what it is part of. */
function doOverlap(site: Site | undefined, path: string, other: ModuleTuning): boolean {
  if (other.parameter) return false;
  return path === other.path || site?.part?.of === other.path || other.site?.part?.of === path;
}

/** @throws OnnxLoraError `INPUT_INVALID` for a layer with DoRA that another adapter changes as well */
function requireSums(all: readonly PlacedAdapter[], owned: readonly FullyTrained[]): void {
  all.forEach(({ tunings }, i) => {
    for (const {
      tuning: { site, path, noSum },
    } of tunings) {
      const other = owned.find((_, j) => j !== i && all[j]!.tunings.some((each) => doOverlap(site, path, each.tuning)));
      if (noSum === undefined || !other) continue;
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `${capital(owned[i]!.name)} ${noSum} on "${path}", which ${other.name} adapts as well: a magnitude multiplies the whole weight, so the adapter's change is no sum of low-rank products. Serve the adapters side by side, or train them without DoRA.`,
      );
    }
  });
}

/** Where the layer is computed. */
function placesOf({ placed }: Part): readonly Site[] {
  const { site } = placed.tuning;
  return site ? occurrencesOf(site) : [];
}

/** The edit with this part of its change. */
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
    `The adapter of "${tuning.path}" cannot be taken out: the file does not say that it is beside the layer, and quantising the weight (${stored.storage}) anew would take more than ${100 * mayLose}% of its change away. Use the base model that it was merged into.`,
  );
}
