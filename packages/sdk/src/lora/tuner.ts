/** @file What a tuner of PEFT other than LoRA is: its tensors of a layer, and what the layer computes with them. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { SiteKind } from '../match/sites.ts';
import type { Random } from '../runtime/random.ts';
import type { Tensor } from '../runtime/tensor.ts';

/** A layer, as a {@link Tuner} is told of it. */
export interface TunedLayer {
  /** torch's path of the module, as the adapter's config names it. */
  readonly path: string;
  /** What kind of layer it is: one of {@link Tuner.kinds}. */
  readonly kind: SiteKind;
  /** How many features it reads: of a convolution its channels, of an embedding how many ids it knows. */
  readonly in: number;
  /** How many features it yields. */
  readonly out: number;
  /** Its weight as torch has it: `[out, in]`, `[out, in / groups, ...kernel]`, of an embedding `[ids, out]`. */
  readonly weightShape: readonly number[];
  /** Whether it has a bias. */
  readonly bias: boolean;
  /** The base's weight, flat, as torch lays it out: for what is derived from it. Read anew at every call. */
  readonly weight: () => Float32Array;
  /** The base's bias, `[out]`, where it has one. Read anew at every call. */
  readonly ownBias: () => Float32Array | undefined;
}

/** A tuner's own keys of `adapter_config.json` and their values, as JSON has them. */
export type TunerSettings = Readonly<Record<string, unknown>>;

/**
 * What a tensor is for. `trained`: moved by the optimizer. `frozen`: drawn once, in the file, without a gradient. `seeded`: made
 * from a key of the config whenever it is needed. `state`: without a gradient, changed between steps by {@link TrainingHooks}
 * (masks, ranks, averages), in checkpoints.
 */
export type TunedRole = 'trained' | 'frozen' | 'seeded' | 'state';

/** One tensor of a tuner for a layer, in PEFT's layout. */
export interface TunedTensor {
  /** Its shape in PEFT's file. */
  readonly dims: readonly number[];
  /** What it is for; `trained` without. */
  readonly role?: TunedRole;
  /**
   * Who has the same numbers: the layer alone (`site`, the default), all adapted layers with a tensor of this name and shape
   * (`shape`), those that name the same group, or all adapted layers (`adapter`). One that is shared is called
   * `base_model.NAME` in PEFT's file, of a group `base_model.NAME.GROUP`. Where PEFT has it of each layer, that is read, and with
   * `inEach` written: in place of the group's name, or without a group beside that of all layers.
   */
  readonly share?:
    | 'site'
    | 'shape'
    | 'adapter'
    | { readonly group: string; readonly inEach?: true }
    | { readonly group?: undefined; readonly inEach: true };
  /**
   * Of places in something else: which integers a file has of them, and that each is at least 0 and less than `below`, of which each slice of the first dimension may have its own. They
   * are not trained. Without, a tensor is float32.
   */
  readonly integers?: { readonly type: 'int32' | 'int64'; readonly below: number | readonly number[] };
  /** Whether it is in the adapter's file: what is trained or frozen is, what is seeded or a state is not, unless this says so. */
  readonly saved?: boolean;
  /**
   * The values that training begins with, flat. What is seeded, and what is not in a file, begins so wherever it is needed:
   * then nothing may be drawn from `random`.
   *
   * @param numbersOf the numbers that a tensor of the layer has which stands before this one in {@link TensorsOfTuning.tensors}
   */
  readonly first: (random: Random, numbersOf: (name: string) => TensorNumbers) => TensorNumbers;
  /** Values that leave the layer as it is, for runs without the adapter, flat. */
  readonly idle: () => TensorNumbers;
  /** Whether the gradient is another than the loss's on purpose, such as a projection: `checkTuner` holds it to nothing. */
  readonly ownGradient?: boolean;
}

/** Numbers of a tensor, of its own type: float32 but for {@link TunedTensor.integers}. */
export type TensorNumbers = Float32Array | Int32Array | BigInt64Array;

