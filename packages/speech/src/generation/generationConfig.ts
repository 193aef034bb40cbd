/** @file How a model's text begins, ends and is kept from going wrong: its generation_config.json. */

import { isObject } from '@onnx-lora/sdk/data';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { GenerationFile, isId, type SearchSettings } from '@onnx-lora/sequences';
import type { SpeechTokenizer } from '../text/subwordTokenizer.ts';

/** What `generation_config.json` says; where it is silent, `config.json`. */
export interface GenerationConfig extends SearchSettings {
  /** The first token of every text: `<|startoftranscript|>`. */
  readonly start: number;
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
}

/** Whisper's vocabularies of that size and above know several languages. @see openai-whisper, whisper/model.py */
const MULTILINGUAL_VOCABULARY = 51_865;

/**
 * Reads the configuration in the model's folder.
 *
 * @param tokenizer says what the tokens are called, for folders whose files leave it out
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that says something that cannot be, or does not say how texts begin and end
 */
export async function readGenerationConfig(model: TaskModel, tokenizer?: SpeechTokenizer): Promise<GenerationConfig> {
  return generationConfigOf(await GenerationFile.read(model), tokenizer);
}

/**
 * What the parsed files say.
 *
 * @throws OnnxLoraError as {@link readGenerationConfig}
 */
export function generationConfigOf(file: GenerationFile, tokenizer?: SpeechTokenizer): GenerationConfig {
  const { own } = file;
  const table = (key: string): Map<string, number> => {
    const value = own[key] ?? {};
    if (!isObject(value) || !Object.values(value).every(isId))
      throw file.invalid(key, 'a table of tokens with their ids');
    return new Map(Object.entries(value).map(([name, token]) => [name.replace(/^<\|(.*)\|>$/, '$1'), token as number]));
  };
  const pairs = (key: string, isSecond: (value: unknown) => boolean): [number, number][] | undefined => {
    const value = file.raw(key);
    if (value === undefined) return undefined;
    const isPair = (pair: unknown): boolean =>
      Array.isArray(pair) && pair.length === 2 && isId(pair[0]) && isSecond(pair[1]);
    if (Array.isArray(value) && value.every(isPair)) return value as [number, number][];
    throw file.invalid(key, 'a list of pairs of numbers');
  };

  const start = file.id('decoder_start_token_id') ?? file.id('bos_token_id');
  const search = file.search();
  if (start === undefined) throw file.invalid('decoder_start_token_id', 'the id of the token that texts begin with');
  if (search.ends.length === 0) throw file.invalid('eos_token_id', 'the id of the token that texts end with');
  const maxPositions = file.integer('max_target_positions', file.integer('max_position_embeddings', 448, 1e6), 1e6);
  const { languages, tasks } = namedTokens(table('lang_to_id'), table('task_to_id'), file, tokenizer);
  const noTimestamps = file.id('no_timestamps_token_id') ?? tokenizer?.idOf('<|notimestamps|>');
  const previousStart = file.id('prev_sot_token_id') ?? tokenizer?.idOf('<|startofprev|>');
  const maxInitialTimestamp = file.id('max_initial_timestamp_index');
  const forced = pairs('forced_decoder_ids', (value) => value === null || isId(value)) ?? [];
  if (forced.some(([place], i) => place !== i + 1))
    throw file.invalid('forced_decoder_ids', 'tokens for the places 1, 2 …');
  const alignmentHeads = pairs('alignment_heads', isId);
  return {
    ...search,
    start,
    // What is null is to be found out, as the language of a model that knows several.
    forced: forced.flatMap(([, token]) => token ?? []),
    languages,
    tasks,
    ...(noTimestamps === undefined ? {} : { noTimestamps }),
    ...(previousStart === undefined ? {} : { previousStart }),
    ...(maxInitialTimestamp === undefined ? {} : { maxInitialTimestamp }),
    ...(alignmentHeads ? { alignmentHeads } : {}),
    maxLength: file.integer('max_length', maxPositions, 1e6),
    maxPositions,
  };
}

/** Tokens of languages and tasks: those of the file, or of a tokenizer of several languages where no file names them. */
function namedTokens(
  languages: Map<string, number>,
  tasks: Map<string, number>,
  { own, config }: GenerationFile,
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
