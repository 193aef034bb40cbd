/** @file The `ModuleAdapter` contract, implemented by LoRA, DoRA, saved modules, biases, token rows and tuners. */

import type { TrainedParameter } from './trainedParameter.ts';
import type { WeightEdit } from '../../adapter/merging/editWeights.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { floats } from '../../graph/tensorData.ts';
import { lastNode } from '../../match/layers/layer.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import type { Random } from '../../runtime/random.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import type { LoraFactors, TrainingRole } from '../tuner.ts';
import type { FirstValues, LowRankSite } from './loraSite.ts';

/** All tunings that are injected into one graph. */
export type AdapterPlan = readonly ModuleAdapter[];

/** Values in a training graph's layout. */
export interface InLayout {
  /** The values, row-major. */
  readonly value: Float32Array;
  /** Their shape. */
  readonly dims: readonly number[];
  /** An integer tensor, which training does not change; `value` is then empty. */
  readonly integers?: Tensor;
}

/** A tuning's tensors in PEFT's layout, by {@link AdapterTensor.role}. */
export type SavedTensors = ReadonlyMap<string, Tensor>;

/** One adapter's part of a blend. */
export interface Weighted {
  /** The tensor as fed to the graph. */
  readonly tensor: Tensor;
  /** Its weight in the blend. */
  readonly weight: number;
}

/** A tensor of a tuning. Training graphs have one adapter's; inference graphs take any adapter's, times its scaling. */
export interface AdapterTensor {
  /** Its role in the module, in PEFT's words: `lora_A`, `ia3_l`; `parameter` for a whole weight or bias. */
  readonly role: string;
  /** Preferred name of the graph input. */
  readonly name: string;
  /** PEFT's name in a file. */
  readonly savedAs: string;
  /** The tensor with the same values transposed, of a weight tied to an embedding. */
  readonly twin?: { readonly slot: string; readonly role: string };
  /** The graph reads scale · value … */
  readonly scale: number;
  /** … minus these. */
  readonly base?: Float32Array;
  /** Number of trained values, without those of a twin. */
  readonly count: number;
  /** Its type in graphs; float32 by default. */
  readonly type?: 'int32' | 'int64';
  /** Purpose of a tensor that is not trained. */
  readonly use?: Exclude<TrainingRole, 'trained'>;
  /** Whether it is left out of files. */
  readonly unsaved?: boolean;
  /** Whether other modules share the tensor, by name. */
  readonly shared?: boolean;
  /** Name of the copy of a shared tensor in each module's part of a file. */
  readonly inEach?: string;
  /** Parameter group, if its name in a file does not determine it. */
  readonly group?: 'tuned';
  /** The axis of the rank, which may differ between adapters. */
  readonly rankAxis?: number;
  /** Whether its gradient deliberately differs from the loss's. */
  readonly ownGradient?: boolean;

  /** Initial values. @param made values of preceding tensors by name, for derived ones */
  first(random: Random, made: (name: string) => InLayout): InLayout;
  /** Values of an adapter, for further training. */
  fromSaved(saved: SavedTensors): InLayout;
  /** Values in PEFT's layout, copied. */
  toSaved(values: InLayout): Tensor;
  /** The tensors that replace it in a file, by name. */
  inFile?(values: InLayout): ReadonlyMap<string, Tensor>;
  /** For inference, values that make the module equal the base; factors have the given rank. */
  idle(rank: 0 | 1): Tensor;
  /** For inference, several adapters at once. @throws OnnxLoraError `INPUT_INVALID` if they have no sum */
  blend(parts: readonly Weighted[], base: Tensor): Tensor;
}

/** Changes made by merging: weights first, biases after all weights and whole parameters. */
export interface Edits {
  /** Changes to weights and whole parameters. */
  readonly weights: readonly WeightEdit[];
  /** Changes to biases, which whole parameters may have replaced. */
  readonly biases: readonly WeightEdit[];
}

/** The graph input of a tuning's tensor. */
export type TensorInput = (role: string, dims: readonly number[]) => Value;

