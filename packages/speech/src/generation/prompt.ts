/** @file What a text begins with: the tokens that say language, task and whether times are wanted. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { GenerationConfig } from './generationConfig.ts';

/** What is asked of the model. */
interface PromptRequest {
  /** Code or English name of the language: `en`, `English`. For models that know several. */
  readonly language?: string;
  readonly task?: 'transcribe' | 'translate';
  readonly timestamps: boolean;
  /** Ids of what was said before, of which the end is shown to the model. */
  readonly previous?: readonly number[];
}

/**
 * The tokens before the text, as transformers' Whisper has them: `<|startofprev|>` and what was said before, the start,
 * language and task of a model that knows several, `<|notimestamps|>` where no times are wanted. The order is that of the
 * paper, figure 1.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for a language or task that the model does not know, and timestamps where it has none
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

/**
 * The code of a language that is given by code or English name.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for one that the model does not know
 */
export function knownLanguage({ languages, noTimestamps }: GenerationConfig, language: string): string {
  // A Whisper that knows one language knows English; of others their files say nothing.
  const known = languages.size > 0 ? languages : noTimestamps === undefined ? undefined : new Map([['en', 0]]);
  return known ? (languageCode(language, known.keys()) ?? unknown('language', language, known)) : language;
}

/** What was said before, no more of it than half of the model's positions. @see openai-whisper, whisper/decoding.py */
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

/** Names that OpenAI's Whisper takes, and English calls otherwise. @see openai-whisper, whisper/tokenizer.py, TO_LANGUAGE_CODE */
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

/**
 * The code among `known` of a language that is given as `es`, `spa`, `es-MX`, `es_MX`, `Spanish`, `Castilian` or `<|es|>`;
 * undefined where it is none of them.
 */
export function languageCode(given: string, known: Iterable<string>): string | undefined {
  const codes = new Set(known);
  const name = given.trim().replace(/^<\|(.*)\|>$/, '$1').toLowerCase().replaceAll('_', '-'); // prettier-ignore
  const tag = languageOf(name);
  for (const code of [name, name.split('-')[0]!, tag, otherNames[name]]) if (code !== undefined && codes.has(code)) return code; // prettier-ignore
  // Whisper calls Javanese jw, which is its code no more.
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
