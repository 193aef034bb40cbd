/** @file Folds adapters into the base's weights: a plain .onnx with the same outputs and no trace of LoRA. */

import { OnnxLoraError } from '../errors.ts';
import type { ModelProto, TensorProto } from '../graph/proto.ts';
import { tensorProto } from '../graph/tensorData.ts';
import { injectAdapters } from '../lora/inject.ts';
import { kindOf } from '../lora/kinds/table.ts';
import { placesOf, type TrainedParameter } from '../lora/plan.ts';
import type { Site } from '../match/sites.ts';
import { refold } from '../match/view.ts';
import { inferGraph } from '../ops/inferGraph.ts';
import { transposed } from '../runtime/layout.ts';
import { type FullyTrained, requireOneOwner } from './combine/kept.ts';
import { partName } from './combine/options.ts';
import { capital } from './combine/sources.ts';
import { eachDeltaRow, weightSteps } from './delta.ts';
import { doraGain } from './dora.ts';
import { type EditedModel, editWeights, type WeightEdit } from './editWeights.ts';
import { adapterFeeds, floats } from './feeds.ts';
import { withFloatBiases } from './floatBias.ts';
import type { LowRankTensors, PlacedAdapter } from './placed.ts';
import { tunedEdits } from './tunedEdits.ts';
import { biasPlaces, byTensor, weightReader } from './weightPlaces.ts';

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
  const isWhole = ({ name, modulePath }: TrainedParameter): boolean =>
    newHeads.has(modulePath) || owners.get(name)!.count > 1;
  const beside = all.map((placed) =>
    placed.lowRank.filter((tensors) => !isHeldByWeight(tensors) || losesMore(tensors, mayLose)),
  );
  if (unmerge && beside.flat().length > 0)
    throw cannotUnmerge(beside.flat()[0]!.lowRank.site.path, 'is no part of its weight');
  const editsOf = (placed: PlacedAdapter, i: number): WeightEdit[] => {
    const weigh = (edit: WeightEdit): WeightEdit => weighted(edit, weights[i] ?? 1);
    const held = placed.lowRank.filter((tensors) => !beside[i]!.includes(tensors));
    return [
      ...held.flatMap((tensors) => weightEdits(tensors, sign)).map(weigh),
      ...placed.trained.flatMap((each) =>
        isWhole(each.parameter) ? trainedEdits(each) : trainedEdits(each).map(weigh),
      ),
      ...placed.tuned.flatMap(tunedEdits).map(weigh),
      // Last, for a bias that is trained in full as well already counts with its new values.
      ...held.flatMap((tensors) => biasEdits(tensors, sign)).map(weigh),
    ];
  };
  const edits = all.flatMap(editsOf);
  // Beside the layers first: an edit may replace the nodes that this finds its places by.
  const widened = all.reduce((result, placed, i) => (beside[i]!.length > 0 ? withBranches(result, { ...placed, lowRank: beside[i]!.map((each) => ({ ...each, scaling: (weights[i] ?? 1) * each.scaling })), trained: [], tuned: [] }) : result), model); // prettier-ignore
  const edited = editWeights(widened, edits);
  const merged = withFloatBiases(edited.model, all.flatMap(changedPlaces));
  return { ...edited, model: refold(merged), beside: beside.flat().map(({ lowRank }) => lowRank.site.path) };
}

/** What an adapter has trained in full, by the graph's names, and what else it changes. */
function fullyTrained(placed: PlacedAdapter, name: string, weight: number): FullyTrained {
  const parameters = placed.trained.map(({ parameter, tensor }) => {
    const { name: whole, modulePath: module } = parameter;
    return [whole, { module, parameter: whole.slice(module === '' ? 0 : module.length + 1), tensor }] as const;
  });
  const adapted = adaptedBy(placed).flatMap(({ path, part }) => (part ? [path, part.of] : [path]));
  return { name, weight, modules: new Set(adapted), parameters: new Map(parameters) };
}

function adaptedBy({ lowRank, tuned }: PlacedAdapter): Site[] {
  return [...lowRank.map((each) => each.lowRank.site), ...tuned.map((each) => each.tuned.site)];
}

/** Whether two sites are one, or one is part of the other. */
function doOverlap(a: Site, b: Site): boolean {
  return a.path === b.path || a.part?.of === b.path || b.part?.of === a.path;
}

/** @throws OnnxLoraError `INPUT_INVALID` for a layer with DoRA that another adapter changes as well */
function requireSums(all: readonly PlacedAdapter[], owned: readonly FullyTrained[]): void {
  all.forEach(({ lowRank }, i) => {
    for (const {
      lowRank: { site },
      magnitude,
    } of lowRank) {
      const other = owned.find((_, j) => j !== i && adaptedBy(all[j]!).some((each) => doOverlap(site, each)));
      if (!magnitude || !other) continue;
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `${capital(owned[i]!.name)} is DoRA on "${site.path}", which ${other.name} adapts as well: a magnitude multiplies the whole weight, so the adapter's change is no sum of low-rank products. Serve the adapters side by side, or train them without DoRA.`,
      );
    }
  });
}

