/** @file PEFT's adapter_config.json: parses it, and writes it back so that PEFT loads it. */

import { z } from 'zod';
import { OnnxLoraError } from '../../errors.ts';
import { pythonJson } from './pythonJson.ts';

/**
 * An adapter's config with PEFT's names and meanings; `null` is PEFT's None. Keys without effect here, and those of
 * tuners other than LoRA (whose `r` and `loraAlpha` are 0), are in `extra` under PEFT's names.
 */
export interface AdapterConfig {
  /** The tuner: `LORA`, or a plugin's, such as `IA3`. */
  readonly peftType: string;
  /** Rank, unless `rankPattern` matches. */
  readonly r: number;
  /** `lora_alpha`: scales the delta by loraAlpha / r, with `useRslora` by loraAlpha / √r. */
  readonly loraAlpha: number;
  /** Module names (exact, or the end after a dot), a pattern for full names, or `all-linear`. */
  readonly targetModules: string | readonly string[] | null;
  /** Modules to exclude from `targetModules`, in the same form. */
  readonly excludeModules: string | readonly string[] | null;
  /** Fully trained modules stored with the adapter, such as a new head. */
  readonly modulesToSave: readonly string[] | null;
  /** Layer indices that limit `targetModules`. */
  readonly layersToTransform: number | readonly number[] | null;
  /** Name of the layer list that `layersToTransform` indexes. */
  readonly layersPattern: string | readonly string[] | null;
  /** Ranks by pattern for the end of a module name; the first match counts. */
  readonly rankPattern: Readonly<Record<string, number>>;
  /** Alphas by pattern for the end of a module name; the first match counts. */
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Rank-stabilised LoRA: scales by alpha / √r. */
  readonly useRslora: boolean;
  /** DoRA: stores a magnitude per output. */
  readonly useDora: boolean;
  /** The base stores its weights as `[in, out]`; adapter tensors keep their layout. */
  readonly fanInFanOut: boolean;
  /** Biases of the base stored with the adapter. */
  readonly bias: 'none' | 'all' | 'lora_only';
  /** Adds a bias to B. */
  readonly loraBias: boolean;
  /** PEFT's dropout before A in training. */
  readonly loraDropout: number;
  /** Names of adapted bare parameters, such as stacked experts. */
  readonly targetParameters: readonly string[] | null;
  /** Trained rows of the input embedding, or by module. */
  readonly trainableTokenIndices: readonly number[] | Readonly<Record<string, readonly number[]>> | null;
  /** Initialisation of A and B: true is PEFT's default, a string names another. */
  readonly initLoraWeights: boolean | string | null;
  /** PEFT's task, such as `SEQ_CLS`; null if none. */
  readonly taskType: string | null;
  /** The author's name of the base model. */
  readonly baseModelNameOrPath: string | null;
  /** Keys whose integers Python wrote as floats: `scaling` of `5.0`. */
  readonly floats?: readonly string[];
  /** All other keys of the file, verbatim. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** `peft_type` of fully trained normalisation layers. */
export const LN_TUNING = 'LN_TUNING';

/** Its name in `lora.tuner` and `--tuner`. */
export const NORM_TUNER = 'ln_tuning';

const TRAINABLE_TOKENS = 'TRAINABLE_TOKENS';

/** Types of adapters without a tuner: their parts may also accompany LoRA. */
const plain: ReadonlySet<string> = new Set([LN_TUNING, TRAINABLE_TOKENS]);

/** True if an adapter consists of rows and whole parameters alone, which need no tuner. */
export function isPlainType(peftType: string): boolean {
  return plain.has(peftType);
}

/** `peft_type` of LoRA. */
export const LORA = 'LORA';

/** A config with PEFT's defaults for missing fields. */
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

const tokens = z.object({ token_indices: z.array(index) });

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

/** A schema's fields, each with PEFT's key of it. */
function fieldsOf({ shape }: z.ZodObject): (readonly [field: keyof AdapterConfig, key: string])[] {
  const field = (key: string): string => key.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.keys(shape).map((key) => [field(key) as keyof AdapterConfig, key]);
}

/** Keys outside the schema that PEFT 0.21 writes for all tuners. */
const sharedDefaults: Readonly<Record<string, unknown>> = {
  auto_mapping: null,
  inference_mode: true,
  peft_version: '0.21.2',
  revision: null,
};

/** Keys outside the schema that PEFT 0.21 writes for LoRA, with its defaults. */
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
 * Parses an adapter_config.json. Keeps unsupported options instead of rejecting them.
 * @param file the file's name for errors
 * @throws OnnxLoraError `ADAPTER_INVALID` if it is no adapter config, or a field has a value that PEFT would not write
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
  const fields = parsed(schema, json, file);
  // PEFT writes its version since 0.18, and knows target_parameters since 0.17.
  const version = fields.targetParameters?.length ? { peft_version: '0.17' } : {};
  return adapterConfig({ ...fields, extra: { ...version, ...fields.extra } });
}

