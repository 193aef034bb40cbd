/** @file PEFT's adapter_config.json for LoRA: parsed once at the border, written back so that PEFT loads it. */

import { z } from 'zod';
import { OnnxLoraError } from '../errors.ts';
import { type Pattern, compilePattern } from '../lora/patternMatch.ts';
import { pythonJson } from './pythonJson.ts';

/**
 * A LoRA adapter's config, in PEFT's words and with PEFT's meaning. `null` is PEFT's None. What changes nothing here
 * (`peft_version`, `auto_mapping`, options of variants …) is in `extra` under PEFT's own keys.
 */
export interface AdapterConfig {
  /** Rank of the decomposition, where `rankPattern` says nothing else. */
  readonly r: number;
  /** `lora_alpha`: the delta is scaled by alpha / r, with `useRslora` by alpha / √r. */
  readonly alpha: number;
  /** Module names (exact, or the end after a dot), a pattern for full names, or `all-linear`. */
  readonly targetModules: string | readonly string[] | null;
  /** Modules to leave out, written as `targetModules`. */
  readonly excludeModules: string | readonly string[] | null;
  /** Modules trained in full and stored beside the low-rank tensors, such as a new head. */
  readonly modulesToSave: readonly string[] | null;
  /** Layer numbers that `targetModules` is limited to. */
  readonly layersToTransform: number | readonly number[] | null;
  /** Name of the list whose numbers `layersToTransform` means. */
  readonly layersPattern: string | readonly string[] | null;
  /** Rank by pattern for the end of a module name; the first that matches counts. */
  readonly rankPattern: Readonly<Record<string, number>>;
  /** Alpha by pattern for the end of a module name; the first that matches counts. */
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Rank-stabilised LoRA: the delta is scaled by alpha / √r. */
  readonly useRslora: boolean;
  /** DoRA: a magnitude per output is stored beside A and B. */
  readonly useDora: boolean;
  /** The base stores its weights as `[in, out]`; adapter tensors keep their layout all the same. */
  readonly fanInFanOut: boolean;
  /** Which of the base's biases are stored with the adapter. */
  readonly bias: 'none' | 'all' | 'lora_only';
  /** Whether B has a bias of its own. */
  readonly loraBias: boolean;
  /** Dropout before A that PEFT trained with. Nothing here drops: it is read and written back. */
  readonly loraDropout: number;
  /** Names of bare parameters that are adapted, such as stacked experts. */
  readonly targetParameters: readonly string[] | null;
  /** Rows of an embedding that are trained, for the input embedding or by module. */
  readonly trainableTokenIndices: readonly number[] | Readonly<Record<string, readonly number[]>> | null;
  /** How A and B began: true is PEFT's default, a string names another initialisation. */
  readonly initLoraWeights: boolean | string | null;
  /** PEFT's task, such as `SEQ_CLS`; null where the file names none. */
  readonly taskType: string | null;
  /** The base model, as the one who trained the adapter called it. */
  readonly baseModelNameOrPath: string | null;
  /** Every other key of the file, verbatim. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** A config with PEFT's default for everything that is not given. */
export function adapterConfig(given: Partial<AdapterConfig> & Pick<AdapterConfig, 'r' | 'alpha'>): AdapterConfig {
  return {
    targetModules: null,
    excludeModules: null,
    modulesToSave: null,
    layersToTransform: null,
    layersPattern: null,
    rankPattern: {},
    alphaPattern: {},
    useRslora: false,
    useDora: false,
    fanInFanOut: false,
    bias: 'none',
    loraBias: false,
    loraDropout: 0,
    targetParameters: null,
    trainableTokenIndices: null,
    initLoraWeights: true,
    taskType: null,
    baseModelNameOrPath: null,
    extra: {},
    ...given,
  };
}

const names = z.union([z.string(), z.array(z.string())]);
const flag = z.boolean().nullish();
const index = z.int().min(0);

const schema = z.object({
  r: z.int().min(1).default(8),
  lora_alpha: z.number().default(8),
  target_modules: names.nullish(),
  exclude_modules: names.nullish(),
  modules_to_save: z.array(z.string()).nullish(),
  layers_to_transform: z.union([index, z.array(index)]).nullish(),
  layers_pattern: names.nullish(),
  rank_pattern: z.record(z.string(), z.int().min(1)).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  use_rslora: flag,
  use_dora: flag,
  fan_in_fan_out: flag,
  bias: z.enum(['none', 'all', 'lora_only']).default('none'),
  lora_bias: flag,
  lora_dropout: z.number().min(0).max(1).default(0),
  target_parameters: z.array(z.string()).nullish(),
  trainable_token_indices: z.union([z.array(index), z.record(z.string(), z.array(index))]).nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullable().default(true),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().nullish(),
});

/** Keys that PEFT 0.21 writes besides those of the schema, with PEFT's defaults. */
const otherDefaults: Readonly<Record<string, unknown>> = {
  alora_invocation_tokens: null,
  arrow_config: null,
  auto_mapping: null,
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  inference_mode: true,
  kasa_config: null,
  layer_replication: null,
  loftq_config: {},
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  monteclora_config: null,
  peft_version: '0.21.2',
  qalora_group_size: 16,
  revision: null,
  use_bdlora: null,
  use_qalora: false,
  velora_config: null,
};

/**
 * Parses the JSON value of an adapter_config.json. Options that this SDK cannot apply are kept, not refused.
 *
 * @param file how errors call the file.
 * @throws OnnxLoraError `ADAPTER_INVALID` when it is no LoRA config, or a field has a value that PEFT would not write.
 */
export function parseAdapterConfig(json: unknown, file: string): AdapterConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" is not the config of an adapter: expected a JSON object. Pass a folder that PEFT has saved.`,
    );
  }
  refuseOtherMethods((json as Record<string, unknown>).peft_type, file);
  const { data, error } = schema.safeParse(json);
  if (!data) {
    const issues = error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" is not a valid LoRA config. ${issues.join('. ')}. Correct it, or save the adapter again with PEFT.`,
    );
  }
  const known = new Set([...Object.keys(schema.shape), 'peft_type']);
  return {
    r: data.r,
    alpha: data.lora_alpha,
    targetModules: data.target_modules ?? null,
    excludeModules: data.exclude_modules ?? null,
    modulesToSave: data.modules_to_save ?? null,
    layersToTransform: data.layers_to_transform ?? null,
    layersPattern: data.layers_pattern ?? null,
    rankPattern: data.rank_pattern ?? {},
    alphaPattern: data.alpha_pattern ?? {},
    useRslora: data.use_rslora ?? false,
    useDora: data.use_dora ?? false,
    fanInFanOut: data.fan_in_fan_out ?? false,
    bias: data.bias,
    loraBias: data.lora_bias ?? false,
    loraDropout: data.lora_dropout,
    targetParameters: data.target_parameters ?? null,
    trainableTokenIndices: data.trainable_token_indices ?? null,
    initLoraWeights: data.init_lora_weights,
    taskType: data.task_type ?? null,
    baseModelNameOrPath: data.base_model_name_or_path ?? null,
    extra: {
      // PEFT has written its version since 0.18, and known target_parameters since 0.17.
      ...(data.target_parameters?.length ? { peft_version: '0.17' } : {}),
      ...Object.fromEntries(Object.entries(json).filter(([key]) => !known.has(key))),
    },
  };
}