/** Where the layers are computed whose weight or bias an adapter changes. */
function changedPlaces(placed: PlacedAdapter): Site[] {
  const sites = [...adaptedBy(placed), ...placed.trained.flatMap(({ parameter }) => parameter.site ?? [])];
  return sites.flatMap(placesOf);
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

/** W + s·B·A, with DoRA times the gain of each output, in the graph's own layout. */
function weightEdits({ lowRank, A, B, magnitude, scaling }: LowRankTensors, sign: 1 | -1): WeightEdit[] {
  const { site } = lowRank;
  const kind = kindOf(site);
  const factors = { A: floats(A), B: floats(B), r: kind.rankOf(site, A.dims), scaling: sign * scaling };
  const changeAt =
    (place: Site) =>
    (before: Float32Array): Float32Array => {
      if (kind.addDelta) return kind.addDelta(place, before, factors);
      const gain = magnitude && doraGain(place, factors, floats(magnitude), before);
      const { out, groups } = kind.matrix(place);
      const steps = weightSteps(place);
      eachDeltaRow(place, factors, (o, row) => {
        const own = row.length / groups;
        const first = Math.floor((o * groups) / out) * own;
        const [scale, folded] = [gain?.[o] ?? 1, site.foldedScale?.[o] ?? 1];
        for (let i = 0; i < own; i++) {
          const at = o * steps.row + i * steps.column;
          before[at] = scale * (before[at]! + folded * row[first + i]!);
        }
      });
      return before;
    };
  return byTensor(placesOf(site), ({ weight }) => weight.stored).map((places) => ({
    stored: places[0].weight.stored,
    readers: places.map(weightReader),
    change: changeAt(places[0]),
    module: site.path,
  }));
}

/** The trained values, wherever the module is computed. */
function trainedEdits({ parameter, tensor }: PlacedAdapter['trained'][number]): WeightEdit[] {
  const { site, stored, readers, layout, modulePath } = parameter;
  const values = floats(tensor);
  const [rows, columns] = tensor.dims as [number, number];
  const inLayout = (own: typeof layout): Float32Array =>
    own === 'in-out' && layout !== 'torch' ? transposed(values, rows, columns) : values;
  const edit = (own: Pick<WeightEdit, 'stored' | 'readers'>, wanted: Float32Array): WeightEdit => ({
    ...own,
    change: () => wanted,
    module: modulePath,
  });
  if (!site) return [edit({ stored, readers }, inLayout(layout))];
  if (stored === site.bias?.stored) return biasPlaces(site).map((own) => edit(own, values));
  return byTensor(placesOf(site), ({ weight }) => weight.stored).map((places) =>
    edit({ stored: places[0].weight.stored, readers: places.map(weightReader) }, inLayout(places[0].weight.layout)),
  );
}

/** The layer's bias + s·b, where b is the bias of B. */
function biasEdits({ lowRank, bias, scaling }: LowRankTensors, sign: 1 | -1): WeightEdit[] {
  const { site } = lowRank;
  if (!bias) return [];
  const added = floats(bias);
  return biasPlaces(site).map((own) => ({
    ...own,
    change: (before) => before.map((value, o) => value + sign * scaling * (site.foldedScale?.[o] ?? 1) * added[o]!),
    module: site.path,
  }));
}

/** Whether weight and bias have room for the delta. */
function isHeldByWeight({ lowRank, A, B, bias, scaling }: LowRankTensors): boolean {
  const { site } = lowRank;
  const kind = kindOf(site);
  if (bias && placesOf(site).some((place) => !place.bias)) return false;
  const { out, groups } = kind.matrix(site);
  if (groups === 1) return true;
  let isHeld = true;
  const factors = { A: floats(A), B: floats(B), r: kind.rankOf(site, A.dims), scaling };
  eachDeltaRow(site, factors, (o, row) => {
    const own = row.length / groups;
    const first = Math.floor((o * groups) / out) * own;
    if (row.some((value, i) => value !== 0 && (i < first || i >= first + own))) isHeld = false;
  });
  return isHeld;
}

/**
 * Whether quantising the weight anew would take more than this share of the change away. The other places of a layer hold the
 * same weight. What is no sum with the weight has no place beside it: DoRA, and rows of a table that are replaced.
 */
function losesMore(tensors: LowRankTensors, share: number): boolean {
  const { stored } = tensors.lowRank.site.weight;
  if (share === Infinity || tensors.magnitude || tensors.lowRank.tokens || /^b?float(?:16|32|64)/.test(stored.storage))
    return false;
  const [edit] = weightEdits(tensors, 1);
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
function withBranches(model: ModelProto, placed: PlacedAdapter): ModelProto {
  const plan = { lowRank: placed.lowRank.map(({ lowRank }) => lowRank), trained: [], tuned: [] };
  const { model: injected, inputs } = injectAdapters(model, plan, { types: inferGraph(model), mode: 'training' });
  const feeds = adapterFeeds(placed, inputs);
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

function checkUnmerge({ lowRank, trained, tuned }: PlacedAdapter): void {
  const dora = lowRank.find(({ magnitude }) => magnitude);
  if (dora) throw cannotUnmerge(dora.lowRank.site.path, 'is DoRA, whose magnitudes replace those of the weight');
  if (tuned[0]) throw cannotUnmerge(tuned[0].tuned.site.path, `is ${tuned[0].tuned.peftType}, which is no sum`);
  const tokens = lowRank.find((tensors) => tensors.lowRank.tokens);
  if (tokens) throw cannotUnmerge(tokens.lowRank.site.path, 'replaces rows of the table');
  if (trained[0])
    throw cannotUnmerge(trained[0].parameter.modulePath, 'is trained in full and has replaced what was there');
}

function cannotUnmerge(module: string, reason: string): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The adapter of "${module}" cannot be taken out of a merged model: it ${reason}. Use the base model that it was merged into.`,
  );
}
