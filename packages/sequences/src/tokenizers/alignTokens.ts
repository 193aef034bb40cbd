/** @file Aligns tokens with the letters of their text. */

import { byteLetters } from './tokenBytes.ts';

/** The parts of a `@huggingface/tokenizers` tokenizer in use here; TypeScript cannot resolve the library's types. */
export interface HfTokenizer {
  readonly normalizer: ((text: string) => string) | null;
  readonly pre_tokenizer: ((text: string, options: { readonly section_index: number }) => readonly string[]) | null;
  readonly model: HfModel;
  readonly post_processor: {
    post_process(
      tokens: readonly string[],
      pair: readonly string[] | null,
      addSpecialTokens: boolean,
    ): { readonly tokens: readonly string[]; readonly token_type_ids?: readonly number[] };
  } | null;
  readonly decoder: unknown;
  decode(ids: readonly number[], options?: { readonly clean_up_tokenization_spaces?: boolean }): string;
  token_to_id(token: string): number | undefined;
  get_vocab(): ReadonlyMap<string | undefined, number>;
  get_added_tokens_decoder(): ReadonlyMap<number, HfAddedToken>;
}

interface HfModel {
  (pieces: readonly string[]): readonly string[];
  readonly config: { readonly continuing_subword_prefix?: string | null };
  readonly unk_token: string | undefined;
  /** Whether a run of unknown letters is one token. */
  readonly fuse_unk: boolean;
  readonly end_of_word_suffix?: string | undefined;
}