/** The layer inside a graph. */
export interface LayerInGraph {
  /** What it reads as float32: `[..., in]`, of a convolution `[batch, in, ...]`. */
  readonly x: Value;
  /** x without what a step of training leaves out by {@link TensorsOfTuning.dropout}, and what stays so much larger; x itself elsewhere. */
  readonly dropped: () => Value;
  /** The base's layer, bias included: `[..., out]` or `[batch, out, ...]`. May be called with another input than x. */
  readonly forward: (x: Value) => Value;
  /** The base's weight, as {@link TunedLayer.weightShape} has it, as float32. */
  readonly weight: () => Value;
  /**
   * What a linear layer of the model reads where no adapter acts, as float32: the base is computed up to there once more, so
   * that a run costs twice as much. Of the last linear layer without a path.
   *
   * @throws OnnxLoraError `TARGET_NOT_FOUND` where there is no such layer; `MODEL_UNSUPPORTED` for a base with branches or loops before it
   */
  readonly inputOfBase: (path?: string) => Value;
  /**
   * What the layer reads, as float32, where layers before it that the tuner adapts as well yield these values, by their paths, in
   * place of theirs: what lies between is computed once more.
   *
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` where it does not follow from them, and where another adapted layer, a branch or
   *   a loop lies between
   */
  readonly inputGiven: (outputs: Readonly<Record<string, Value>>) => Value;
  /**
   * Numbers that the examples of a batch bring, such as the task of each: an int64 input `[batch]` of the model by its name,
   * which `model.withRowInputs` adds.
   *
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without it
   */
  readonly rowInput: (name: string) => Value;
  /**
   * What `product` makes of a linear layer's input as `[batch, positions, in]`, in the shape of what the layer yields: for what
   * differs between the examples of a batch.
   *
   * @param product gives `[batch, positions, out]`
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a layer that reads what has no rows
   */
  readonly byRow: (product: (x: Value) => Value) => Value;
  /** In training, adds the float32 scalar that is emitted to the task's loss; else nothing is emitted. */
  readonly addLoss: (emit: () => Value) => void;
  /** Whether the graph is one for training, where gradients are asked for. */
  readonly training: boolean;
}

/** Tensors, or what stands for them, by the names of {@link Tuning.tensors}. */
export type ByTensor<T> = Readonly<Record<string, T>>;

/**
 * What a tuner makes of one layer. Its mathematics is written once, with operators: the gradient follows from them, and
 * merging computes the very same on the weight, in double precision.
 */
export type Tuning = TensorsOfTuning & (ChangeByFactors | ChangeOfWeight | ChangeOfLayer);

/** The tensors of a tuning. */
export interface TensorsOfTuning {
  /** Its tensors, by the word that follows the module's path in PEFT's file: `ia3_l`. */
  readonly tensors: ByTensor<TunedTensor>;
  /**
   * Tensors in which, taken together, the layer's output is linear, counted from their idle values, while the others are the
   * same. By these, adapters can be blended that have the others in common; a blend of one adapter and the base always can.
   */
  readonly linearIn?: readonly string[];
  /** In training: the share of the layer's input, drawn anew for each step, that the change does not see. 0 without. */
  readonly dropout?: number;
  /** Factors whose product B·A is the change of the weight, exactly, where there are such. */
  readonly toLora?: (tensors: ByTensor<Tensor>) => LoraFactors;
}

/** What LoRA has of a layer. */
export interface LoraFactors {
  /** `[r, in]`, of a convolution `[r, in · kernel]`. */
  readonly A: Tensor;
  /** `[out, r]`, with all scaling in it. */
  readonly B: Tensor;
}

/**
 * A tuning that adds a product B·A to the weight: it is plain LoRA exactly, and computed as that. Convolutions with groups
 * cannot have one.
 */
