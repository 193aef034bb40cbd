/** @file ESM's tokenizer: one token per residue, or the longest match in vocabularies with longer tokens. */

import { join } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { readTokenLines } from '@onnx-lora/sdk/data';
import { plainFrame, type SequenceTokens, VocabularyTokenizer } from './sequenceTokenizer.ts';

const VOCABULARY = 'vocab.txt';
const MAX_TOKENS = 65_536;

/** Options from a model's tokenizer_config.json. */
export interface EsmTokenizerOptions {
  /** The token after a sequence; null for models without one, such as the first Nucleotide Transformers. */
  readonly eos?: string | null | undefined;
  /** Most tokens, `<cls>` and `<eos>` included. */
  readonly maxLength?: number | undefined;
}

/**
 * Tokenizes exactly like transformers' `EsmTokenizer`: the longest match from the left. That is a token per residue for
 * ESM, and per six bases for Nucleotide Transformer, with single bases for the rest and around an N.
 */
export class EsmTokenizer extends VocabularyTokenizer {
  /** True if every token is one letter, as in ESM; false for tokens of several bases. */
  readonly isPerLetter: boolean;
  /** Id of `<cls>`, which begins a sequence. */
  readonly clsId: number;
  /** Id of `<eos>`; absent for a model without it. */
  readonly eosId: number | undefined;
  /** Id of `<unk>`, for text outside the vocabulary. */
  readonly unkId: number;
  /** Id of `<mask>`. */
  declare readonly maskId: number;
  /** Token lengths, descending. */
  readonly #lengths: readonly number[];

  /**
   * @param vocabulary tokens in the order of their ids
   * @param name of the vocabulary in errors: the path of `vocab.txt`
   * @throws OnnxLoraError `CONFIG_INVALID` for an empty or repeated token, or without a special token
   */
  constructor(
    vocabulary: readonly string[],
    name: string = VOCABULARY,
    { eos = '<eos>', maxLength }: EsmTokenizerOptions = {},
  ) {
    const different = new Set(vocabulary);
    if (vocabulary.length > MAX_TOKENS || different.size !== vocabulary.length || different.has('')) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${name}" must hold one different token a line, at most ${MAX_TOKENS}, but it holds ${vocabulary.length}, ${different.size} of them different. Use the file that came with the model.`,
      );
    }
    const special = (token: string): number => {
      if (different.has(token)) return vocabulary.indexOf(token);
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${name}" has no token "${token}", which every ESM vocabulary has. Use the file that came with the model.`,
      );
    };
    const [cls, pad, unknown, mask] = ['<cls>', '<pad>', '<unk>', '<mask>'].map(special) as [number, number, number, number]; // prettier-ignore
    const end = eos === null ? undefined : special(eos);
    super({
      tokens: vocabulary,
      padId: pad,
      unknownId: unknown,
      maskId: mask,
      specialIds: [],
      frame: plainFrame({ begin: [cls], end: end === undefined ? [] : [end] }),
      maxLength,
      path: name,
    });
    this.clsId = cls;
    this.eosId = end;
    this.unkId = unknown;
    const ordinary = vocabulary.filter((token) => !/^<.+>$/.test(token));
    this.isPerLetter = ordinary.every((token) => token.length === 1);
    this.#lengths = [...new Set(vocabulary.map((token) => token.length))].sort((a, b) => b - a);
  }

  /**
   * Reads `vocab.txt` of a model's folder.
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `CONFIG_INVALID`, naming the file
   */
  static async read(folder: string, options: EsmTokenizerOptions = {}): Promise<EsmTokenizer> {
    const file = join(folder, VOCABULARY);
    const tokens = await readTokenLines(file);
    if (tokens)
      return new EsmTokenizer(
        tokens.map((token) => token.trim()),
        file,
        options,
      );
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `There is no "${file}". ESM needs it to number residues; it comes with the model.`,
    );
  }

  /** Skips blanks. A run of text outside the vocabulary (lower case, J, * and so on) becomes one `<unk>`. */
  tokens(text: string): SequenceTokens {
    const [ids, starts, ends]: [number[], number[], number[]] = [[], [], []];
    let isUnknown = false;
    for (let at = 0; at < text.length;) {
      const length = this.#longestAt(text, at);
      if (length === 0 && isUnknown && !/\s/.test(text[at]!)) {
        ends[ends.length - 1] = ++at;
        continue;
      }
      isUnknown = length === 0 && !/\s/.test(text[at]!);
      const end = at + (length || 1);
      if (length > 0 || isUnknown) {
        ids.push(length > 0 ? this.idOf(text.slice(at, end))! : this.unkId);
        starts.push(at);
        ends.push(end);
      }
      at = end;
    }
    return { ids, starts, ends };
  }

  #longestAt(text: string, at: number): number {
    for (const length of this.#lengths) {
      if (at + length <= text.length && this.idOf(text.slice(at, at + length)) !== undefined) return length;
    }
    return 0;
  }

  /**
   * Ids of `text` between `<cls>` and `<eos>`; see {@link tokens}.
   * @param maxLength most ids, `<cls>` and `<eos>` included; more residues are cropped
   * @throws OnnxLoraError `INPUT_INVALID` without room for `<cls>` and `<eos>`
   */
  encode(text: string, maxLength: number = Infinity): number[] {
    const { single } = this.added;
    if (!(maxLength >= single)) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `The maximal length must be at least ${single}, for <cls> and <eos>, not ${maxLength}.`,
      );
    }
    return [...this.framed(this.tokens(text).ids.slice(0, maxLength - single)).ids];
  }
}
