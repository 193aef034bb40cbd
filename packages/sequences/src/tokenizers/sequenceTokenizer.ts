/** @file The tokenizer interface: vocabulary, special tokens and their template. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** Tokens of a sequence, without special ones. */
export interface SequenceTokens {
  /** Token ids. */
  readonly ids: readonly number[];
  /** Start of each token in the text, in letters from 0. */
  readonly starts: readonly number[];
  /** End of each token in the text, exclusive. */
  readonly ends: readonly number[];
}

/** Token ids with special tokens, as the model's input. */
export interface FramedTokens {
  /** Token ids, special ones included. */
  readonly ids: readonly number[];
  /** 0 for the first sequence and its special tokens, 1 for the second: BERT's `token_type_ids`. */
  readonly types: readonly number[];
  /** Index of the first sequence's first token. */
  readonly firstAt: number;
  /** Index of the second sequence's first token, if there are two. */
  readonly secondAt?: number;
}

/** Options of decoding. */
export interface DecodeOptions {
  /** Leaves out special tokens, such as `</s>`; false by default. */
  readonly skipSpecial?: boolean;
  /** Keeps blanks before punctuation, which many tokenizers' configurations remove; false by default. */
  readonly isExact?: boolean;
}

/** A tokenizer of texts, or of protein, nucleotide or molecule sequences. */
export interface SequenceTokenizer {
  /** Size of the vocabulary: ids are below it. */
  readonly size: number;
  /** Id of the padding token. */
  readonly padId: number;
  /** Id for text outside the vocabulary; absent if such text is an error. */
  readonly unknownId?: number;
  /** Id of the mask token; absent for a model without masked training. */
  readonly maskId?: number;
  /** Ids that transformers calls special: padding, `<cls>`, `<mask>` and the like, and the unknown token. */
  readonly specialIds: ReadonlySet<number>;
  /** Number of special tokens around one sequence, and around two. */
  readonly added: { readonly single: number; readonly pair: number };
  /** Most tokens in the tokenizer's configuration, special ones included, if it says so. */
  readonly maxLength?: number;
  /** True if every letter is one token, which predictions per residue need. */
  readonly isPerLetter: boolean;
  /** Tokenizes a text as in the data, such as `MKTAYIAK`, without blanks that a vocabulary may need in between. */
  tokens(text: string): SequenceTokens;
  /** Adds the special tokens of one sequence, or of two. */
  framed(ids: readonly number[], second?: readonly number[]): FramedTokens;
  /**
   * Decodes ids to text; absent unless files such as tokenizer.json define a decoder.
   * @throws OnnxLoraError `DATA_INVALID` for an id outside the vocabulary
   */
  decode?(ids: readonly number[], options?: DecodeOptions): string;
  /**
   * UTF-8 bytes of a token, possibly a part of a character; undefined for special tokens. Absent if no tokenizer.json
   * defines them, or they depend on neighbouring tokens.
   */
  readonly bytesOf?: (id: number) => Uint8Array | undefined;
  /** The token of an id, as in the vocabulary. */
  tokenOf(id: number): string | undefined;
  /** The id of a token; undefined outside the vocabulary. */
  idOf(token: string): number | undefined;
}

/** A special token, or the place of a sequence; `type` is its `token_type_id`. */
export type FrameItem =
  { readonly id: number; readonly type: number } | { readonly sequence: 0 | 1; readonly type: number };

/** Templates of special tokens around one sequence and around two. */
export interface Frame {
  readonly single: readonly FrameItem[];
  readonly pair: readonly FrameItem[];
}

/** Special tokens of a BERT-like frame: `begin` before the first sequence, `end` after each. */
interface PlainFrame {
  readonly begin: readonly number[];
  readonly end: readonly number[];
  /** Before the second sequence: RoBERTa repeats its end. */
  readonly between?: readonly number[];
  /** `token_type_id` of the second sequence; 1 in BERT. */
  readonly secondType?: 0 | 1;
}

