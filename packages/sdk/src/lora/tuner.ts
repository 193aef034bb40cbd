/** @file The `Tuner` contract of PEFT methods other than LoRA: tensors per layer, and the layer's mathematics. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { SiteKind } from '../match/sites.ts';
import type { Random } from '../runtime/random.ts';
import type { Tensor } from '../runtime/tensor.ts';

/** A layer as passed to a {@link Tuner}. */
export interface TargetLayer {
  /** torch's module path, as in the adapter's config. */
  readonly path: string;
  /** Kind of layer, one of {@link Tuner.kinds}. */
  readonly kind: SiteKind;
  /** Input features: channels of a convolution, vocabulary size of an embedding. */
  readonly in: number;
  /** Output features. */
  readonly out: number;
  /** torch's weight shape: `[out, in]`, `[out, in / groups, ...kernel]`, of an embedding `[ids, out]`. */
  readonly weightShape: readonly number[];
  /** Whether it has a bias. */
  readonly bias: boolean;
  /** The base weight, flat, in torch's layout. Each call reads it again. */
  readonly weight: () => Float32Array;
  /** The base bias `[out]`, if any. Each call reads it again. */
  readonly ownBias: () => Float32Array | undefined;
}

/** A tuner's own keys of `adapter_config.json`, as JSON values. */
export type TunerSettings = Readonly<Record<string, unknown>>;

/**
 * Purpose of a tensor. `trained`: updated by the optimizer. `frozen`: drawn once and saved. `seeded`: recomputed from a
 * config key. `state`: changed between steps by {@link TrainingHooks} (masks, ranks, averages), in checkpoints.
 */
export type TrainingRole = 'trained' | 'frozen' | 'seeded' | 'state';

/** One tensor of a tuner for a layer, in PEFT's layout. */
export interface TensorSpec {
  /** Shape in PEFT's file. */
  readonly dims: readonly number[];
  /** Purpose; `trained` by default. */
  readonly role?: TrainingRole;
  /**
   * Scope of sharing: the layer alone (`site`, the default), all adapted layers with a tensor of this name and shape
   * (`shape`), those with the same group, or all adapted layers (`adapter`). A shared tensor is `base_model.NAME` in
   * PEFT's file, with a group `base_model.NAME.GROUP`. A copy per layer is read too; `inEach` writes it, instead of the
   * group's tensor, or in addition to the one of all layers.
   */
  readonly share?:
    | 'site'
    | 'shape'
    | 'adapter'
    | { readonly group: string; readonly inEach?: true }
    | { readonly group?: undefined; readonly inEach: true };
  /** Untrained indices: type in files, and exclusive upper bound, optionally per slice. */
  readonly integers?: { readonly type: 'int32' | 'int64'; readonly below: number | readonly number[] };
  /** Whether files include it; by default only `trained` and `frozen` tensors. */
  readonly saved?: boolean;
  /** Other tensors that replace a float32 tensor of the layer alone in files. */
  readonly inFile?: TensorInFile;
  /**
   * Initial values, flat. A tensor that is `seeded` or not saved is recomputed on demand and must not draw from
   * `random`.
   * @param numbersOf values of a tensor that precedes this one in {@link AdapterLayerBase.tensors}
   */
  readonly init: (random: Random, numbersOf: (name: string) => TensorNumbers) => TensorNumbers;
  /** Values that make the layer equal the base, flat; used in runs without the adapter. */
  readonly identity: () => TensorNumbers;
  /** Whether the gradient deliberately differs from the loss's, as by a projection; `checkTuner` then skips it. */
  readonly ownGradient?: boolean;
}

/** Tensors of a file from which another tensor is computed. */
export interface TensorInFile {
  /** They, by the last part of their name in PEFT's file. */
  readonly tensors: ByTensor<Pick<TensorSpec, 'dims' | 'integers'>>;
  /** Computes the tensor's values, flat. */
  readonly read: (tensors: ByTensor<Tensor>) => Float32Array;
  /** Computes the tensors of a file from the values. */
  readonly write: (values: Float32Array) => ByTensor<Tensor>;
}

/** Values of a tensor: float32, or its {@link TensorSpec.integers} type. */
export type TensorNumbers = Float32Array | Int32Array | BigInt64Array;

