/** @file PEFT's adapter_config.json: parsed once at the border, written back so that PEFT loads it. */

import { z } from 'zod';
import { OnnxLoraError } from '../../errors.ts';
import { pythonJson } from './pythonJson.ts';

/**
 * An adapter's config, in PEFT's words and with PEFT's meaning. Of another tuner than LoRA, whose `peftType` is not `LORA`,
 * only the fields that all tuners share say something; its own keys are in `extra`, and `r` and `loraAlpha` are 0. `null` is PEFT's None. What changes nothing here
 * (`peft_version`, `auto_mapping`, options of variants …) is in `extra` under PEFT's own keys.
 */
export interface AdapterConfig {
  /** Which tuner the adapter is of: `LORA`, or one that a plugin brings, such as `IA3`. */
  readonly peftType: string;
  /** Rank of the decomposition, where `rankPattern` says nothing else. */
  readonly r: number;
  /** `lora_alpha`: the delta is scaled by loraAlpha / r, with `useRslora` by loraAlpha / √r. */
  readonly loraAlpha: number;
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
  /** Keys of the file whose whole numbers Python holds as floats and writes with a point: `scaling` of `5.0`. */
  readonly floats?: readonly string[];
  /** Every other key of the file, verbatim. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** `peft_type` of normalisations that are trained whole. */
export const LN_TUNING = 'LN_TUNING';

/** What `lora.tuner` and `--tuner` call it. */
export const NORM_TUNER = 'ln_tuning';

/** `peft_type` of trained rows of embeddings alone. */
const TRAINABLE_TOKENS = 'TRAINABLE_TOKENS';

/** Types of adapters of which nothing is a tuner's: what they train can stand beside LoRA as well. */
const plain: ReadonlySet<string> = new Set([LN_TUNING, TRAINABLE_TOKENS]);

/** Whether what an adapter trains is rows and whole parameters alone, for which no tuner is needed. */
export function isPlainType(peftType: string): boolean {
  return plain.has(peftType);
}

/** `peft_type` of LoRA. */
export const LORA = 'LORA';

/** A config with PEFT's default for everything that is not given. */
export function adapterConfig(given: Partial<AdapterConfig> & Pick<AdapterConfig, 'r' | 'loraAlpha'>): AdapterConfig {
  return {
    peftType: LORA,
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

const index = z.int().min(0);

/** Of the config of trained rows. */
const tokens = z.object({ token_indices: z.array(index) });

/** Fields of the configs of all tuners. */
const shared = z.object({
  target_modules: names.nullish(),
  modules_to_save: z.array(z.string()).nullish(),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().nullish(),
});

const flag = z.boolean().nullish();

const schema = shared.extend({
  exclude_modules: names.nullish(),
  r: z.int().min(1).default(8),
  lora_alpha: z.number().default(8),
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
});

/** Keys that PEFT 0.21 writes for all tuners besides those of the schema. */
const sharedDefaults: Readonly<Record<string, unknown>> = {
  auto_mapping: null,
  inference_mode: true,
  peft_version: '0.21.2',
  revision: null,
};

/** Keys that PEFT 0.21 writes besides those of the schema, with PEFT's defaults. */
const otherDefaults: Readonly<Record<string, unknown>> = {
  alora_invocation_tokens: null,
  ...sharedDefaults,
  arrow_config: null,
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  kasa_config: null,
  layer_replication: null,
  loftq_config: {},
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  monteclora_config: null,
  qalora_group_size: 16,
  use_bdlora: null,
  use_qalora: false,
  velora_config: null,
};

/**
 * Parses the JSON value of an adapter_config.json. Options that this SDK cannot apply are kept, not refused.
 *
 * @param file how errors call the file.
 * @throws OnnxLoraError `ADAPTER_INVALID` when it is no config of an adapter, or a field has a value that PEFT would not write.
 */
export function parseAdapterConfig(json: unknown, file: string): AdapterConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" is not the config of an adapter: expected a JSON object. Pass a folder that PEFT has saved.`,
    );
  }
  const type = (json as Record<string, unknown>).peft_type;
  if (typeof type !== 'string' || !/^[A-Z0-9_]{1,40}$/.test(type)) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" has no "peft_type", which says what kind of adapter it is. Save the adapter again with PEFT.`,
    );
  }
  if (type !== LORA) return parseOther(json, type, file);
  const data = checked(schema, json, file);
  const known = new Set([...Object.keys(schema.shape), 'peft_type']);
  return {
    peftType: LORA,
    r: data.r,
    loraAlpha: data.lora_alpha,
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

/** Keys of the configs of all versions of PEFT, and of this SDK, that change nothing of what an adapter computes. */
const harmless: ReadonlySet<string> = new Set([
  ...Object.keys(otherDefaults),
  'exclude_modules',
  'layers_pattern',
  'layers_to_transform',
  'lora_dropout_pattern',
  'runtime_config',
]);

/**
 * Keys of a config that say something here and there is nothing to do with: not of PEFT's shared and LoRA's own, not the
 * tuner's, and neither null, false nor empty, as other tools write what they do not use.
 *
 * @param tunerKeys keys of the adapter's tuner
 */
export function unknownKeys({ extra, peftType }: AdapterConfig, tunerKeys: ReadonlySet<string>): string[] {
  const says = (value: unknown): boolean => Boolean(value) && !(typeof value === 'object' && Object.keys(value!).length === 0); // prettier-ignore
  const isKnown = (key: string): boolean => harmless.has(key) || tunerKeys.has(key) || (peftType !== LORA && Object.hasOwn(schema.shape, key)); // prettier-ignore
  return Object.entries(extra).flatMap(([key, value]) => (says(value) && !isKnown(key) ? [key] : []));
}

/** The config of another tuner than LoRA: what all share, and the rest verbatim. */
function parseOther(json: object, peftType: string, file: string): AdapterConfig {
  const data = checked(shared, json, file);
  const known = new Set([...Object.keys(shared.shape), 'peft_type']);
  return adapterConfig({
    peftType,
    r: 0,
    loraAlpha: 0,
    targetModules: data.target_modules ?? null,
    modulesToSave: data.modules_to_save ?? null,
    taskType: data.task_type ?? null,
    baseModelNameOrPath: data.base_model_name_or_path ?? null,
    ...(peftType === TRAINABLE_TOKENS ? { trainableTokenIndices: checked(tokens, json, file).token_indices } : {}),
    extra: Object.fromEntries(Object.entries(json).filter(([key]) => !known.has(key))),
  });
}

function checked<Schema extends z.ZodType>(schemaOf: Schema, json: unknown, file: string): z.output<Schema> {
  const { data, error } = schemaOf.safeParse(json);
  if (data !== undefined) return data;
  const issues = error!.issues.slice(0, 3).map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${file}" is not a valid config of an adapter. ${issues.join('. ')}. Correct it, or save the adapter again with PEFT.`,
  );
}

