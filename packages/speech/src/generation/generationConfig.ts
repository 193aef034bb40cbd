/** @file The generation config (start and end tokens, suppressed tokens, limits), and the prompts made of it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { isObject } from '@onnx-lora/sdk/data';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { GenerationFile, isId, type SearchSettings } from '@onnx-lora/sequences';
import type { SpeechTokenizer } from '../text/subwordTokenizer.ts';

/** The settings of `generation_config.json`, else of `config.json`. */
export interface GenerationConfig extends SearchSettings {
  /** The start token, `<|startoftranscript|>`. */
  readonly start: number;
  /** Forced tokens after the start, in a model of one language. */
  readonly forced: readonly number[];
  /** Language tokens by code (`en`); empty for a model of one language. */
  readonly languages: ReadonlyMap<string, number>;
  /** Task tokens: `transcribe`, `translate`. */
  readonly tasks: ReadonlyMap<string, number>;
  /** `<|notimestamps|>`; the next id is the token of 0.00 s. */
  readonly noTimestamps?: number;
  /** `<|startofprev|>`, followed by the previous text. */
  readonly previousStart?: number;
  /** The latest initial time, in steps of 0.02 s. */
  readonly maxInitialTimestamp?: number;
  /** Layer and head of the attention heads that align with the sound. */
  readonly alignmentHeads?: readonly (readonly [layer: number, head: number])[];
  /** Most new tokens, and most in total. */
  readonly maxLength: number;
  readonly maxPositions: number;
}

/** Vocabularies of this size and above are multilingual. @see openai-whisper, whisper/model.py */
const MULTILINGUAL_VOCABULARY = 51_865;

/** Reads the configuration; the tokenizer gives ids that the files leave out. @throws OnnxLoraError `CONFIG_INVALID` */
export async function readGenerationConfig(model: TaskModel, tokenizer?: SpeechTokenizer): Promise<GenerationConfig> {
  return generationConfigOf(await GenerationFile.read(model), tokenizer);
}

/** Combines the parsed files. @throws OnnxLoraError as {@link readGenerationConfig} */
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
    // null is to be detected, as the language of a multilingual model.
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

/** Language and task tokens: the file's, else a multilingual tokenizer's. */
function namedTokens(
  languages: Map<string, number>,
  tasks: Map<string, number>,
  { own, config }: GenerationFile,
  tokenizer: SpeechTokenizer | undefined,
): Pick<GenerationConfig, 'languages' | 'tasks'> {
  const isMultilingual = own['is_multilingual'] ?? Number(config['vocab_size'] ?? 0) >= MULTILINGUAL_VOCABULARY;
  // The files of English-only models may name these tokens, which are untrained.
  if (isMultilingual !== true) return { languages: new Map(), tasks: new Map() };
  if (languages.size > 0 || !tokenizer) return { languages, tasks };
  for (const name of ['transcribe', 'translate']) {
    const token = tokenizer.idOf(`<|${name}|>`);
    if (token !== undefined) tasks.set(name, token);
  }
  // Language tokens are between the start and the task tokens.
  const first = tokenizer.idOf('<|startoftranscript|>') ?? Infinity;
  const behind = Math.min(...tasks.values());
  for (let token = first + 1; token < behind; token++) {
    const name = /^<\|([a-z]{2,4})\|>$/.exec(tokenizer.tokenOf(token) ?? '')?.[1];
    if (name !== undefined) languages.set(name, token);
  }
  return { languages, tasks };
}

interface PromptRequest {
  /** Code or English name, `en` or `English`, for multilingual models. */
  readonly language?: string;
  readonly task?: 'transcribe' | 'translate';
  readonly timestamps: boolean;
  /** Ids of the previous text; its end is used. */
  readonly previous?: readonly number[];
}

/**
 * Builds the prompt in transformers' order: `<|startofprev|>` and the previous text, the start, language and task of a
 * multilingual model, and `<|notimestamps|>` without times (figure 1 of the paper).
 * @throws OnnxLoraError `INPUT_INVALID` for an unknown language or task, or unsupported timestamps
 * @see https://arxiv.org/abs/2212.04356
 */