/** A layer while its graph is built. */
export interface LayerInGraph {
  /** Its input as float32: `[..., in]`, of a convolution `[batch, in, ...]`. */
  readonly x: Value;
  /** x after {@link AdapterLayerBase.dropout}; x itself outside training. */
  readonly dropped: () => Value;
  /** The base layer with its bias: `[..., out]` or `[batch, out, ...]`. May be called with another input than x. */
  readonly forward: (x: Value) => Value;
  /** The base weight as float32, shaped as {@link TargetLayer.weightShape}. */
  readonly weight: () => Value;
  /**
   * Input of a linear layer without adapters, as float32; of the last one without a path. Recomputing the base up to
   * there doubles the cost of a run.
   * @throws OnnxLoraError `TARGET_NOT_FOUND` for an unknown layer; `MODEL_UNSUPPORTED` for branches or loops before it
   */
  readonly inputOfBase: (path?: string) => Value;
  /**
   * The layer's input, as float32, with other outputs of earlier layers adapted by the same tuner, by path. Recomputes
   * the nodes in between.
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` for unrelated layers, or an adapted layer, a branch or a loop in between
   */
  readonly inputGiven: (outputs: Readonly<Record<string, Value>>) => Value;
  /**
   * Per-example numbers, such as task ids: an int64 model input `[batch]` added by `model.withRowInputs`.
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without this input
   */
  readonly rowInput: (name: string) => Value;
  /**
   * Applies a change that differs between examples to a linear layer's input `[batch, positions, in]`.
   * @param product returns `[batch, positions, out]`
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an input without a batch dimension
   */
  readonly byRow: (product: (x: Value) => Value) => Value;
  /** Adds the emitted float32 scalar to the loss, in training only. */
  readonly addLoss: (emit: () => Value) => void;
  /** Whether the graph is for training. */
  readonly training: boolean;
}

/** Values by the names of {@link AdapterLayer.tensors}. */
export type ByTensor<T> = Readonly<Record<string, T>>;

/** A tuner's change of one layer, written once with operators: gradients and merging follow. */
export type AdapterLayer = AdapterLayerBase & (ChangeByFactors | ChangeOfWeight | ChangeOfLayer);

/** The tensors of a tuning. */
export interface AdapterLayerBase {
  /** Tensors by the last part of their name in PEFT's file: `ia3_l`. */
  readonly tensors: ByTensor<TensorSpec>;
  /** The output is jointly linear in these tensors, from their idle values: adapters that share the rest can blend. */
  readonly linearIn?: readonly string[];
  /** Dropout on the input of the change; 0 by default. */
  readonly dropout?: number;
  /** LoRA factors whose product B·A is exactly the change of the weight. */
  readonly toLora?: (tensors: ByTensor<Tensor>) => LoraFactors;
}

/** LoRA's factors of a layer. */
export interface LoraFactors {
  /** `[r, in]`, of a convolution `[r, in · kernel]`. */
  readonly A: Tensor;
  /** `[out, r]`, including all scaling. */
  readonly B: Tensor;
}

/** A tuning that adds a product B·A to the weight, computed as plain LoRA. Not for grouped convolutions. */
export interface ChangeByFactors extends Pick<ChangeOfWeight, 'readsWeight' | 'unmerged'> {
  /** Emits A `[r, in]`, of a convolution `[r, in · kernel]`, and B `[out, r]`, including all scaling. */
  readonly factors: (g: GraphBuilder, tensors: ByTensor<Value>) => { readonly A: Value; readonly B: Value };
  /**
   * In training, emits noise that is added to a linear layer's output.
   * @param x input of the change
   * @param normal emits standard normal numbers of this shape, redrawn at every step
   */
  readonly sampled?: (
    g: GraphBuilder,
    x: Value,
    tensors: ByTensor<Value>,
    normal: (dims: readonly number[]) => Value,
  ) => Value;
}

/** A tuning that adds to the weight; forward and merging follow for every kind of layer. */
export interface ChangeOfWeight {
  /** Emits ΔW, shaped as {@link TargetLayer.weightShape}. `weight` emits W, and needs `readsWeight`. */
  readonly delta: (g: GraphBuilder, tensors: ByTensor<Value>, weight: () => Value) => Value;
  /** Emits the change of the bias `[out]`, of layers that have one. */
  readonly biasDelta?: (g: GraphBuilder, tensors: ByTensor<Value>) => Value;
  /** Whether ΔW, or its factors, depend on W. Unmerging then needs `unmerged`. */
  readonly readsWeight?: boolean;
  /** Recovers W from W + ΔW, for a change that depends on W. */
  readonly unmerged?: Pick<ChangeOfLayer, 'weight'>;
}

/** A tuning that replaces the layer's computation. */
export interface ChangeOfLayer {
  /** Emits the layer's output instead of `forward(x)`. */
  readonly apply: (g: GraphBuilder, layer: LayerInGraph, tensors: ByTensor<Value>) => Value;
  /** Emits the merged weight. Without it, such an adapter cannot be merged. */
  readonly weight?: (g: GraphBuilder, weight: Value, tensors: ByTensor<Value>) => Value;
  /** Emits the merged bias `[out]` of a layer with a bias; by default the bias stays. */
  readonly bias?: (g: GraphBuilder, bias: Value, tensors: ByTensor<Value>) => Value;
  /** Inverses of both, for unmerging. Without them, a merge cannot be undone. */
  readonly unmerged?: Pick<ChangeOfLayer, 'weight' | 'bias'>;
}