/** A BERT-like frame: `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`. */
export function plainFrame({ begin, end, between = [], secondType = 1 }: PlainFrame): Frame {
  const special = (ids: readonly number[], type: number): FrameItem[] => ids.map((id) => ({ id, type }));
  const single: FrameItem[] = [...special(begin, 0), { sequence: 0, type: 0 }, ...special(end, 0)];
  const second: FrameItem[] = [{ sequence: 1, type: secondType }, ...special(end, secondType)];
  return { single, pair: [...single, ...special(between, secondType), ...second] };
}

function addedBy({ single, pair }: Frame): { readonly single: number; readonly pair: number } {
  const count = (items: readonly FrameItem[]): number => items.filter((item) => 'id' in item).length;
  return { single: count(single), pair: count(pair) };
}

function framedBy(frame: Frame, first: readonly number[], second?: readonly number[]): FramedTokens {
  const ids: number[] = [];
  const types: number[] = [];
  const at: [number, number] = [0, 0];
  for (const item of second ? frame.pair : frame.single) {
    if ('sequence' in item) at[item.sequence] = ids.length;
    const added = 'id' in item ? [item.id] : item.sequence === 0 ? first : second!;
    for (const id of added) {
      ids.push(id);
      types.push(item.type);
    }
  }
  return { ids, types, firstAt: at[0], ...(second ? { secondAt: at[1] } : {}) };
}

/** A vocabulary with its special tokens. */
export interface Vocabulary {
  /** Tokens by id, with gaps. */
  readonly tokens: readonly (string | undefined)[];
  readonly padId: number;
  readonly unknownId?: number | undefined;
  readonly maskId?: number | undefined;
  /** Special ids besides those above. */
  readonly specialIds: Iterable<number>;
  readonly frame: Frame;
  readonly maxLength?: number | undefined;
  readonly path: string;
}

/** Base class of tokenizers, which differ in how they split text. */
export abstract class VocabularyTokenizer implements SequenceTokenizer {
  readonly size: number;
  readonly padId: number;
  readonly unknownId?: number;
  readonly maskId?: number;
  readonly specialIds: ReadonlySet<number>;
  readonly added: { readonly single: number; readonly pair: number };
  readonly maxLength?: number;
  abstract readonly isPerLetter: boolean;
  readonly #tokens: readonly (string | undefined)[];
  readonly #ids = new Map<string, number>();
  readonly #frame: Frame;
  readonly #path: string;

  constructor({ tokens, padId, unknownId, maskId, specialIds, frame, maxLength, path }: Vocabulary) {
    this.size = tokens.length;
    this.padId = padId;
    if (unknownId !== undefined) this.unknownId = unknownId;
    if (maskId !== undefined) this.maskId = maskId;
    if (maxLength !== undefined) this.maxLength = maxLength;
    this.#tokens = tokens;
    tokens.forEach((token, id) => {
      if (token !== undefined) this.#ids.set(token, id);
    });
    this.#frame = frame;
    this.#path = path;
    this.added = addedBy(frame);
    const framing = frame.pair.flatMap((item) => ('id' in item ? [item.id] : []));
    const all = [padId, unknownId, maskId, ...specialIds, ...framing];
    this.specialIds = new Set(all.filter((id) => id !== undefined));
  }

  abstract tokens(text: string): SequenceTokens;

  /**
   * The id of a piece of text, or the unknown id.
   * @throws OnnxLoraError `DATA_INVALID` if the vocabulary has neither
   */
  protected idOrUnknown(piece: string): number {
    const id = this.#ids.get(piece) ?? this.unknownId;
    if (id !== undefined) return id;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${piece}" is no token of "${this.#path}", and that vocabulary lacks an unknown token. Check that the letters are those that the model was made for.`,
    );
  }

  framed(ids: readonly number[], second?: readonly number[]): FramedTokens {
    return framedBy(this.#frame, ids, second);
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id];
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }
}
