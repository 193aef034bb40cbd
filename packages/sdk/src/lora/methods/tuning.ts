/** @file The one contract of what an adapter makes of a module: of LoRA, DoRA, saved modules, biases, rows, other tuners. */

import type { WeightEdit } from '../../adapter/merging/editWeights.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { lastNode } from '../../match/layers/layer.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import type { Random } from '../../runtime/random.ts';
import { OnnxLoraError } from '../../errors.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { floats } from '../../graph/tensorData.ts';
import type { LoraFactors, TunedRole } from '../tuner.ts';
import type { FirstValues, LowRankSite } from './loraSite.ts';
import type { TrainedParameter } from './trainedParameter.ts';

/** Everything that is injected into one graph: what is made of each module. */
export type AdapterPlan = readonly ModuleTuning[];

/** Values as a graph for training has them. */
export interface LaidOut {
  /** The numbers, row by row. */
  readonly value: Float32Array;
  /** Their shape. */
  readonly dims: readonly number[];
  /** Of integers, which nothing changes: they themselves, and `value` is empty. */
  readonly integers?: Tensor;
}

/** A tuning's tensors as PEFT lays them out, by {@link TuningTensor.role}. */
export type SavedTensors = ReadonlyMap<string, Tensor>;

/** An adapter's part of a blend: its tensor as the graph is fed it, and how much of it. */
export interface Weighted {
  /** As the graph is fed it. */
  readonly tensor: Tensor;
  /** How much of it. */
  readonly weight: number;
}

/**
 * One tensor through which a tuning enters a graph, float32 but for places in something else. A graph for training has one adapter's, in the layout in
 * which an optimizer moves it; one for inference takes any adapter's, times its scaling.
 */
export interface TuningTensor {
  /** What it is to the module, by PEFT's word: `lora_A`, `ia3_l`; `parameter` of a whole weight or bias. */
  readonly role: string;
  /** What the graph's input is called, where nothing else is. */
  readonly name: string;
  /** PEFT's name of it in a file. */
  readonly savedAs: string;
  /** The tensor that has the same numbers, transposed: of a layer whose weight is an embedding's. */
  readonly twin?: { readonly slot: string; readonly role: string };
  /** What the graph reads is so many times the value … */
  readonly scale: number;
  /** … less these. */
  readonly base?: Float32Array;
  /** How many numbers are trained, without those of a twin. */
  readonly count: number;
  /** Its type in graphs; float32 without. */
  readonly type?: 'int32' | 'int64';
  /** Of what is not trained: what it is for instead. */
  readonly use?: Exclude<TunedRole, 'trained'>;
  /** Whether files do not have it. */
  readonly unsaved?: boolean;
  /** Whether other modules have the same tensor, by its name. */
  readonly shared?: boolean;
  /** Of what is shared and is in files of each module: its name there. */
  readonly inEach?: string;
  /** What parameter groups call it, where its name in a file does not say. */
  readonly group?: 'tuned';
  /** The dimension that is a rank, which each adapter may have another of. */
  readonly rankAxis?: number;
  /** Whether its gradient is another than the loss's, on purpose. */
  readonly ownGradient?: boolean;

  /**
   * The values that training begins with.
   *
   * @param made those of tensors that stand before it, by their names, for what is derived from them
   */
  first(random: Random, made: (name: string) => LaidOut): LaidOut;
  /** Those of an adapter, to train on with. */
  fromSaved(saved: SavedTensors): LaidOut;
  /** Values in PEFT's layout, copied. */
  toSaved(values: LaidOut): Tensor;
  /** For inference, what leaves the module as it is; factors have the given rank. */
  idle(rank: 0 | 1): Tensor;
  /** For inference, several adapters at once. @throws OnnxLoraError `INPUT_INVALID` where they have no sum */
  blend(parts: readonly Weighted[], base: Tensor): Tensor;
}

/** What merging changes: weights first, biases after all weights and whole parameters. */
export interface Edits {
  /** Of weights and whole parameters. */
  readonly weights: readonly WeightEdit[];
  /** Of biases that whole parameters may have replaced. */
  readonly biases: readonly WeightEdit[];
}

/** The graph's input for a tensor of a tuning. */
export type TensorInput = (role: string, dims: readonly number[]) => Value;

/** What one adapter makes of one module, or of one of its parameters. */
export interface ModuleTuning {
  /** torch's path of the module. */
  readonly path: string;
  /** Tells what of a model is changed: adapters of one session share the inputs of a slot. */
  readonly slot: string;
  /** The layer, where it is one that can be adapted. */
  readonly site?: Site | undefined;
  /** The method and its settings as text: two adapters with the same values differ where it does. */
  readonly form?: string;
  /** The parameter that is replaced. */
  readonly parameter?: TrainedParameter;
  /** The layer whose weight gets a product B·A: initialisers give its factors. */
  readonly lowRank?: LowRankSite | undefined;
  /** The product B·A that a graph has beside the layer; for inference of any rank, so that tunings share its inputs. */
  readonly product?: LowRankSite | undefined;
  /** Emits the product's A `[r, in]` and B `[out, r]` from the tensors, where these are others. */
  readonly factors?: ((g: GraphBuilder, input: TensorInput) => { readonly A: Value; readonly B: Value }) | undefined;
  /** In training, emits what noise adds to the product. */
  readonly sampled?: ((g: GraphBuilder, x: Value, input: TensorInput, normal: (dims: readonly number[]) => Value) => Value) | undefined; // prettier-ignore
  /** What the product B·A is multiplied with. */
  readonly scaling?: number;
  /** First values of the factors in place of PEFT's. */
  readonly start?: FirstValues | undefined;
  /** Whether adapters may bring any number of outputs of the layer. */
  readonly isOpen?: boolean;
  /** Where a graph that serves must have a place for it, and the option that reserves one. */
  readonly wants: readonly { readonly input: string; readonly label: string; readonly option?: string }[];
  /** Whether what a row of a batch gets depends on the other rows: then serving computes each row by itself. */
  readonly mixesRows?: boolean;
  /** Why its change is no sum with those of other adapters, as the end of a sentence that begins with the adapter; or nothing. */
  readonly noSum?: string | undefined;
  /** The method, where there is no sum of several adapters and no part of one. */
  readonly noBlend?: string | undefined;
  /** Whether no weight can hold the change. */
  readonly noMerge?: boolean;
  /** Why merging cannot be undone, as the end of a sentence that begins with the adapter; or nothing. */
  readonly noUnmerge?: string | undefined;