/** Keys of any PEFT version, and of this SDK, that do not affect an adapter's output. */
const harmless: ReadonlySet<string> = new Set([
  ...Object.keys(otherDefaults),
  'exclude_modules',
  'layers_pattern',
  'layers_to_transform',
  'lora_dropout_pattern',
  'runtime_config',
]);

/** Keys with content (not null, false or empty) that neither PEFT, LoRA nor the adapter's tuner defines. */
export function unknownKeys({ extra, peftType }: AdapterConfig, tunerKeys: ReadonlySet<string>): string[] {
  const says = (value: unknown): boolean => Boolean(value) && !(typeof value === 'object' && Object.keys(value!).length === 0); // prettier-ignore
  const isKnown = (key: string): boolean => harmless.has(key) || tunerKeys.has(key) || (peftType !== LORA && Object.hasOwn(schema.shape, key)); // prettier-ignore
  return Object.entries(extra).flatMap(([key, value]) => (says(value) && !isKnown(key) ? [key] : []));
}

function parseOther(json: object, peftType: string, file: string): AdapterConfig {
  const isTokens = peftType === TRAINABLE_TOKENS;
  const rows = isTokens ? { trainableTokenIndices: checked(tokens, json, file).token_indices } : {};
  return adapterConfig({ ...parsed(shared, json, file), peftType, r: 0, loraAlpha: 0, ...rows });
}

/** The fields of a schema, and all other keys as `extra`. Null stands for PEFT's default, except for an initialisation. */
function parsed(schemaOf: z.ZodObject, json: object, file: string): AdapterConfig {
  const data = checked(schemaOf, json, file);
  const given = fieldsOf(schemaOf).filter(
    ([field, key]) => field === 'initLoraWeights' || (data[key] ?? null) !== null,
  );
  const known = new Set([...Object.keys(schemaOf.shape), 'peft_type']);
  const extra = Object.fromEntries(Object.entries(json).filter(([key]) => !known.has(key)));
  return { ...Object.fromEntries(given.map(([field, key]) => [field, data[key]])), extra } as unknown as AdapterConfig;
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
 * Formats adapter_config.json as PEFT does: sorted keys, two spaces, no final newline. A config from PEFT keeps exactly
 * its keys; others get all keys of PEFT 0.21.
 */
export function formatAdapterConfig(config: AdapterConfig): string {
  const all = configKeys(config);
  const dropouts = [...all.keys()].filter((key) => key.endsWith('_dropout'));
  return pythonJson(all, new Set([...dropouts, ...(config.floats ?? [])]));
}

/** All keys of the config file, by PEFT's names. */
export function configKeys(config: AdapterConfig): Map<string, unknown> {
  const written = Object.hasOwn(config.extra, 'peft_version');
  const isLora = config.peftType === LORA;
  // PEFT's configs of tokens alone have no modules_to_save.
  const fields = fieldsOf(isLora ? schema : shared).filter(
    ([field]) => field !== 'modulesToSave' || config.peftType !== TRAINABLE_TOKENS,
  );
  const own = { peft_type: config.peftType, ...Object.fromEntries(fields.map(([field, key]) => [key, config[field]])) };
  const sources = [written ? {} : isLora ? otherDefaults : sharedDefaults, config.extra, own];
  return new Map(sources.flatMap((source) => Object.entries<unknown>(source)));
}