export function promptOf(config: GenerationConfig, { language, task, timestamps, previous }: PromptRequest): number[] {
  const prompt = [config.start];
  if (config.languages.size > 0) {
    if (language === undefined) throw new OnnxLoraError('INPUT_INVALID', languageMissing(config));
    prompt.push(config.languages.get(knownLanguage(config, language))!);
    const wanted = task ?? 'transcribe';
    prompt.push(config.tasks.get(wanted) ?? unknown('task', wanted, config.tasks));
  } else {
    if (language !== undefined) knownLanguage(config, language);
    if (task === 'translate') unknown('task', task, new Map([['transcribe', 0]]));
    prompt.push(...config.forced);
  }
  if (timestamps && config.noTimestamps === undefined) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      'The model has no tokens for times, so it cannot say when something is said. Ask for no timestamps.',
    );
  }
  const asked = prompt.filter((token) => !(timestamps && token === config.noTimestamps));
  if (!timestamps && config.noTimestamps !== undefined && asked.at(-1) !== config.noTimestamps) {
    asked.push(config.noTimestamps);
  }
  return [...before(config, previous ?? []), ...asked];
}

/** The code of a language by code or English name. @throws OnnxLoraError `INPUT_INVALID` for an unknown one */
export function knownLanguage({ languages, noTimestamps }: GenerationConfig, language: string): string {
  // A Whisper of one language knows English; other models do not say.
  const known = languages.size > 0 ? languages : noTimestamps === undefined ? undefined : new Map([['en', 0]]);
  return known ? (languageCode(language, known.keys()) ?? unknown('language', language, known)) : language;
}

/** The previous text, cut to half of the model's positions. @see openai-whisper, whisper/decoding.py */
function before({ previousStart, maxPositions }: GenerationConfig, previous: readonly number[]): number[] {
  const most = Math.floor(maxPositions / 2) - 1;
  return previousStart === undefined || previous.length === 0 ? [] : [previousStart, ...previous.slice(-most)];
}

function languageMissing({ languages }: GenerationConfig): string {
  return `The model knows ${languages.size} languages, and none is chosen. Name one: ${[...languages.keys()].slice(0, 12).join(', ')}${languages.size > 12 ? ', …' : ''}.`;
}

function unknown(what: string, name: string, known: ReadonlyMap<string, number>): never {
  const names = [...known.keys()];
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `The model does not know the ${what} "${name}". It knows ${names.slice(0, 12).join(', ')}${names.length > 12 ? ` and ${names.length - 12} more` : ''}. Name one of these, or leave the ${what} out.`,
  );
}

/** OpenAI's language names that differ from English. @see openai-whisper, whisper/tokenizer.py, TO_LANGUAGE_CODE */
const otherNames: Readonly<Record<string, string>> = {
  castilian: 'es',
  flemish: 'nl',
  haitian: 'ht',
  letzeburgesch: 'lb',
  mandarin: 'zh',
  moldavian: 'ro',
  moldovan: 'ro',
  myanmar: 'my',
  nynorsk: 'nn',
  panjabi: 'pa',
  pushto: 'ps',
  sinhalese: 'si',
  tagalog: 'tl',
  valencian: 'ca',
};

const languageNames = new Intl.DisplayNames(['en'], { type: 'language' });

/** The code among `known` of `es`, `spa`, `es-MX`, `es_MX`, `Spanish`, `Castilian` or `<|es|>`, if any. */
export function languageCode(given: string, known: Iterable<string>): string | undefined {
  const codes = new Set(known);
  const name = given.trim().replace(/^<\|(.*)\|>$/, '$1').toLowerCase().replaceAll('_', '-'); // prettier-ignore
  const tag = languageOf(name);
  for (const code of [name, name.split('-')[0]!, tag, otherNames[name]]) if (code !== undefined && codes.has(code)) return code; // prettier-ignore
  // Whisper uses jw for Javanese, an obsolete code.
  return [...codes].find((code) => nameOf(code) === name || (tag !== undefined && languageOf(code) === tag));
}

function languageOf(tag: string): string | undefined {
  try {
    return new Intl.Locale(tag).language;
  } catch {
    return undefined;
  }
}

function nameOf(code: string): string | undefined {
  try {
    return languageNames.of(code)?.toLowerCase();
  } catch {
    return undefined;
  }
}