/**
 * The text of an adapter_config.json as PEFT writes it: sorted keys, two spaces, no newline at the end. A config that
 * PEFT has written (`extra` holds its `peft_version`) gets exactly the keys it had; any other gets every key that
 * PEFT 0.21 writes, with PEFT's defaults.
 */
export function formatAdapterConfig(config: AdapterConfig): string {
  const all = configKeys(config);
  const dropouts = [...all.keys()].filter((key) => key.endsWith('_dropout'));
  return pythonJson(all, new Set([...dropouts, ...(config.floats ?? [])]));
}

/** All keys of the config's file, by PEFT's names. */
export function configKeys(config: AdapterConfig): Map<string, unknown> {
  const written = Object.hasOwn(config.extra, 'peft_version');
  const ofAll = {
    peft_type: config.peftType,
    target_modules: config.targetModules,
    // PEFT's configs of tokens alone have no such key.
    ...(config.peftType === TRAINABLE_TOKENS ? {} : { modules_to_save: config.modulesToSave }),
    task_type: config.taskType,
    base_model_name_or_path: config.baseModelNameOrPath,
  };
  const ofLora = {
    r: config.r,
    lora_alpha: config.loraAlpha,
    exclude_modules: config.excludeModules,
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
  };
  const isLora = config.peftType === LORA;
  const defaults = isLora ? otherDefaults : sharedDefaults;
  const sources = [written ? {} : defaults, config.extra, ofAll, isLora ? ofLora : {}];
  return new Map(sources.flatMap((source) => Object.entries<unknown>(source)));
}
