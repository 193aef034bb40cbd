/** @file Folds adapters into the base's weights: a plain .onnx with the same outputs and no trace of LoRA. */

import { OnnxLoraError } from '../../errors.ts';
import type { ModelProto, TensorProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { injectAdapters } from '../../lora/inject.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { LowRank, lowRanksOf, type PlacedLowRank } from '../../lora/tunings/lowRank.ts';
import type { ModuleTuning, PlacedTuning } from '../../lora/tunings/moduleTuning.ts';
import { WholeParameter } from '../../lora/tunings/wholeParameter.ts';
import { refold } from '../../match/view.ts';
import { inferGraph } from '../../ops/inferGraph.ts';
import { type FullyTrained, requireOneOwner } from '../combine/kept.ts';
import { partName } from '../combine/options.ts';
import { capital, type KeptParameter } from '../combine/sources.ts';
import { type EditedModel, editWeights, type WeightEdit } from './editWeights.ts';
import { adapterFeeds } from '../serving/feeds.ts';
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
   * How much of an adapter's change a quantised weight may lose to rounding, norm over norm. Beyond it the weight stays as it
   * is, and the low-rank product becomes part of the graph. Without it all weights are quantised anew.
   */
  readonly mayLose?: number;
  /** Paths of heads that the base does not have in this form: what an adapter brings is taken whole, whatever its weight. */
  readonly newHeads?: ReadonlySet<string>;
}

/** A merged model. */
export interface MergedModel extends EditedModel {
  /**
   * Modules whose weight cannot hold the delta, such as that of a grouped convolution or of 8 bits: their low-rank product
   * has become part of the graph, beside the layer.
   */
  readonly beside: readonly string[];
}

/**
 * The model with adapters merged, one after the other. Weights that they leave alone stay where they are on disk. A weight
 * that other layers share is copied for the adapted one, so that the others keep theirs. Weights of 16 bits are rounded,
 * and quantised ones quantised anew; how far they are then from the exact sum is reported.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for what cannot be taken out again; `INPUT_INVALID` for adapters that cannot be
 *   merged together, as those that have both trained a head
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
  const isWhole = ({ tuning }: PlacedTuning): boolean =>
    tuning instanceof WholeParameter && (newHeads.has(tuning.path) || owners.get(tuning.parameter.name)!.count > 1);
  const beside = all.map((placed) =>
    lowRanksOf(placed).filter((each) => !each.tuning.isHeldByWeight(each.saved) || losesMore(each, mayLose)),
  );
  const [first] = beside.flat();
  if (unmerge && first) throw cannotUnmerge(first.tuning.path, 'is no part of its weight');
  const editsOf = ({ tunings }: PlacedAdapter, i: number): WeightEdit[] => {
    const held = tunings.filter((each) => !beside[i]!.some(({ tuning }) => tuning === each.tuning));
    const edits = held.map((each) => {
      const { weights: own, biases } = each.tuning.edits(each.saved, sign);
      const weigh = (edit: WeightEdit): WeightEdit => (isWhole(each) ? edit : weighted(edit, weights[i] ?? 1));
      return { weights: own.map(weigh), biases: biases.map(weigh) };
    });
    // Biases last, for one that is trained in full as well already counts with its new values.
    return [...edits.flatMap((each) => each.weights), ...edits.flatMap((each) => each.biases)];
  };
  const edits = all.flatMap(editsOf);
  // Beside the layers first: an edit may replace the nodes that this finds its places by.
  const widened = beside.reduce(
    (result, own, i) => (own.length > 0 ? withBranches(result, own, weights[i] ?? 1) : result),
    model,
  );
  const edited = editWeights(widened, edits);
  const merged = withFloatBiases(edited.model, all.flatMap(changedPlaces));
  return { ...edited, model: refold(merged), beside: beside.flat().map(({ tuning }) => tuning.path) };
}

/** What an adapter has trained in full, by the graph's names, and what else it changes. */
function fullyTrained({ tunings }: PlacedAdapter, name: string, weight: number): FullyTrained {
  const parameters: [string, KeptParameter][] = [];
  const modules = new Set<string>();
  for (const { tuning, saved } of tunings) {
    if (tuning instanceof WholeParameter) {
      const { name: whole, modulePath: module } = tuning.parameter;
      const parameter = whole.slice(module === '' ? 0 : module.length + 1);
      parameters.push([whole, { module, parameter, tensor: saved.get('parameter')! }]);
    } else {
      modules.add(tuning.path);
      if (tuning.site?.part) modules.add(tuning.site.part.of);
    }
  }
  return { name, weight, modules, parameters: new Map(parameters) };
}

/** Whether a tuning changes a layer, a part of it, or what it is part of. */
function doOverlap(site: Site | undefined, path: string, other: ModuleTuning): boolean {
  if (other instanceof WholeParameter) return false;
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

/** Where the layers are computed whose weight or bias an adapter changes. */
function changedPlaces({ tunings }: PlacedAdapter): Site[] {
  return tunings.flatMap(({ tuning: { site } }) => (site ? occurrencesOf(site) : []));
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

/**
 * Whether quantising the weight anew would take more than this share of the change away. The other places of a layer hold the
 * same weight. What is no sum with the weight has no place beside it: DoRA, and rows of a table that are replaced.
 */
function losesMore({ tuning, saved }: PlacedLowRank, share: number): boolean {
  const { dora, tokens } = tuning.layer;
  const { stored } = tuning.site.weight;
  if (share === Infinity || dora || tokens || /^b?float(?:16|32|64)/.test(stored.storage)) return false;
  const [edit] = tuning.edits(saved, 1).weights;
  const before = stored.read();
  const wanted = edit!.change(before.slice());
  const found = stored.read(new Map(stored.write(wanted).map(({ name, tensor }) => [name, tensor])));
  let [lost, change] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    lost += (found[i]! - wanted[i]!) ** 2;
    change += (wanted[i]! - before[i]!) ** 2;
  }
  return lost > share ** 2 * change;
}

/** The model with the adapter's low-rank products as part of the graph, their factors constants. */
function withBranches(model: ModelProto, placed: readonly PlacedLowRank[], weight: number): ModelProto {
  const tunings = placed.map((each) => ({
    ...each,
    tuning: new LowRank(each.tuning.layer, weight * each.tuning.scaling),
  }));
  const plan = tunings.map(({ tuning }) => tuning);
  const { model: injected, inputs } = injectAdapters(model, plan, { types: inferGraph(model), mode: 'training' });
  const feeds = adapterFeeds({ tunings }, inputs);
  const names = new Set(inputs.map(({ name }) => name));
  const { graph = {} } = injected;
  return {
    ...injected,
    graph: {
      ...graph,
      input: (graph.input ?? []).filter(({ name }) => !names.has(name ?? '')),
      initializer: [
        ...(graph.initializer ?? []),
        ...[...feeds].map(([name, tensor]): TensorProto => tensorProto(name, tensor)),
      ],
    },
  };
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