export interface ChangeByFactors {
  /** Emits A `[r, in]`, of a convolution `[r, in · kernel]`, and B `[out, r]`, with all scaling in them. */
  readonly factors: (g: GraphBuilder, tensors: ByTensor<Value>) => { readonly A: Value; readonly B: Value };
  /**
   * In training alone: emits what is added to a linear layer's output beside the change, by numbers that are drawn anew for each
   * step.
   *
   * @param x what the change sees of the layer's input
   * @param normal normally distributed numbers of this shape, of mean 0 and variance 1
   */
  readonly sampled?: (
    g: GraphBuilder,
    x: Value,
    tensors: ByTensor<Value>,
    normal: (dims: readonly number[]) => Value,
  ) => Value;
  /** Whether tensors depend on W: then it can be taken out of a merged weight by `unmerged` alone. */
  readonly readsWeight?: boolean;
  /** W from W + ΔW, for a change that depends on W. */
  readonly unmerged?: Pick<ChangeOfLayer, 'weight'>;
}

/** A tuning that adds to the weight: forward, merging and taking out follow for every kind of layer. */
export interface ChangeOfWeight {
  /**
   * Emits ΔW, in the shape of {@link TunedLayer.weightShape}: the layer computes with W + ΔW.
   *
   * @param weight emits the base's W, for a change that depends on it: then `readsWeight` must say so
   */
  readonly delta: (g: GraphBuilder, tensors: ByTensor<Value>, weight: () => Value) => Value;
  /** Whether ΔW depends on W: then it can be taken out of a merged weight by `unmerged` alone. */
  readonly readsWeight?: boolean;
  /** W from W + ΔW, for a change that depends on W. */
  readonly unmerged?: Pick<ChangeOfLayer, 'weight'>;
}

/** A tuning that computes something else in place of the layer. */
export interface ChangeOfLayer {
  /** Emits what the layer yields in place of `forward(x)`. */
  readonly apply: (g: GraphBuilder, layer: LayerInGraph, tensors: ByTensor<Value>) => Value;
  /** What merging makes of the weight. Without, such an adapter cannot be merged. */
  readonly weight?: (g: GraphBuilder, weight: Value, tensors: ByTensor<Value>) => Value;
  /** What merging makes of the bias, `[out]`; without, it stays. Only asked where the layer has one. */
  readonly bias?: (g: GraphBuilder, bias: Value, tensors: ByTensor<Value>) => Value;
  /** The opposites of these two, which take the adapter out of a merged model. Without, that cannot be done. */
  readonly unmerged?: Pick<ChangeOfLayer, 'weight' | 'bias'>;
}