/** An added token, such as `<mask>`, matched before all else. */
interface HfAddedToken {
  readonly content: string;
  readonly special: boolean;
  /** Whether it absorbs blanks on the left, and on the right. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** Normalised text with the original span of each character. */
interface Spelling {
  readonly text: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** Largest lookahead between whole-text and per-letter normalisation. */
const farthest = 16;

/**
 * Aligns a normalised text with its letters: a character maps to the letter that yields it when normalised alone, an
 * inserted one (such as a blank around Chinese characters) to the next letter.
 */
function normalisedSpelling(text: string, whole: string, normalise: (text: string) => string): Spelling {
  const letters = { text: '', starts: [] as number[], ends: [] as number[] };
  const known = new Map<string, string>();
  let at = 0;
  for (const letter of text) {
    const made = known.get(letter) ?? normalise(letter);
    known.set(letter, made);
    letters.text += made;
    for (let i = 0; i < made.length; i++) {
      letters.starts.push(at);
      letters.ends.push(at + letter.length);
    }
    at += letter.length;
  }
  if (letters.text === whole) return letters;
  const result = { text: whole, starts: [] as number[], ends: [] as number[] };
  let next = 0;
  for (const character of whole.split('')) {
    const found = letters.text.indexOf(character, next);
    const isMade = found >= 0 && found < next + farthest;
    const place = isMade ? found : next;
    result.starts.push(letters.starts[place] ?? text.length);
    result.ends.push((isMade ? letters.ends[place] : letters.starts[place]) ?? text.length);
    if (isMade) next = found + 1;
  }
  return result;
}

const encoder = new TextEncoder();

/** Converts characters to byte-level ones, as in byte-level tokens. */
function inBytes({ text, starts, ends }: Spelling): Spelling {
  const result = { text: '', starts: [] as number[], ends: [] as number[] };
  const known = new Map<string, string>();
  let at = 0;
  for (const letter of text) {
    const bytes = known.get(letter) ?? Array.from(encoder.encode(letter), (byte) => byteLetters[byte]!).join('');
    known.set(letter, bytes);
    result.text += bytes;
    for (let i = 0; i < bytes.length; i++) {
      result.starts.push(starts[at]!);
      result.ends.push(ends[at + letter.length - 1]!);
    }
    at += letter.length;
  }
  return result;
}

interface PlacedTokens {
  readonly tokens: readonly string[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/**
 * Tokenizes a text like `tokenizer.encode` without special tokens, and finds each token's place, which the library does
 * not give: each is searched from the end of the previous one. Places are exact for text that is normalised letter by
 * letter, such as ASCII.
 */
export function tokensIn(tokenizer: HfTokenizer, text: string, isByteLevel: boolean): PlacedTokens {
  const result = { tokens: [] as string[], starts: [] as number[], ends: [] as number[] };
  const put = (token: string, start: number, end: number): void => {
    result.tokens.push(token);
    result.starts.push(start);
    result.ends.push(end);
  };
  sectionsOf(tokenizer, text).forEach(({ from, to, isAdded }, section) => {
    const part = text.slice(from, to);
    if (isAdded) return put(part, from, to);
    const { normalizer, pre_tokenizer: pre } = tokenizer;
    const normal = normalizer ? normalizer(part) : part;
    if (normal === '') return;
    const plain = normalisedSpelling(part, normal, normalizer ?? String);
    const spelling = isByteLevel ? inBytes(plain) : plain;
    let at = 0;
    for (const piece of pre ? pre(normal, { section_index: section }) : [normal]) {
      const found = spelling.text.indexOf(withoutMarks(piece), at);
      if (found >= 0) at = found;
      const to = found >= 0 ? found + withoutMarks(piece).length : spelling.text.length;
      const tokens = tokenizer.model([piece]);
      tokens.forEach((token, i) => {
        const [begin, end] = placeOf(token, tokens[i + 1], tokenizer.model, spelling, at, to);
        const start = spelling.starts[begin] ?? part.length;
        put(token, from + start, from + (end > begin ? spelling.ends[end - 1]! : start));
        at = end;
      });
      if (found >= 0) at = to;
    }
  });
  return result;
}

/** Splits a text at added tokens such as `<mask>`. */
function sectionsOf(tokenizer: HfTokenizer, text: string): { from: number; to: number; isAdded: boolean }[] {
  const added = [...tokenizer.get_added_tokens_decoder().values()].filter(
    ({ content }) => content !== '' && text.includes(content),
  );
  const sections: { from: number; to: number; isAdded: boolean }[] = [];
  let from = 0;
  const put = (to: number, isAdded: boolean): void => {
    if (to > from) sections.push({ from, to, isAdded });
  };
  const blanks = (begin: number): number => /^\s*/.exec(text.slice(begin))![0].length;
  for (let at = 0; added.length > 0 && at < text.length;) {
    const fitting = added.filter(({ content }) => text.startsWith(content, at));
    const longest = fitting.sort((a, b) => b.content.length - a.content.length)[0];
    if (!longest) {
      at++;
      continue;
    }
    put(longest.lstrip ? from + text.slice(from, at).trimEnd().length : at, false);
    from = at;
    at += longest.content.length;
    put(at, true);
    if (longest.rstrip) at += blanks(at);
    from = at;
  }
  put(text.length, false);
  return sections;
}

function placeOf(
  token: string,
  next: string | undefined,
  model: HfModel,
  { text }: Spelling,
  at: number,
  to: number,
): [begin: number, end: number] {
  if (token === model.unk_token) {
    const isWhole = !isInPieces(model);
    const following = next === undefined ? -1 : text.indexOf(surfaceOf(next, model), at + 1);
    if (isWhole || (model.fuse_unk && following < 0)) return [at, to];
    return [at, model.fuse_unk ? following : Math.min(to, at + (text.codePointAt(at)! > 0xffff ? 2 : 1))];
  }
  const surface = surfaceOf(token, model);
  const found = text.indexOf(surface, at);
  return found >= 0 && found + surface.length <= to ? [found, found + surface.length] : [at, at];
}

/** Whether each unknown letter is one token (BPE and unigram), unlike WordPiece and word lists. */
function isInPieces(model: HfModel): boolean {
  return 'merges' in model || 'trie' in model;
}

/** Text of a token, without continuation marks and leading blank. */
function surfaceOf(token: string, { config, end_of_word_suffix: suffix }: HfModel): string {
  const prefix = config.continuing_subword_prefix;
  const begun =
    typeof prefix === 'string' && prefix !== '' && token.startsWith(prefix) ? token.slice(prefix.length) : token;
  return withoutMarks(suffix && begun.endsWith(suffix) ? begun.slice(0, -suffix.length) : begun);
}

/** Strips the blank markers ▁ of SentencePiece and Ġ of byte-level BPE. */
function withoutMarks(piece: string): string {
  return piece.replace(/^[\s▁Ġ]+/, '').replaceAll('▁', ' ');
}