function refuseOtherMethods(type: unknown, file: string): void {
  if (type === 'LORA') return;
  const found =
    typeof type === 'string' ? `a PEFT adapter of type ${JSON.stringify(type.slice(0, 40))}` : 'without a "peft_type"';
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${file}" is ${found}, and only "LORA" adapters can be used. Train the adapter as LoRA, or convert it with PEFT's save_as_lora.`,
  );
}

/**
 * The text of an adapter_config.json as PEFT writes it: sorted keys, two spaces, no newline at the end. A config that
 * PEFT has written (`extra` holds its `peft_version`) gets exactly the keys it had; any other gets every key that
 * PEFT 0.21 writes, with PEFT's defaults.
 */
export function formatAdapterConfig(config: AdapterConfig): string {
  const written = Object.hasOwn(config.extra, 'peft_version');
  const members = {
    peft_type: 'LORA',
    r: config.r,
    lora_alpha: config.alpha,
    target_modules: config.targetModules,
    exclude_modules: config.excludeModules,
    modules_to_save: config.modulesToSave,
    layers_to_transform: config.layersToTransform,
    layers_pattern: config.layersPattern,
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    use_rslora: config.useRslora,
    use_dora: config.useDora,
    fan_in_fan_out: config.fanInFanOut,
    bias: config.bias,
    lora_bias: config.loraBias,
    lora_dropout: config.loraDropout,
    target_parameters: config.targetParameters,
    trainable_token_indices: config.trainableTokenIndices,
    init_lora_weights: config.initLoraWeights,
    task_type: config.taskType,
    base_model_name_or_path: config.baseModelNameOrPath,
  };
  const sources = [written ? {} : otherDefaults, config.extra, members];
  return pythonJson(new Map(sources.flatMap((source) => Object.entries<unknown>(source))), new Set(['lora_dropout']));
}

