/** @file What a user says of the adapter to train, and what that comes to in one model. */

import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import type { Generation } from '../../adapter/naming/nameTable.ts';
import type { Initializer } from '../../lora/init/initializer.ts';
import type { DropoutPattern } from '../../lora/methods/loraSite.ts';
import type { AdapterPlan } from '../../lora/methods/tuning.ts';
import type { Model } from '../loaded/model.ts';
import type { ModuleInfo } from '../graph/namedModules.ts';

/** The rank of adapters where nobody says another. */
export const DEFAULT_RANK = 8;

/** A tuner by its name, with its settings. */
export interface NamedTuner {
  /** What it is called. */
  readonly name: string;
  /** Its settings, by PEFT's keys. */
  readonly [setting: string]: unknown;
}

/** The adapter to train, in PEFT's words (camelCase). */
export interface LoraOptions {
  /** Rank; 8 by default. */
  readonly r?: number;
  /** The delta is scaled by loraAlpha / r; twice the rank by default. */
  readonly loraAlpha?: number;
  /**
   * Modules to adapt: names (exact, or the end after a dot), a pattern for full paths, or `all-linear`. By default what
   * the model's family recommends. Where the family knows the names of transformers 4 and 5, either will do, here and in
   * the other fields: `query` finds `q_proj`.
   *
   * Or a function that says which modules, by whatever is known of them: kind, shape, names of node and weight. For models
   * that have lost torch's names. The saved config lists the paths.
   */
  readonly targetModules?: string | readonly string[] | ((module: ModuleInfo) => boolean);
  /** Modules to leave out of `targetModules`, written as these are. */
  readonly excludeModules?: string | readonly string[];
  /** Modules to train in full and save with the adapter, such as `classifier`. */
  readonly modulesToSave?: readonly string[];
  /**
   * Parameters to adapt by their own names, such as the stacked weights of experts: full names, or their ends after a dot.
   * Without `targetModules` these alone, and what the model's family recommends.
   */
  readonly targetParameters?: readonly string[];
  /**
   * Ids of tokens whose rows of an embedding are trained: of the embedding that the model's input ids go to, or by the name
   * of the embedding.
   */
  readonly trainableTokenIndices?: readonly number[] | Readonly<Record<string, readonly number[]>>;
  /** Which of torch's biases are trained in full as well: `all` of the model, or those of adapted layers; `none` by default. */
  readonly bias?: 'none' | 'all' | 'lora_only';
  /** Whether lora_B has a bias of its own. */
  readonly loraBias?: boolean;
  /**
   * Whether an embedding among the targets and the layer that shares its weight get one adapter between them, as PEFT does
   * for `embed_tokens` and `lm_head`. Otherwise each that is named has its own.
   */
  readonly ensureWeightTying?: boolean;
  /** Scale by loraAlpha / √r, which keeps high ranks stable. */
  readonly useRslora?: boolean;
  /**
   * The share of what an adapter reads that each step of training leaves out at random, against overfitting: 0.05 or 0.1. 0 by
   * default. Embeddings are read whole.
   */
  readonly loraDropout?: number;
  /**
   * What `loraDropout` leaves out together: single numbers (`element`, the default), a feature of an example in all of its places
   * (`column`; of inputs with two dimensions, of the whole batch), or a place with all of its features, such as a token (`row`).
   */
  readonly loraDropoutPattern?: DropoutPattern;
  /** Weight-decomposed LoRA: trains a magnitude per output beside the direction. */
  readonly useDora?: boolean;
  /** Rank by pattern for the end of a module's path, in place of `r`; the first that matches counts. */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** Alpha by pattern for the end of a module's path, in place of `loraAlpha`; the first that matches counts. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /** Layer numbers that `targetModules` is limited to, counted from 0. */
  readonly layersToTransform?: number | readonly number[];
  /** Name of the list of layers whose numbers `layersToTransform` means, such as `layers`. */
  readonly layersPattern?: string | readonly string[];
  /**
   * How the adapter starts, by PEFT's names: `true` (A random, B zero), `gaussian`, `orthogonal`, `pissa`, `pissa_niter_N`,
   * `olora`, `mica`, `corda`, `corda_kpm`, `eva`, `lora_ga`, `loftq`; `zeros` (A zero, B random); or an initialiser. The
   * base is changed by none.
   */
  readonly initLoraWeights?: boolean | string | Initializer;
  /** The model before it was quantised, for `loftq`. */
  readonly original?: Model;
  /**
   * Another tuner than LoRA, which a plugin brings: its name, alone or with its settings, under PEFT's own keys. What says
   * which modules are meant goes with it; what else is here is LoRA's.
   *
   * @example
   * { tuner: { name: 'ia3', feedforward_modules: ['down'] }, targetModules: ['up', 'down'] }
   */
  readonly tuner?: string | NamedTuner;
}

/** A plan for one model, and the config that PEFT will read. */
export interface PlannedAdapter {
  /** What is injected where. */
  readonly plan: AdapterPlan;
  /** Under the model's own names. */
  readonly config: AdapterConfig;
  /** The generation whose names the options use, where it is not the model's: they were translated. */
  readonly namedAs?: Generation;
  /** What differs from what was asked, and how to have it. */
  readonly warnings: readonly string[];
  /** What gives first values; PEFT's default without. */
  readonly initializer?: Initializer;
}
