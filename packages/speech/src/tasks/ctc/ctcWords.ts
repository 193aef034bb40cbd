/** @file The vocabulary of a CTC model: its own, or a new one with a new head. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { CtcTokenizer, type NewHead, type TaskModel, type CtcTokenizerOptions } from '@onnx-lora/sdk/tasks';
import { openSpeechTokenizer } from '../../text/openSpeechTokenizer.ts';
import type { CtcPorts } from './ctcPorts.ts';

/** Share of unknown letters from which the vocabulary counts as another language's. */
const FOREIGN_SHARE = 0.01;

export interface CtcWords {
  readonly tokenizer: CtcTokenizer;
  /** Normalises a transcript for training: no punctuation, unless the vocabulary has it. */
  readonly write: (text: string) => string;
  /** The new head, if the vocabulary is new. */
  readonly head?: NewHead;
  /** The base's vocabulary, if it has one. */
  readonly base?: CtcTokenizer;
  readonly warnings: readonly string[];
}

/** How the vocabulary is chosen. */
export interface CtcWordsOptions {
  /**
   * Makes a new vocabulary and head: `auto`, the default, if at least a hundredth of the letters are unknown; `new`
   * always; `keep` never.
   */
  readonly head?: 'auto' | 'new' | 'keep' | undefined;
  /** The language of a multilingual vocabulary, such as MMS's: `eng`, `spa`. */
  readonly language?: string | undefined;
}

/**
 * The vocabulary for transcripts.
 * @param texts the training transcripts
 * @throws OnnxLoraError `CONFIG_INVALID` if there is no vocabulary to keep; `DATA_INVALID` for transcripts without a
 *   character
 */
export async function ctcWords(
  model: TaskModel,
  ports: CtcPorts,
  texts: readonly string[],
  { head = 'auto', language }: CtcWordsOptions = {},
): Promise<CtcWords> {
  const learned = savedLabels(model, ports);
  const own = learned ? fromLabels(learned) : await ownTokenizer(model, ports, head !== 'keep', language);
  if (own && head !== 'new') {
    const { write, unknown, share } = fitted(own, texts);
    // An adapter's vocabulary never changes to fit the evaluation data.
    if (head === 'keep' || learned || share < FOREIGN_SHARE)
      return { tokenizer: own, base: own, write, warnings: unknownLetters(unknown) };
  }
  const labels = ctcVocabulary(texts, plainText);
  const place = ports.states === undefined ? { output: ports.logits! } : { output: ports.states, attach: { pool: 'each' } as const }; // prettier-ignore
  return {
    tokenizer: fromLabels(labels),
    write: plainText,
    head: { ...place, labels },
    ...(own && { base: own }),
    warnings: [],
  };
}

/** The vocabulary of a model, the adapter's first. @throws OnnxLoraError `CONFIG_INVALID` without one */
export async function ctcTokenizer(
  model: TaskModel,
  ports: CtcPorts,
  adapter?: Adapter,
  language?: string,
): Promise<CtcTokenizer> {
  const labels = adapter?.notes.labels ?? savedLabels(model, ports);
  return labels ? fromLabels(labels) : (await ownTokenizer(model, ports, false, language))!;
}

function fromLabels(labels: readonly string[]): CtcTokenizer {
  return new CtcTokenizer(labels, newVocabularyTokens);
}

/** Labels from an adapter's config.json, with the blank of new vocabularies. */
function savedLabels({ config }: TaskModel, { labels: count }: CtcPorts): readonly string[] | undefined {
  const names = config?.['id2label'];
  if (typeof names !== 'object' || names === null) return undefined;
  const labels = Object.values(names as Record<string, unknown>);
  const isOurs = labels.at(-1) === newVocabularyTokens.blank && (count === undefined || labels.length === count);
  return isOurs && labels.every((label) => typeof label === 'string') ? labels : undefined;
}