/** Initialisations that take the first values out of the base's weights, or exchange those for quantised ones. */
const BASE_CHANGING = /^(pissa|corda|olora|loftq|lora_ga)/;

/** The initialisation by which the adapter counts from a base other than the one that it names. */
export function baseChangingInit({ initLoraWeights }: Pick<AdapterConfig, 'initLoraWeights'>): string | undefined {
  return typeof initLoraWeights === 'string' && BASE_CHANGING.test(initLoraWeights) ? initLoraWeights : undefined;
}

/** Options by which PEFT computes something else than s·B·A, or for another stack of layers. */
const variants = [
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'layer_replication',
  'monteclora_config',
  'use_bdlora',
  'use_qalora',
];

/** PEFT's key of the option that makes the adapter a variant of LoRA that cannot be computed here. */
export function variantOf({ extra }: Pick<AdapterConfig, 'extra'>): string | undefined {
  return variants.find((key) => Object.hasOwn(extra, key) && Boolean(extra[key]));
}

/** What one module's delta is multiplied with, and where that comes from. */
export interface Scaling {
  readonly r: number;
  readonly alpha: number;
  /** alpha / r, or alpha / √r with `useRslora`. */
  readonly scaling: number;
}

/**
 * Rank, alpha and scaling of one module: of each pattern table the first key that matches the end of the module's
 * name counts, rank and alpha independently of each other.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when a key is not a usable pattern.
 */
export function scalingOf(
  config: Pick<AdapterConfig, 'r' | 'alpha' | 'rankPattern' | 'alphaPattern' | 'useRslora'>,
  modulePath: string,
): Scaling {
  const r = firstMatch(config.rankPattern, 'rankPattern', modulePath) ?? config.r;
  const alpha = firstMatch(config.alphaPattern, 'alphaPattern', modulePath) ?? config.alpha;
  return { r, alpha, scaling: alpha / (config.useRslora ? Math.sqrt(r) : r) };
}

/** An adapter asks for hundreds of modules; its patterns are parsed once. */
const compiled = new WeakMap<object, readonly (readonly [Pattern, number])[]>();

function firstMatch(table: Readonly<Record<string, number>>, where: string, modulePath: string): number | undefined {
  let patterns = compiled.get(table);
  if (!patterns) {
    patterns = Object.entries(table).map(([key, value]) => [compilePattern(key, where), value] as const);
    compiled.set(table, patterns);
  }
  return patterns.find(([pattern]) => pattern.endMatch(modulePath))?.[1];
}