  /** Whether no other adapter of one session may change the module in another way. */
  readonly isAlone?: boolean;
  /** Its tensor of this role. */
  tensor(role: string): TuningTensor;
  /** What it has trained, for counting. */
  trained(): readonly TuningTensor[];
  /** What changes between steps without a gradient, whether a graph reads it or not. */
  states?(): readonly TuningTensor[];
  /** What a graph for inference has for this and another adapter; undefined where none can have both. */
  join(other?: ModuleTuning): ModuleTuning | undefined;
  /** What a graph for inference is fed, by role. */
  feeds(saved: SavedTensors): ReadonlyMap<string, Tensor>;
  /** Whether weight and bias have room for its change; they have without. */
  isHeldByWeight?(saved: SavedTensors): boolean;
  /** The change of weights and biases, or its opposite. @throws OnnxLoraError `MODEL_UNSUPPORTED` where no weight can hold it */
  edits(saved: SavedTensors, sign: 1 | -1): Edits;
  /** The same, with some tensors frozen at their first values. */
  leaving?(roles: readonly string[]): ModuleTuning;
  /** The same without dropout, noise, losses and hooks of training. */
  withoutTraining?(): ModuleTuning;
  /** The change of the layer's weight, as torch lays it out, and whether the bias changes too. @throws OnnxLoraError `MODEL_UNSUPPORTED` where no weight can hold it */
  change?(saved: SavedTensors): { readonly weight: Float64Array; readonly changesBias: boolean };
  /** Factors whose product is the change of the weight exactly, where there are such. */
  toLora?(saved: SavedTensors): LoraFactors | undefined;
}

/** The nodes that a graph must have for a tuning. */
export function nodesOf({ parameter, site }: ModuleTuning): readonly NodeProto[] {
  if (parameter) return parameter.readers.map(({ node }) => node);
  return occurrencesOf(site!).flatMap((each) => [each.node, lastNode(each)]);
}

/** How errors call what a tuning changes. */
export function labelOf({ parameter, path }: Pick<ModuleTuning, 'parameter' | 'path'>): string {
  return parameter?.name ?? path;
}

/** A tuning and an adapter's tensors for it. */
export interface PlacedTuning {
  /** What is made of the module. */
  readonly tuning: ModuleTuning;
  /** What the adapter has trained there. */
  readonly saved: SavedTensors;
  /** The adapter's tensors that these are. */
  readonly names: readonly string[];
}

/**
 * A graph input through which an adapter enters. For inference, those that may differ between rows are banks of n adapters:
 * matrices are stacked to `[n, in, r]`, what has one number per output to `[n, 1, out]`.
 */
export interface AdapterInput {
  /** Name of the graph input. */
  readonly name: string;
  /** What is made of the module. */
  readonly tuning: ModuleTuning;
  /** Other modules that share the tensor. */
  readonly others: readonly ModuleTuning[];
  /** Which of its tensors the input carries. */
  readonly tensor: TuningTensor;
  /** Whether no graph reads it: only hooks do. */
  readonly isUnread?: boolean;
  /** Whether each row of a batch may get another: for inference, it is a bank then. */
  readonly perRow: boolean;
}

/**
 * base + Σ wᵢ·(tensorᵢ − base).
 *
 * @param head the module, where these are parameters of a head
 * @throws OnnxLoraError `INPUT_INVALID` for tensors of other sizes than the base's
 */
export function moved(parts: readonly Weighted[], base: Tensor, head?: string): Tensor {
  if (parts.some(({ tensor }) => tensor.data.length !== base.data.length)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Adapters with heads "${head}" of another number of outputs than the base's cannot be blended. Name one of them.`,
    );
  }
  const from = base.data as Float32Array;
  const data = from.slice();
  for (const { tensor, weight } of parts) {
    const to = tensor.data as Float32Array;
    for (let i = 0; i < data.length; i++) data[i]! += weight * (to[i]! - from[i]!);
  }
  return float32(data, base.dims);
}

/** The numbers of a tensor, in a copy; of integers the tensor itself. */
export function laidOut(own: Tensor): LaidOut {
  const { type, dims } = own;
  if (type === 'int32' || type === 'int64') return { value: new Float32Array(0), dims, integers: own };
  return { value: floats(own).slice(), dims };
}