/** A way to adapt layers other than LoRA, by the name that `lora.tuner` and `--tuner` take. */
export interface Tuner {
  /** What it is called: `ia3`. */
  readonly name: string;
  /** `peft_type` in the adapter's config: `IA3`. */
  readonly peftType: string;
  /**
   * Of a variant of LoRA, whose `peftType` is `LORA`: the key of the config that makes an adapter one, such as `kasa_config`.
   * Where the key says but how an adapter is trained (`velora_config`, `monteclora_config`), it is plain LoRA everywhere else.
   */
  readonly variant?: string;
  /** Where the method is described: an address. */
  readonly paper?: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /**
   * Its keys of `adapter_config.json` with PEFT's defaults, but for those that every tuner has (`target_modules`,
   * `modules_to_save`, `task_type` …).
   */
  readonly defaults: TunerSettings;
  /**
   * Names of tensors that PEFT computes with, leaves out of its files and makes anew, by numbers that only its own libraries
   * give. Files have them here, and one of PEFT's needs them added.
   */
  readonly notInPeft?: readonly string[];
  /** The kinds of layers that it can adapt; linear ones alone without. */
  readonly kinds?: readonly SiteKind[];
  /** Why a layer cannot be adapted so, as the end of a sentence that begins with the layer; or nothing. */
  refuses?(layer: TunedLayer, settings: TunerSettings): string | undefined;
  /**
   * The settings as they are saved, where `target_modules` lists the full paths of all layers: for a setting that names some
   * of them. Without, they are saved as they were given.
   */
  saved?(settings: TunerSettings, targets: readonly string[]): TunerSettings;
  /**
   * Its tensors and its mathematics for one layer.
   *
   * @param layers all layers that are adapted, for tensors that they share
   * @param saved of an adapter's file: the shapes of its tensors for this layer, by their names, where they say what settings do not
   * @param read of an adapter's file: its tensor of this name for the layer, or for another one by its path
   * @throws OnnxLoraError `CONFIG_INVALID` for a setting that cannot be
   */
  tune(
    layer: TunedLayer,
    settings: TunerSettings,
    layers: readonly TunedLayer[],
    saved?: ByTensor<readonly number[]>,
    read?: (name: string, path?: string) => Tensor | undefined,
  ): Tuning;
  /** Names that it may ask {@link LayerInGraph.rowInput} for; others are refused. */
  readonly rowInputs?: readonly string[];
  /**
   * Whether what a row of a batch gets depends on the other rows, or on how far they are padded. Sessions, predictors,
   * evaluation and servers then compute each row by itself; training computes each batch as a whole, as PEFT does.
   */
  readonly mixesRows?: boolean;
  /** What it does in training beside gradients of the task's loss. */
  training?(settings: TunerSettings): TrainingHooks;
}

/** An adapted layer, and something of each of its tensors. */
export interface TunedModule<T> {
  /** The layer. */
  readonly layer: TunedLayer;
  /** By the names of {@link TensorsOfTuning.tensors}. */
  readonly tensors: ByTensor<T>;
}

/** A tensor between two steps. */
export interface StepTensor {
  /** Its shape. */
  readonly dims: readonly number[];
  /** Its numbers, to be changed in place. */
  readonly value: Float32Array;
  /** The gradient of the loss, clipped, to be changed in place before the optimizer's step; absent where it has none. */
  readonly gradient?: Float32Array;
  /** Before the optimizer's step: leaves the tensor out of it, so that neither its numbers nor what is remembered of them change. */
  readonly leave?: () => void;
  /**
   * After the optimizer's step: what that remembers of each of the numbers, such as Adam's two moments, to be changed in
   * place. What it remembers otherwise, and of what it has not moved yet, is not among it.
   */
  readonly moments?: () => readonly Float32Array[];
  /**
   * After the optimizer's step: lets the optimizer forget all of the tensor, its count of steps too, so that its next step is
   * as its first.
   */
  readonly forget?: () => void;
}

/** A step of the optimizer, as hooks see it. */
export interface TrainingStep {
  /** How many steps have been made before this one. */
  readonly step: number;
  /** The learning rate of this step. */
  readonly lr: number;
  /** Of the run, for what is drawn: with the number of the step it gives the same again where a run goes on. */
  readonly seed: number;
  /** The adapted layers. */
  readonly modules: readonly TunedModule<StepTensor>[];
}

/**
 * What a tuner does in training. All that hooks remember from step to step they keep in tensors with the role `state`: these
 * are in checkpoints, so that a run that was stopped goes on to the same bytes.
 */
export interface TrainingHooks {
  /** Emits what is added to the task's loss: a float32 scalar. */
  loss?(g: GraphBuilder, modules: readonly TunedModule<Value>[]): Value;
  /** Before the optimizer's step: may change gradients, such as to mask or to precondition them. */
  gradients?(step: TrainingStep): void;
  /** After the optimizer's step: may change values, such as for proximal steps, masks and budgets of ranks. */
  after?(step: TrainingStep): void;
  /**
   * Behind `after`: may try values, and keep some. Then the task must hold examples out.
   *
   * @param loss gives the loss of some of them, the same in each step and as many as a batch has, with the values as they are then
   */
  review?(step: TrainingStep, loss: () => Promise<number>): Promise<void>;
}
