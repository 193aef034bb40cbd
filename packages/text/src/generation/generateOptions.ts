/** @file Generation options under transformers' names, and their defaults in the model's files. */

import { OnnxLoraError, type RowAdapter } from '@onnx-lora/sdk';
import { type SettingRows, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { type GenerationFile, isId, type SamplingOptions, type SearchSettings } from '@onnx-lora/sequences';
import type { JsonSchema } from '../schema/jsonShape.ts';
import { readSchema } from '../schema/schemaFile.ts';

/** Generation options of a single row or a whole batch. */
export interface RowOptions {
  /** One of the generator's adapters by name, or a blend of several; null is the base. */
  readonly adapter?: RowAdapter;
  /** Maximum number of new tokens, the end included; by default that of the model's files, else 256. */
  readonly maxNewTokens?: number;
  /** Strings that end a text, not included in it. */
  readonly stopStrings?: readonly string[];
  /** Seed of sampling; the same seed gives the same text. The rows of a batch count up from it. */
  readonly seed?: number;
}

/** Generation options under transformers' names. */
export interface GenerateOptions extends RowOptions, SamplingOptions {
  /** Whether to sample; by default if a sampling option or seed is given, or the model's files say so. */
  readonly doSample?: boolean;
  /** Number of beams of a beam search; 1 turns it off. */
  readonly numBeams?: number;
  /** Number of texts that a beam search returns as `alternatives`, best first. */
  readonly numReturnSequences?: number;
  /** Exponent of the length that divides a beam's score. */
  readonly lengthPenalty?: number;
  /** Whether a beam search ends with as many texts as beams; `never` continues until no better one is possible. */
  readonly earlyStopping?: boolean | 'never';
  /** Above 1, tokens that already occur become less likely. */
  readonly repetitionPenalty?: number;
  /** Size of n-grams that may occur only once; 0 allows all. */
  readonly noRepeatNgramSize?: number;
  /** Token sequences that are never generated. */
  readonly badWordsIds?: readonly (readonly number[])[];
  /** Tokens that are never generated. */
  readonly suppressTokens?: readonly number[];
  /** Minimum number of new tokens before the end. */
  readonly minNewTokens?: number;
  /**
   * Restricts the text to JSON by this schema, on one line, see {@link JsonSchema}. Describe the schema in the prompt
   * as well. A text that runs out of tokens (`finish` is `length`) is a prefix of such JSON.
   */
  readonly schema?: JsonSchema;
  /** Tokens that end a text, instead of the model's own. */
  readonly eosTokenId?: number | readonly number[];
  /** Whether to add the tokenizer's special tokens to a prompt; false for the output of a chat template. */
  readonly addSpecialTokens?: boolean;
  /** Whether to leave special tokens out of the text; true by default. */
  readonly skipSpecialTokens?: boolean;
  /** Cancels the generation. */
  readonly signal?: AbortSignal;
}

/** Settings for these options: their checks, and the flags of commands. */
export const generateRows: SettingRows<GenerateOptions> = {
  maxNewTokens: { kind: 'number', whole: true, min: 1, description: 'Most tokens to write.' },
  temperature: { kind: 'number', min: 0, description: 'Above 0, tokens are drawn: the higher, the more freely.' },
  topK: { kind: 'number', whole: true, min: 0, description: 'Draws from as many tokens; 0: from all (default: 50).' },
  topP: { kind: 'number', above: 0, max: 1, description: 'Draws from the likeliest tokens that have this probability together.' }, // prettier-ignore
  minP: { kind: 'number', min: 0, max: 1, description: 'Draws from tokens with this part of the best probability.' },
  typicalP: { kind: 'number', above: 0, max: 1, description: 'Draws from the most typical tokens that have this probability together.' }, // prettier-ignore
  epsilonCutoff: { kind: 'number', min: 0, below: 1, description: 'Draws from tokens of this probability at least.' },
  etaCutoff: { kind: 'number', min: 0, below: 1, description: 'As epsilonCutoff, but less where the model is unsure.' },
  doSample: { kind: 'flag', description: 'Whether tokens are drawn.' },
  seed: { kind: 'number', whole: true, min: 0, description: 'Seed of sampling.' },
  numBeams: { kind: 'number', whole: true, min: 1, max: 64, description: 'Texts that are written side by side.' },
  numReturnSequences: { kind: 'number', whole: true, min: 1, max: 64, description: 'How many texts of a beam search are given.' }, // prettier-ignore
  lengthPenalty: { kind: 'number', min: -100, max: 100, description: 'Scores of beams are divided by their length to this power.' }, // prettier-ignore
  repetitionPenalty: { kind: 'number', above: 0, max: 1000, description: 'Above 1, what is there already becomes less likely.' }, // prettier-ignore
  noRepeatNgramSize: { kind: 'number', whole: true, min: 0, description: 'No sequence of so many tokens comes twice.' },
  minNewTokens: { kind: 'number', whole: true, min: 0, description: 'How many tokens there must be before the end.' },
  stopStrings: { kind: 'texts', description: 'A text is over before one of these.' },
  schema: { kind: 'text', to: readSchema, description: 'JSON schema by which texts are JSON, or its file.' },
};

/** The table of the generation settings. */
export const generateSettings: SettingTable<GenerateOptions> = settingsOf<GenerateOptions>(generateRows);

/** Generation defaults of a model's files. */
export interface GenerationDefaults extends SearchSettings {
  readonly sampling: SamplingOptions;
  readonly doSample: boolean;
  /** The token that starts a text without a prompt. */
  readonly begin: number | undefined;
  readonly maxNewTokens: number | undefined;
  readonly maxLength: number | undefined;
  /** The model's context length. */
  readonly positions: number;
}

/** transformers' default of `top_k`. */
const USUAL_TOP_K = 50;
const MANY = 1e9;

/** Names of the context length in config.json. */
const positionNames = ['max_position_embeddings', 'n_positions', 'max_sequence_length', 'seq_length'];

/**
 * Reads the defaults of generation_config.json and config.json.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid values
 */
export function generationDefaults(file: GenerationFile): GenerationDefaults {
  const has = (key: string): boolean => file.raw(key) !== undefined;
  const given = <Name extends keyof SamplingOptions>(name: Name, key: string, least: number, most: number): object =>
    has(key) ? { [name]: file.number(key, 0, least, most) } : {};
  const known = positionNames.find(has);
  const doSample = file.raw('do_sample') ?? false;
  if (typeof doSample !== 'boolean') throw file.invalid('do_sample', 'true or false');
  return {
    ...file.search(),
    sampling: {
      topK: file.integer('top_k', USUAL_TOP_K, MANY),
      ...given('temperature', 'temperature', 0, MANY),
      ...given('topP', 'top_p', 0, 1),
      ...given('minP', 'min_p', 0, 1),
      ...given('typicalP', 'typical_p', 0, 1),
      ...given('epsilonCutoff', 'epsilon_cutoff', 0, 1),
      ...given('etaCutoff', 'eta_cutoff', 0, 1),
    },
    doSample,
    begin: file.id('bos_token_id'),
    maxNewTokens: has('max_new_tokens') ? file.integer('max_new_tokens', 0, MANY) : undefined,
    maxLength: has('max_length') ? file.integer('max_length', 0, MANY) : undefined,
    positions: known === undefined ? MANY : file.integer(known, MANY, MANY),
  };
}

/** Resolved generation options. */
export interface GenerationPlan {
  readonly search: SearchSettings;
  /** Undefined for greedy decoding. */
  readonly sampling: SamplingOptions | undefined;
  readonly minTokens: number;
  readonly badWords: readonly (readonly number[])[];
  readonly returned: number;
  readonly seed: number | undefined;
}

const samplingNames = ['temperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'etaCutoff'] as const;

/** Makes greedy decoding the default, whatever the model's files say. */
export function likeliestByDefault(options: GenerateOptions): GenerateOptions {
  const draws = [...samplingNames, 'seed' as const].some((name) => options[name] !== undefined);
  return { ...(draws ? {} : { doSample: false }), numBeams: 1, ...options };
}

/**
 * Resolves options with the defaults of the model's files.
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid option; `INPUT_INVALID` for two that exclude each other
 */
export function planOf(options: GenerateOptions, defaults: GenerationDefaults): GenerationPlan {
  generateSettings.checkOptions(options);
  checkIds(options);
  const { sampling: usual, ...own } = defaults;
  const asked = samplingNames.filter((name) => options[name] !== undefined);
  const temperature = options.temperature ?? usual.temperature ?? 1;
  const draws = options.doSample ?? (asked.length > 0 || options.seed !== undefined || own.doSample);
  const sampling = draws && temperature > 0 ? { ...usual, ...Object.fromEntries(asked.map((name) => [name, options[name]])), temperature } : undefined; // prettier-ignore
  const search: SearchSettings = {
    ends: options.eosTokenId === undefined ? own.ends : [options.eosTokenId].flat(),
    suppress: options.suppressTokens ?? own.suppress,
    beginSuppress: own.beginSuppress,
    // Sampling overrides the beams of the model's files.
    beams: options.numBeams ?? (sampling ? 1 : own.beams),
    lengthPenalty: options.lengthPenalty ?? own.lengthPenalty,
    earlyStopping: options.earlyStopping ?? own.earlyStopping,
    repetitionPenalty: options.repetitionPenalty ?? own.repetitionPenalty,
    noRepeatNgram: options.noRepeatNgramSize ?? own.noRepeatNgram,
  };
  const returned = options.numReturnSequences ?? 1;
  if (search.beams > 1 && sampling) throw excluded('beams and drawn tokens', 'Set numBeams to 1, or temperature to 0');
  if (returned > search.beams)
    throw excluded(`${returned} texts of ${search.beams} beams`, 'Set numBeams to as many at least');
  if (options.schema && search.ends.length === 0)
    throw excluded('a schema and no token that ends a text', 'Set eosTokenId');
  return {
    search,
    sampling,
    minTokens: options.minNewTokens ?? 0,
    badWords: options.badWordsIds ?? [],
    returned,
    seed: options.seed,
  };
}

/** @throws OnnxLoraError `INPUT_INVALID` for an invalid token id */
function checkIds({ badWordsIds = [], suppressTokens = [], eosTokenId = [] }: GenerateOptions): void {
  const words = badWordsIds.every((word) => word.length > 0 && word.every(isId));
  const lists = { badWordsIds: words, suppressTokens: suppressTokens.every(isId), eosTokenId: [eosTokenId].flat().every(isId) }; // prettier-ignore
  const wrong = Object.entries(lists).find(([, isGood]) => !isGood);
  if (!wrong) return;
  throw new OnnxLoraError('INPUT_INVALID', `${wrong[0]} holds what is no id of a token. Give whole numbers from 0, such as those of tokenizer.idOf.`); // prettier-ignore
}

function excluded(what: string, remedy: string): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', `There cannot be ${what} at once. ${remedy}.`);
}
