/** @file How a model's text begins, ends and is kept from going wrong: its generation_config.json. */

import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { isObject, type JsonObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import type { SpeechTokenizer } from '../text/subwordTokenizer.ts';

/** What `generation_config.json` says; where it is silent, `config.json`. */
export interface GenerationConfig {
  /** The first token of every text: `<|startoftranscript|>`. */
  readonly start: number;
  /** Tokens that end a text. */
  readonly ends: readonly number[];
  /** Tokens that are never written, and those that are not written first. */
  readonly suppress: readonly number[];
  readonly beginSuppress: readonly number[];
  /** What follows the start in a model of one language. */
  readonly forced: readonly number[];
  /** Tokens of the languages by code: `en`. None for a model of one language. */
  readonly languages: ReadonlyMap<string, number>;
  /** Tokens of the tasks: `transcribe`, `translate`. */
  readonly tasks: ReadonlyMap<string, number>;
  /** `<|notimestamps|>`; the token of 0.00 s is the next one. */
  readonly noTimestamps?: number;
  /** `<|startofprev|>`, behind which stands what was said before. */
  readonly previousStart?: number;
  /** The latest time at which a text may begin, in steps of 0.02 s. */
  readonly maxInitialTimestamp?: number;
  /** The heads whose attention follows the sound: layer and head of each. */
  readonly alignmentHeads?: readonly (readonly [layer: number, head: number])[];
  /** Most tokens that are written, and most with the prompt. */
  readonly maxLength: number;
  readonly maxPositions: number;
  readonly beams: number;
  /** As transformers: the score of a text is divided by its length to this power. */
  readonly lengthPenalty: number;
  /** Whether a beam search ends as soon as it has as many texts as beams; `never` looks for better ones as long as it can. */
  readonly earlyStopping: boolean | 'never';
  /** Above 1, tokens that were written become less likely; 1 changes nothing. */
  readonly repetitionPenalty: number;
  /** No sequence of so many tokens is written twice; 0 allows it. */
  readonly noRepeatNgram: number;
}

/** Of published files the largest has 4 kB. */
const LARGEST = 1_000_000;
/** Whisper's vocabularies of that size and above know several languages. @see openai-whisper, whisper/model.py */
const MULTILINGUAL_VOCABULARY = 51_865;
const MAX_ID = 2 ** 31 - 1;

/**
 * Reads the configuration in the model's folder.
 *
 * @param tokenizer says what the tokens are called, for folders whose files leave it out
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that says something that cannot be, or does not say how texts begin and end
 */
export async function readGenerationConfig(model: TaskModel, tokenizer?: SpeechTokenizer): Promise<GenerationConfig> {
  const file = path.join(model.folder ?? '.', 'generation_config.json');
  const own = model.folder === undefined ? undefined : await readJsonObject(file, LARGEST, 'such a configuration');
  return generationConfigOf({ own: own ?? {}, config: model.config ?? {}, where: own ? file : `config.json of "${model.name}"` }, tokenizer); // prettier-ignore
}

/** The parsed files, and what they are called in messages. */
export interface GenerationFiles {
  readonly own: JsonObject;
  readonly config: JsonObject;
  readonly where: string;
}

/**
 * What the parsed files say.
 *
 * @throws OnnxLoraError as {@link readGenerationConfig}
 */
export function generationConfigOf(files: GenerationFiles, tokenizer?: SpeechTokenizer): GenerationConfig {
  const { own, config, where } = files;
  const invalid = (key: string, wanted: string): OnnxLoraError =>
    new OnnxLoraError(
      'CONFIG_INVALID',
      `"${key}" in ${where} must be ${wanted}. Copy generation_config.json again from where the model was published.`,
    );
  const valueOf = (key: string): unknown => own[key] ?? config[key] ?? undefined;
  const isId = (value: unknown): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_ID;
  const id = (key: string): number | undefined => {
    const value = valueOf(key);
    if (value === undefined || isId(value)) return value;
    throw invalid(key, 'the id of a token');
  };
  const ids = (key: string): number[] => {
    const value = valueOf(key);
    const list = value === undefined ? [] : Array.isArray(value) ? (value as unknown[]) : [value];
    if (list.every(isId)) return list;
    throw invalid(key, 'a list of ids of tokens');
  };
  const table = (key: string): Map<string, number> => {
    const value = own[key] ?? {};
    if (!isObject(value) || !Object.values(value).every(isId)) throw invalid(key, 'a table of tokens with their ids');
    return new Map(Object.entries(value).map(([name, token]) => [name.replace(/^<\|(.*)\|>$/, '$1'), token as number]));
  };
  const number = (key: string, usual: number, least: number, most: number): number => {
    const value = valueOf(key) ?? usual;
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw invalid(key, `a number from ${least} to ${most}`);
  };
  const integer = (key: string, usual: number, most: number): number => {
    const value = number(key, usual, 0, most);
    if (Number.isInteger(value)) return value;
    throw invalid(key, 'a whole number');
  };
  const pairs = (key: string, isSecond: (value: unknown) => boolean): [number, number][] | undefined => {
    const value = valueOf(key);
    if (value === undefined) return undefined;
    const isPair = (pair: unknown): boolean =>
      Array.isArray(pair) && pair.length === 2 && isId(pair[0]) && isSecond(pair[1]);
    if (Array.isArray(value) && value.every(isPair)) return value as [number, number][];
    throw invalid(key, 'a list of pairs of numbers');
  };

  const start = id('decoder_start_token_id') ?? id('bos_token_id');
  const ends = ids('eos_token_id');
  if (start === undefined) throw invalid('decoder_start_token_id', 'the id of the token that texts begin with');
  if (ends.length === 0) throw invalid('eos_token_id', 'the id of the token that texts end with');
  const maxPositions = integer('max_target_positions', integer('max_position_embeddings', 448, 1e6), 1e6);
  const { languages, tasks } = namedTokens(table('lang_to_id'), table('task_to_id'), files, tokenizer);
  const noTimestamps = id('no_timestamps_token_id') ?? tokenizer?.idOf('<|notimestamps|>');
  const previousStart = id('prev_sot_token_id') ?? tokenizer?.idOf('<|startofprev|>');
  const maxInitialTimestamp = id('max_initial_timestamp_index');
  const forced = pairs('forced_decoder_ids', (value) => value === null || isId(value)) ?? [];
  if (forced.some(([place], i) => place !== i + 1)) throw invalid('forced_decoder_ids', 'tokens for the places 1, 2 …');
  const alignmentHeads = pairs('alignment_heads', isId);
  const early = valueOf('early_stopping') ?? false;
  if (typeof early !== 'boolean' && early !== 'never') throw invalid('early_stopping', 'true, false or "never"');
  return {
    start,
    ends,
    suppress: ids('suppress_tokens'),
    beginSuppress: ids('begin_suppress_tokens'),
    // What is null is to be found out, as the language of a model that knows several.
    forced: forced.flatMap(([, token]) => token ?? []),
    languages,
    tasks,
    ...(noTimestamps === undefined ? {} : { noTimestamps }),
    ...(previousStart === undefined ? {} : { previousStart }),
    ...(maxInitialTimestamp === undefined ? {} : { maxInitialTimestamp }),
    ...(alignmentHeads ? { alignmentHeads } : {}),
    maxLength: integer('max_length', maxPositions, 1e6),
    maxPositions,
    beams: integer('num_beams', 1, 64),
    lengthPenalty: number('length_penalty', 1, -100, 100),
    earlyStopping: early,
    repetitionPenalty: number('repetition_penalty', 1, 1e-3, 1e3),
    noRepeatNgram: integer('no_repeat_ngram_size', 0, 1e6),
  };
}

/** Tokens of languages and tasks: those of the file, or of a tokenizer of several languages where no file names them. */
function namedTokens(
  languages: Map<string, number>,
  tasks: Map<string, number>,
  { own, config }: GenerationFiles,
  tokenizer: SpeechTokenizer | undefined,
): Pick<GenerationConfig, 'languages' | 'tasks'> {
  const isMultilingual = own['is_multilingual'] ?? Number(config['vocab_size'] ?? 0) >= MULTILINGUAL_VOCABULARY;
  // Files of models of English alone may name the tokens all the same, which are then never learned.
  if (isMultilingual !== true) return { languages: new Map(), tasks: new Map() };
  if (languages.size > 0 || !tokenizer) return { languages, tasks };
  for (const name of ['transcribe', 'translate']) {
    const token = tokenizer.idOf(`<|${name}|>`);
    if (token !== undefined) tasks.set(name, token);
  }
  // The languages stand between the start and the tasks.
  const first = tokenizer.idOf('<|startoftranscript|>') ?? Infinity;
  const behind = Math.min(...tasks.values());
  for (let token = first + 1; token < behind; token++) {
    const name = /^<\|([a-z]{2,4})\|>$/.exec(tokenizer.tokenOf(token) ?? '')?.[1];
    if (name !== undefined) languages.set(name, token);
  }
  return { languages, tasks };
}