/** A method other than LoRA, selected by name with `lora.tuner` or `--tuner`. */
export interface Tuner {
  /** Name: `ia3`. */
  readonly name: string;
  /** `peft_type` in the adapter's config: `IA3`. */
  readonly peftType: string;
  /** Config key of a LoRA variant (`peftType` `LORA`), such as `kasa_config`; some only affect training. */
  readonly variant?: string;
  /** Address of the paper. */
  readonly paper?: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /** Its keys of `adapter_config.json` with PEFT's defaults, without those of every tuner (`target_modules` …). */
  readonly defaults: TunerSettings;
  /**
   * Tensors that PEFT leaves out of its files, since only its own libraries can recompute them. Our files have them;
   * PEFT's need them added.
   */
  readonly notInPeft?: readonly string[];
  /** Kinds of layers it can adapt; `linear` by default. */
  readonly kinds?: readonly SiteKind[];
  /** Why a layer cannot be adapted, worded to follow the layer's name; undefined if it can. */
  refuses?(layer: TargetLayer, settings: TunerSettings): string | undefined;
  /** The settings to save, given the full paths in `target_modules`; by default the settings as given. */
  saved?(settings: TunerSettings, targets: readonly string[]): TunerSettings;
  /**
   * Tensors and mathematics of one layer.
   * @param layers all adapted layers, for shared tensors
   * @param saved of a loaded adapter: the layer's tensor shapes, where they say more than the settings
   * @param read of a loaded adapter: reads a tensor of the layer, or of another by path
   * @throws OnnxLoraError `CONFIG_INVALID` for an invalid setting
   */
  tune(
    layer: TargetLayer,
    settings: TunerSettings,
    layers: readonly TargetLayer[],
    saved?: ByTensor<readonly number[]>,
    read?: (name: string, path?: string) => Tensor | undefined,
  ): AdapterLayer;
  /** Names allowed in {@link LayerInGraph.rowInput}. */
  readonly rowInputs?: readonly string[];
  /** Whether a row's output depends on other rows or padding: inference then runs rows alone, training does not. */
  readonly mixesRows?: boolean;
  /** Training hooks besides the gradients of the task's loss. */
  training?(settings: TunerSettings): TrainingHooks;
}

/** An adapted layer with a value per tensor. */
export interface AdaptedModule<T> {
  /** The layer. */
  readonly layer: TargetLayer;
  /** By the names of {@link AdapterLayerBase.tensors}. */
  readonly tensors: ByTensor<T>;
}

/** A tensor between two steps. */
export interface StepTensor {
  /** Its shape. */
  readonly dims: readonly number[];
  /** Its values, changed in place. */
  readonly value: Float32Array;
  /** The clipped gradient of the loss, changed in place before the optimizer's step; absent without a gradient. */
  readonly gradient?: Float32Array;
  /** Before the optimizer's step: skips the tensor in it, so that neither values nor optimizer state change. */
  readonly leave?: () => void;
  /**
   * After the optimizer's step: per-element optimizer state, such as Adam's moments, changed in place; none before the
   * optimizer has moved the tensor.
   */
  readonly moments?: () => readonly Float32Array[];
  /** After the optimizer's step: resets all optimizer state of the tensor, including its step count. */
  readonly forget?: () => void;
}

/** An optimizer step, as passed to hooks. */
export interface TrainingStep {
  /** Number of steps before this one. */
  readonly step: number;
  /** Learning rate of this step. */
  readonly lr: number;
  /** Seed of the run; combined with the step number it makes random draws reproducible when a run resumes. */
  readonly seed: number;
  /** The adapted layers. */
  readonly modules: readonly AdaptedModule<StepTensor>[];
}

/** A tuner's training hooks. All state belongs in `state` tensors, for bit-identical resumption from checkpoints. */
export interface TrainingHooks {
  /** Emits a float32 scalar that is added to the task's loss. */
  loss?(g: GraphBuilder, modules: readonly AdaptedModule<Value>[]): Value;
  /** Before the optimizer's step: may change gradients, such as by masking or preconditioning. */
  gradients?(step: TrainingStep): void;
  /** After the optimizer's step: may change values, such as for proximal steps, masks and rank budgets. */
  after?(step: TrainingStep): void;
  /**
   * After `after`: may try out values and keep some. Needs held-out examples.
   * @param loss of a batch of held-out examples, the same at each step, at the current values
   */
  review?(step: TrainingStep, loss: () => Promise<number>): Promise<void>;
}