/** One adapter's change of one module, or of one of its parameters. */
export interface ModuleAdapter {
  /** torch's path of the module. */
  readonly path: string;
  /** Identifies the changed part of a model: adapters of one session share a slot's inputs. */
  readonly slot: string;
  /** The layer, if it can be adapted. */
  readonly site?: Site | undefined;
  /** Method and settings as text: adapters of equal values differ if it does. */
  readonly form?: string;
  /** The replaced parameter. */
  readonly parameter?: TrainedParameter;
  /** The layer whose weight gets a product B·A, with factors from initialisers. */
  readonly lowRank?: LowRankSite | undefined;
  /** The product B·A added to the layer; of any rank for inference, so that tunings share its inputs. */
  readonly product?: LowRankSite | undefined;
  /** Emits the product's A `[r, in]` and B `[out, r]` if they are computed from other tensors. */
  readonly factors?: ((g: GraphBuilder, input: TensorInput) => { readonly A: Value; readonly B: Value }) | undefined;
  /** In training, emits noise added to the product. */
  readonly sampled?: ((g: GraphBuilder, x: Value, input: TensorInput, normal: (dims: readonly number[]) => Value) => Value) | undefined; // prettier-ignore
  /** Factor of the product B·A. */
  readonly scaling?: number;
  /** Initial factors that replace PEFT's. */
  readonly start?: FirstValues | undefined;
  /** Whether adapters may have any number of the layer's outputs. */
  readonly isOpen?: boolean;
  /** Inputs that an inference graph must have for it, and the option that reserves each. */
  readonly wants: readonly { readonly input: string; readonly label: string; readonly option?: string }[];
  /** Whether a row's output depends on other rows: inference then computes each row alone. */
  readonly mixesRows?: boolean;
  /** Why its change cannot be summed with those of other adapters, worded to follow the adapter's name. */
  readonly noSum?: string | undefined;
  /** The method, if its adapters can be neither summed nor scaled. */
  readonly noBlend?: string | undefined;
  /** Whether no weight can hold the change. */
  readonly noMerge?: boolean;
  /** Why merging cannot be undone, worded to follow the adapter's name. */
  readonly noUnmerge?: string | undefined;

  /** Exclusive within a session. */
  readonly isAlone?: boolean;
  /** Its tensor of this role. */
  tensor(role: string): AdapterTensor;
  /** Its trained tensors, for counting. */
  trained(): readonly AdapterTensor[];
  /** Tensors changed between steps without a gradient, whether or not a graph reads them. */
  states?(): readonly AdapterTensor[];
  /** The tuning of an inference graph for this and another adapter; undefined if none serves both. */
  join(other?: ModuleAdapter): ModuleAdapter | undefined;
  /** Inputs of an inference graph, by role. */
  feeds(saved: SavedTensors): ReadonlyMap<string, Tensor>;
  /** Whether weight and bias have room for its change; true by default. */
  isHeldByWeight?(saved: SavedTensors): boolean;
  /** Weight and bias changes, or their inverse. @throws OnnxLoraError `MODEL_UNSUPPORTED` if no weight can hold it */
  edits(saved: SavedTensors, sign: 1 | -1): Edits;
  /** The same, with some tensors frozen at their first values. */
  leaving?(roles: readonly string[]): ModuleAdapter;
  /** The same without dropout, noise, losses and hooks of training. */
  withoutTraining?(): ModuleAdapter;
  /** The change of the layer's weight in torch's layout, and whether the bias changes. */
  change?(saved: SavedTensors): { readonly weight: Float64Array; readonly changesBias: boolean };
  /** LoRA factors whose product is exactly the change of the weight. */
  toLora?(saved: SavedTensors): LoraFactors | undefined;
}

/** The nodes that a graph must have for a tuning. */
export function nodesOf({ parameter, site }: ModuleAdapter): readonly NodeProto[] {
  if (parameter) return parameter.readers.map(({ node }) => node);
  return occurrencesOf(site!).flatMap((each) => [each.node, lastNode(each)]);
}

/** Name of a tuning's target in errors. */
export function labelOf({ parameter, path }: Pick<ModuleAdapter, 'parameter' | 'path'>): string {
  return parameter?.name ?? path;
}

/** A tuning and an adapter's tensors for it. */
export interface PlacedModuleAdapter {
  /** The tuning of the module. */
  readonly tuning: ModuleAdapter;
  /** The adapter's tensors. */
  readonly saved: SavedTensors;
  /** Names of these tensors in the adapter. */
  readonly names: readonly string[];
}

/**
 * A graph input of an adapter. For inference, inputs that may differ between rows are banks of n adapters: matrices are
 * stacked to `[n, in, r]`, vectors per output to `[n, 1, out]`.
 */
export interface AdapterInput {
  /** Name of the graph input. */
  readonly name: string;
  /** The module's tuning. */
  readonly tuning: ModuleAdapter;
  /** Other modules that share the tensor. */
  readonly others: readonly ModuleAdapter[];
  /** The tensor it carries. */
  readonly tensor: AdapterTensor;
  /** Whether no graph reads it, only hooks. */
  readonly isUnread?: boolean;
  /** Whether rows of a batch may differ: for inference, it is then a bank. */
  readonly perRow: boolean;
}

/** base + Σ wᵢ·(tensorᵢ − base). @throws OnnxLoraError `INPUT_INVALID` for tensors of other sizes than the base's */
export function interpolated(parts: readonly Weighted[], base: Tensor, head?: string): Tensor {
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

/** The values of a tensor, copied; an integer tensor itself. */
export function inLayout(own: Tensor): InLayout {
  const { type, dims } = own;
  if (type === 'int32' || type === 'int64') return { value: new Float32Array(0), dims, integers: own };
  return { value: floats(own).slice(), dims };
}
