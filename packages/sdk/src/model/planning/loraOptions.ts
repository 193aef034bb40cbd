/** @file Options of the adapter to train, and their plan for a model. */

import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import type { Generation } from '../../adapter/naming/nameTable.ts';
import type { Initializer } from '../../lora/init/initializer.ts';
import type { DropoutPattern } from '../../lora/methods/loraSite.ts';
import type { AdapterPlan } from '../../lora/methods/moduleAdapter.ts';
import type { Model } from '../loaded/model.ts';
import type { ModuleInfo } from '../graph/namedModules.ts';

/** PEFT's default for `r`. */
export const DEFAULT_RANK = 8;

/** A tuner by name, with settings. */
export interface NamedTuner {
  /** Name of the tuner. */
  readonly name: string;
  /** Settings by PEFT's keys. */
  readonly [setting: string]: unknown;
}

/** The adapter to train, in PEFT's terms (camelCase). */
export interface LoraOptions {
  /** Rank; 8 by default. */
  readonly r?: number;
  /** The delta is scaled by loraAlpha / r; twice the rank by default. */
  readonly loraAlpha?: number;
  /**
   * Modules to adapt: names (exact, or the end after a dot), a pattern for full paths, or `all-linear`; by default as
   * the family recommends. If the family knows the names of transformers 4 and 5, both work, here and in the other
   * fields: `query` finds `q_proj`. For models without torch's names, a function chooses by kind, shape, node and
   * weight names; the saved config lists the paths.
   */
  readonly targetModules?: string | readonly string[] | ((module: ModuleInfo) => boolean);
  /** Modules to exclude from `targetModules`, in the same form. */
  readonly excludeModules?: string | readonly string[];
  /** Modules to train in full and save with the adapter, such as `classifier`. */
  readonly modulesToSave?: readonly string[];
  /**
   * Parameters to adapt by full name or its end after a dot, such as experts' stacked weights. Without `targetModules`,
   * the family's default modules are adapted too.
   */
  readonly targetParameters?: readonly string[];
  /** Token ids whose embedding rows are trained: of the input ids' embedding, or by embedding name. */
  readonly trainableTokenIndices?: readonly number[] | Readonly<Record<string, readonly number[]>>;
  /** Biases to train: `all`, or `lora_only` for those of adapted layers; `none` by default. */
  readonly bias?: 'none' | 'all' | 'lora_only';
  /** Adds a bias to lora_B. */
  readonly loraBias?: boolean;
  /**
   * Shares one adapter between an embedding and the layer tied to it, as PEFT does for `embed_tokens` and `lm_head`.
   */
  readonly ensureWeightTying?: boolean;
  /** Scales by loraAlpha / √r, which stabilises high ranks. */
  readonly useRslora?: boolean;
  /** Dropout on the adapter's input during training, such as 0.05; 0 by default. Not applied to embeddings. */
  readonly loraDropout?: number;
  /**
   * Unit of `loraDropout`: a number (`element`, the default), a feature at all positions of an example (`column`; for
   * 2-D inputs of the whole batch), or a position such as a token (`row`).
   */
  readonly loraDropoutPattern?: DropoutPattern;
  /** Weight-decomposed LoRA (DoRA): also trains a magnitude per output. */
  readonly useDora?: boolean;
  /** Ranks by pattern for the end of a module path, in place of `r`; the first match counts. */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** Alphas by pattern for the end of a module path, in place of `loraAlpha`; the first match counts. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /** Layer indices that limit `targetModules`, counted from 0. */
  readonly layersToTransform?: number | readonly number[];
  /** Name of the layer list that `layersToTransform` indexes, such as `layers`. */
  readonly layersPattern?: string | readonly string[];
  /**
   * Initialisation by PEFT's names; here none changes the base: `true` (A random, B zero), `gaussian`, `orthogonal`,
   * `pissa`, `pissa_niter_N`, `olora`, `mica`, `corda`, `corda_kpm`, `eva`, `lora_ga`, `loftq`; `zeros` (A zero, B random);
   * or an initialiser.
   */
  readonly initLoraWeights?: boolean | string | Initializer;
  /** The model before quantisation, for `loftq`. */
  readonly original?: Model;
  /**
   * A plugin's tuner in place of LoRA: its name, alone or with settings under PEFT's keys. Only options that choose
   * modules combine with it.
   * @example
   * { tuner: { name: 'ia3', feedforward_modules: ['down'] }, targetModules: ['up', 'down'] }
   */
  readonly tuner?: string | NamedTuner;
}

/** A plan for one model, and PEFT's config of it. */
export interface PlannedAdapter {
  /** The injection plan. */
  readonly plan: AdapterPlan;
  /** In the model's own names. */
  readonly config: AdapterConfig;
  /** The naming generation of the options, if translated to the model's. */
  readonly namedAs?: Generation;
  /** Deviations from the options, and remedies. */
  readonly warnings: readonly string[];
  /** The initialiser; PEFT's default if absent. */
  readonly initializer?: Initializer;
}
