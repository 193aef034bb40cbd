/** @file The tokenizer of CTC models, whose frames are characters or blanks. */

import { OnnxLoraError } from '../../errors.ts';

/** Special tokens of the vocabulary, and options. */
export interface CtcTokenizerOptions {
  /** The blank: transformers' `pad_token`. */
  readonly blank?: string;
  /** Token for unknown characters; `<unk>` by default. */
  readonly unknown?: string;
  /** Start of a sequence, never part of a text; `<s>` by default. */
  readonly begin?: string;
  /** End of a sequence, never part of a text; `</s>` by default. */
  readonly end?: string;
  /** Token between words. */
  readonly wordDelimiter?: string;
  /** Text of the word delimiter. */
  readonly space?: string;
  /** Whether texts are lower case and the vocabulary upper case: transformers' `do_lower_case`. */
  readonly isLowerCase?: boolean;
  /** Name of the file, for messages. */
  readonly file?: string;
}

/** Options of {@link CtcTokenizer.decodeFrames}. */
export interface FramesOptions {
  /** Whether repetitions are one token; true by default. */
  readonly collapse?: boolean;
  /** Whether to keep `<s>`, `</s>` and `<unk>`, as transformers does by default; false by default. */
  readonly keepSpecial?: boolean;
}

/** transformers' `Wav2Vec2CTCTokenizer`. A missing character is tried in the other case, then as the unknown token. */
export class CtcTokenizer {
  /** Tokens by id, in the order of the model's outputs. */
  readonly labels: readonly string[];
  /** Id of the blank. */
  readonly blank: number;
  /** Id of the unknown token. */
  readonly unknown: number | undefined;
  /** Number of ids. */
  readonly size: number;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #special: ReadonlySet<number>;
  readonly #delimiter: number | undefined;
  readonly #space: string;
  readonly #isLowerCase: boolean;
  readonly #pieces: RegExp | undefined;

  /** `vocabulary` has tokens with ids, or in their order. @throws OnnxLoraError `CONFIG_INVALID` without the blank */
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
    // Tokens of several characters, such as digraphs, match before single ones, the longest first.
    const long = entries
      .filter(([token, id]) => [...token].length > 1 && !this.#special.has(id))
      .map(([token]) => token)
      .sort((a, b) => b.length - a.length);
    this.#pieces = long.length === 0 ? undefined : new RegExp(`${long.map(escape).join('|')}|.`, 'gsu');
  }

  /** Ids of a text, matching the longest tokens. */
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

  /** Decodes ids without collapsing repetitions, as of labels. @throws OnnxLoraError `DATA_INVALID` for unknown ids */
  decode(ids: readonly number[]): string {
    return this.decodeFrames(ids, { collapse: false });
  }

  /**
   * Decodes frames: collapses repetitions, then drops blanks. (transformers with `skip_special_tokens` drops blanks
   * first, which makes HELO of HELLO.) @throws OnnxLoraError `DATA_INVALID` for an unknown id
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

  /** Id of a token, if any. */
  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** Token of an id; undefined outside of the vocabulary. */
  tokenOf(id: number): string | undefined {
    return this.labels[id];
  }
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
