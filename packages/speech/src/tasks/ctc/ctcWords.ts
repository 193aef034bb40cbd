/** @file Which characters a CTC model writes: its own, or those of new data, for which it gets a new head. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { CtcTokenizer, type NewHead, type TaskModel } from '@onnx-lora/sdk/tasks';
import { ctcVocabulary, newVocabularyTokens } from '../../text/ctcVocabulary.ts';
import { openSpeechTokenizer } from '../../text/openSpeechTokenizer.ts';
import type { CtcPorts } from './ctcPorts.ts';

/** From which share of unknown letters on a vocabulary is another language's. */
const FOREIGN_SHARE = 0.01;

/** What a model writes. */
export interface CtcWords {
  readonly tokenizer: CtcTokenizer;
  /** What the model is to write of a transcript: without punctuation, unless the vocabulary has it. */
  readonly write: (text: string) => string;
  /** The head to make, where the vocabulary is new. */
  readonly head?: NewHead;
  /** What the base writes in, without a new head; absent where it has no vocabulary. */
  readonly base?: CtcTokenizer;
  readonly warnings: readonly string[];
}

/** How the vocabulary is chosen. */
export interface CtcWordsOptions {
  /**
   * Whether there is a new vocabulary, and a new head for it. `auto`, the default: where a hundredth of the letters or more are
   * none that the model knows. `new` always makes one, `keep` never.
   */
  readonly head?: 'auto' | 'new' | 'keep' | undefined;
  /** Which language's characters, for a model with a vocabulary for each, such as MMS: `eng`, `spa`. */
  readonly language?: string | undefined;
}

/**
 * The vocabulary for transcripts.
 *
 * @param texts the transcripts that are trained on
 * @throws OnnxLoraError `CONFIG_INVALID` where the model says of no vocabulary and none is to be made; `DATA_INVALID` for
 *   transcripts without a character
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
    // An adapter's own vocabulary is never given up for that of the data it is measured on.
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

/**
 * The vocabulary that a model writes in: the adapter's where it brings one, else the model's.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where neither has one
 */
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

/** Labels that came with an adapter: its model's config.json names them, with the blank of new vocabularies. */
function savedLabels({ config }: TaskModel, { labels: count }: CtcPorts): readonly string[] | undefined {
  const names = config?.['id2label'];
  if (typeof names !== 'object' || names === null) return undefined;
  const labels = Object.values(names as Record<string, unknown>);
  const isOurs = labels.at(-1) === newVocabularyTokens.blank && (count === undefined || labels.length === count);
  return isOurs && labels.every((label) => typeof label === 'string') ? labels : undefined;
}

/** The tokenizer in the model's folder; undefined where there is none and none is needed. */
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
    throw refuse('is a lone .onnx file, so nothing says which characters it writes');
  }
  let found: Awaited<ReturnType<typeof openSpeechTokenizer>>;
  try {
    found = await openSpeechTokenizer(model.folder, language === undefined ? {} : { targetLanguage: language });
  } catch (error) {
    // A model that was only pre-trained is published without a vocabulary.
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
  /** Letters and digits that the vocabulary does not have, and how often they occur. */
  readonly unknown: ReadonlyMap<string, number>;
  /** Their share of all letters and digits. */
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

/** What a new vocabulary is made of: small letters, marks, digits and apostrophes. */
function plainText(text: string): string {
  return singleSpaced(
    straight(text)
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}' ]/gu, ' '),
  );
}

/** One way to write what can be written in several: composed characters, straight apostrophes. */
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
