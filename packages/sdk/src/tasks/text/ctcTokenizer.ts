/** @file Characters as ids, for models whose every frame stands for a character or a blank. */

import { OnnxLoraError } from '../../errors.ts';

/** Which tokens of the vocabulary have a meaning of their own. */
export interface CtcTokenizerOptions {
  /** What a frame says that says nothing: transformers' `pad_token`. */
  readonly blank?: string;
  /** What stands for characters that the vocabulary does not have; `<unk>` by default. */
  readonly unknown?: string;
  /** The beginning of a sequence, which is never part of a text; `<s>` by default. */
  readonly begin?: string;
  /** The end of a sequence, which is never part of a text; `</s>` by default. */
  readonly end?: string;
  /** What is between words. */
  readonly wordDelimiter?: string;
  /** What a text has for the word delimiter. */
  readonly space?: string;
  /** Whether texts are in lower case while the vocabulary is in upper case: transformers' `do_lower_case`. */
  readonly isLowerCase?: boolean;
  /** The file, for messages. */
  readonly file?: string;
}

/** How the ids of frames are read. */
export interface FramesOptions {
  /** Whether what repeats is one token; true by default. */
  readonly collapse?: boolean;
  /** Whether `<s>`, `</s>` and `<unk>` are written, as transformers does unless told otherwise; false by default. */
  readonly keepSpecial?: boolean;
}

/**
 * The vocabulary of a CTC model, as transformers' `Wav2Vec2CTCTokenizer` reads it. Where a character is not in the vocabulary
 * but is in the other case, as for texts in lower case and a model that writes in capitals, that one is taken; else the
 * unknown token, or nothing where there is none.
 */
export class CtcTokenizer {
  /** Tokens by id, as the labels of the model's last layer. */
  readonly labels: readonly string[];
  /** Id of the blank. */
  readonly blank: number;
  /** Id for what the vocabulary does not have. */
  readonly unknown: number | undefined;
  /** Ids are below it. */
  readonly size: number;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #special: ReadonlySet<number>;
  readonly #delimiter: number | undefined;
  readonly #space: string;
  readonly #isLowerCase: boolean;
  readonly #pieces: RegExp | undefined;

  /**
   * @param vocabulary tokens and their ids, or tokens in the order of their ids
   * @throws OnnxLoraError `CONFIG_INVALID` when the blank is not among them
   */
  constructor(
    vocabulary: readonly (readonly [token: string, id: number])[] | readonly string[],
    options: CtcTokenizerOptions = {},
  ) {
    const {
      blank = '<pad>',
      unknown = '<unk>',
      begin = '<s>',
      end = '</s>',
      wordDelimiter = '|',
      space = ' ',
    } = options;
    const { isLowerCase = false, file } = options;
    const entries = vocabulary.map((entry, i) => (typeof entry === 'string' ? ([entry, i] as const) : entry));
    this.#ids = new Map(entries);
    const labels: string[] = [];
    for (const [token, id] of entries) labels[id] = token;
    this.labels = Array.from(labels, (label) => label ?? '');
    this.size = labels.length;
    const blankId = this.#ids.get(blank);
    if (blankId === undefined) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `${file === undefined ? 'The vocabulary' : `"${file}"`} has no token "${blank}", which frames without a character stand for. Set pad_token in tokenizer_config.json to the one that it has.`,
      );
    }
    this.blank = blankId;
    this.unknown = this.#ids.get(unknown);
    this.#delimiter = this.#ids.get(wordDelimiter);
    const special = [blank, unknown, begin, end].map((token) => this.#ids.get(token));
    this.#special = new Set(special.filter((id) => id !== undefined && id !== this.#delimiter) as number[]);
    this.#space = space;
    this.#isLowerCase = isLowerCase;
    // Tokens of several characters, such as digraphs, are one each; the longest is tried first.
    const long = entries
      .filter(([token, id]) => [...token].length > 1 && !this.#special.has(id))
      .map(([token]) => token)
      .sort((a, b) => b.length - a.length);
    this.#pieces = long.length === 0 ? undefined : new RegExp(`${long.map(escape).join('|')}|.`, 'gsu');
  }

  /** Ids of a text, a character or longer token at a time. */
  encode(text: string): number[] {
    const cased = this.#isLowerCase ? text.toUpperCase() : text;
    const ids: number[] = [];
    for (const piece of this.#pieces ? (cased.match(this.#pieces) ?? []) : cased) {
      const id = piece === ' ' && this.#delimiter !== undefined ? this.#delimiter : this.#find(piece);
      if (id !== undefined) ids.push(id);
    }
    return ids;
  }

  #find(piece: string): number | undefined {
    for (const form of [piece, piece.toUpperCase(), piece.toLowerCase()]) {
      const id = this.#ids.get(form);
      if (id !== undefined && !this.#special.has(id)) return id;
    }
    return this.unknown;
  }

  /**
   * The text of a label's ids, in which nothing is repeated that is not said twice; special tokens are left out.
   *
   * @throws OnnxLoraError `DATA_INVALID` for an id that the vocabulary does not have
   */
  decode(ids: readonly number[]): string {
    return this.decodeFrames(ids, { collapse: false });
  }

  /**
   * The text of the best ids of frames: what repeats is one, then blanks go. (transformers with `skip_special_tokens` has
   * blanks go first, which makes HELO of HELLO; this does not.)
   *
   * @throws OnnxLoraError `DATA_INVALID` for an id that the vocabulary does not have
   */
  decodeFrames(ids: readonly number[], { collapse = true, keepSpecial = false }: FramesOptions = {}): string {
    const written: string[] = [];
    let last: number | undefined;
    for (const id of ids) {
      const token = this.tokenOf(id);
      if (token === undefined) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `${id} is no token of a vocabulary of ${this.size}. Check that the vocabulary is the model's own.`,
        );
      }
      const isRepeated = collapse && id === last;
      last = id;
      if (isRepeated || id === this.blank || (!keepSpecial && this.#special.has(id))) continue;
      written.push(id === this.#delimiter ? this.#space : token);
    }
    const text = written.join('').trim();
    return this.#isLowerCase ? text.toLowerCase() : text;
  }

  /** The id of a token; undefined of none. */
  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** The token of an id; undefined beyond the vocabulary. */
  tokenOf(id: number): string | undefined {
    return this.labels[id];
  }
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