/** The tokenizer in the model's folder; undefined if missing and optional. */
async function ownTokenizer(
  model: TaskModel,
  { labels, logits }: CtcPorts,
  isOptional: boolean,
  language: string | undefined,
): Promise<CtcTokenizer | undefined> {
  const refuse = (problem: string): OnnxLoraError =>
    new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" ${problem}. Copy vocab.json and tokenizer_config.json from where it was published; or, to train it to write the characters of your data, have it get a new head (head: 'new', --set head=new).`,
    );
  if (logits === undefined) {
    if (isOptional) return undefined;
    throw refuse('has no head that says characters');
  }
  if (model.folder === undefined) {
    if (isOptional) return undefined;
    throw refuse('is a single .onnx file, so nothing says which characters it writes');
  }
  let found: Awaited<ReturnType<typeof openSpeechTokenizer>>;
  try {
    found = await openSpeechTokenizer(model.folder, language === undefined ? {} : { targetLanguage: language });
  } catch (error) {
    // Models that are only pre-trained have no vocabulary.
    if (isOptional && error instanceof OnnxLoraError && error.message.startsWith('There is neither')) return undefined;
    throw error;
  }
  if (!(found instanceof CtcTokenizer)) throw refuse('has a tokenizer of word pieces, not one of characters');
  if (labels !== undefined && found.size > labels)
    throw refuse(`scores ${labels} labels, but its vocabulary has ${found.size}`);
  return found;
}

interface Fitted {
  readonly write: (text: string) => string;
  /** Letters and digits missing from the vocabulary, with counts. */
  readonly unknown: ReadonlyMap<string, number>;
  readonly share: number;
}

function fitted(tokenizer: CtcTokenizer, texts: readonly string[]): Fitted {
  const known = new Map<string, boolean>();
  const knows = (character: string): boolean => {
    let answer = known.get(character);
    if (answer === undefined) {
      const ids = tokenizer.encode(character);
      known.set(character, (answer = ids.length > 0 && !ids.includes(tokenizer.unknown ?? -1)));
    }
    return answer;
  };
  const write = (text: string): string =>
    singleSpaced(Array.from(straight(text), (each) => (isWord.test(each) || knows(each) ? each : ' ')).join(''));
  const unknown = new Map<string, number>();
  let all = 0;
  for (const text of texts) {
    for (const character of write(text)) {
      if (!isWord.test(character)) continue;
      all++;
      if (!knows(character)) unknown.set(character, (unknown.get(character) ?? 0) + 1);
    }
  }
  const count = [...unknown.values()].reduce((sum, count) => sum + count, 0);
  return { write, unknown, share: all === 0 ? 0 : count / all };
}

const isWord = /[\p{L}\p{M}\p{N}]/u;

/** The characters of a new vocabulary: lower-case letters, marks, digits and apostrophes. */
function plainText(text: string): string {
  return singleSpaced(
    straight(text)
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}' ]/gu, ' '),
  );
}

/** Canonical form: composed characters, straight apostrophes. */
function straight(text: string): string {
  return text.normalize('NFC').replaceAll(/[\u2018\u2019\u02bc]/g, "'");
}

function singleSpaced(text: string): string {
  return text.replaceAll(/\s+/gu, ' ').trim();
}

function unknownLetters(unknown: ReadonlyMap<string, number>): string[] {
  if (unknown.size === 0) return [];
  const frequent = [...unknown].sort((a, b) => b[1] - a[1]).slice(0, 8);
  const listed = frequent.map(([character, count]) => `${character} (${count})`).join(', ');
  return [
    `Transcripts have letters that the model does not write, and learns as unknown: ${listed}. Replace them in the data, or have the model get a new head (head: 'new', --set head=new).`,
  ];
}

/** Special tokens of {@link ctcVocabulary}, for `CtcTokenizer`. */
export const newVocabularyTokens: Required<Pick<CtcTokenizerOptions, 'blank' | 'unknown' | 'wordDelimiter'>> = {
  blank: '[PAD]',
  unknown: '[UNK]',
  wordDelimiter: '|',
};

/**
 * The characters of transcripts in code point order, with `|` for a space, then the unknown token and the blank: the
 * labels of a new head, by id.
 * @param normalise prepares a transcript, such as by removing punctuation; unchanged by default
 * @throws OnnxLoraError `DATA_INVALID` if no transcript has a character
 * @see https://huggingface.co/blog/fine-tune-xlsr-wav2vec2 for this construction
 */
export function ctcVocabulary(
  texts: Iterable<string>,
  normalise: (text: string) => string = (text) => text,
): readonly string[] {
  const { blank, unknown, wordDelimiter } = newVocabularyTokens;
  const characters = new Set<string>();
  for (const text of texts) for (const character of normalise(text).normalize('NFC')) characters.add(character);
  for (const character of characters) if (/\s/u.test(character)) characters.delete(character);
  characters.delete(wordDelimiter);
  if (characters.size === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      'No transcript has a character, so there is nothing to make a vocabulary of. Check which column of the data holds the transcripts.',
    );
  }
  const sorted = [...characters].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  return [...sorted, wordDelimiter, unknown, blank];
}
