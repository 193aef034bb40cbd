/** @file The tokenizer interface: vocabulary, special tokens and their template. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** Tokens of a sequence, without special ones. */
export interface SequenceTokens {
  /** One id per token. */
  readonly ids: readonly number[];
  /** Where each token begins in the text, counted in letters from 0. */
  readonly starts: readonly number[];
  /** Where each token ends, the letter after its last. */
  readonly ends: readonly number[];
}

/** Ids as a model is fed them, special tokens included. */
export interface FramedTokens {
  /** One id per token, special ones included. */
  readonly ids: readonly number[];
  /** 0 for the first sequence and its special tokens, 1 for the second: BERT's `token_type_ids`. */
  readonly types: readonly number[];
  /** Place of the first token of the sequence, and of the second one where there are two. */
  readonly firstAt: number;
  /** Place of the first token of the second sequence; absent where there is one alone. */
  readonly secondAt?: number;
}

/** How ids become text. */
export interface DecodeOptions {
  /** Whether special tokens, such as `</s>`, are left out; false by default. */
  readonly skipSpecial?: boolean;
  /** Whether blanks before punctuation stay, which the configuration of many tokenizers has taken out; false by default. */
  readonly isExact?: boolean;
}

/** A tokenizer of texts, or of protein, nucleotide or molecule sequences. */
export interface SequenceTokenizer {
  /** Ids are below it. */
  readonly size: number;
  /** The id that fills up shorter rows of a batch. */
  readonly padId: number;
  /** The id for what the vocabulary does not have; absent where that is an error. */
  readonly unknownId?: number;
  /** Absent where the model was not trained with masked tokens. */
  readonly maskId?: number;
  /** Padding, `<cls>`, `<mask>` and their kin, and the unknown token: what transformers calls special. */
  readonly specialIds: ReadonlySet<number>;
  /** Special tokens around one sequence, and around two. */
  readonly added: { readonly single: number; readonly pair: number };
  /** Most tokens that the tokenizer's configuration allows, special ones included; absent where it does not say. */
  readonly maxLength?: number;
  /** True where every letter is one token, so that there can be an answer for each residue. */
  readonly isPerLetter: boolean;
  /** Tokens of a text as it is in the data, such as `MKTAYIAK`; blanks that a vocabulary wants in between are its own affair. */
  tokens(text: string): SequenceTokens;
  /** With the special tokens of one sequence, or of two. */
  framed(ids: readonly number[], second?: readonly number[]): FramedTokens;
  /**
   * The text of ids, as models write them; absent where no tokenizer.json or its kin says how tokens become text.
   * @throws OnnxLoraError `DATA_INVALID` for an id that is no token
   */
  decode?(ids: readonly number[], options?: DecodeOptions): string;
  /**
   * The bytes of UTF-8 that a token adds to a text, which may be a part of a character; undefined for special tokens. Absent where
   * no tokenizer.json says so, or a token's text depends on those around it.
   */
  readonly bytesOf?: (id: number) => Uint8Array | undefined;
  /** The token of an id, as the vocabulary has it. */
  tokenOf(id: number): string | undefined;
  /** The id of a token; undefined where the vocabulary does not have it. */
  idOf(token: string): number | undefined;
}

/** A special token, or the place of a sequence; `type` is its `token_type_id`. */
export type FrameItem =
  { readonly id: number; readonly type: number } | { readonly sequence: 0 | 1; readonly type: number };

/** What stands around sequences, in order. */
export interface Frame {
  readonly single: readonly FrameItem[];
  readonly pair: readonly FrameItem[];
}

/** BERT's frame: the ids `begin` in front and `end` behind each sequence. */
interface PlainFrame {
  readonly begin: readonly number[];
  readonly end: readonly number[];
  /** Before the second sequence: RoBERTa repeats its end. */
  readonly between?: readonly number[];
  /** `token_type_id` of the second sequence; 1 in BERT. */
  readonly secondType?: 0 | 1;
}

/** The frame of BERT's kind: `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`. */
export function plainFrame({ begin, end, between = [], secondType = 1 }: PlainFrame): Frame {
  const special = (ids: readonly number[], type: number): FrameItem[] => ids.map((id) => ({ id, type }));
  const single: FrameItem[] = [...special(begin, 0), { sequence: 0, type: 0 }, ...special(end, 0)];
  const second: FrameItem[] = [{ sequence: 1, type: secondType }, ...special(end, secondType)];
  return { single, pair: [...single, ...special(between, secondType), ...second] };
}

/** Number of special tokens of a frame. */
function addedBy({ single, pair }: Frame): { readonly single: number; readonly pair: number } {
  const count = (items: readonly FrameItem[]): number => items.filter((item) => 'id' in item).length;
  return { single: count(single), pair: count(pair) };
}

/** Puts the frame around one or two sequences. */
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

/** A vocabulary and the part that its special tokens play. */
export interface Vocabulary {
  /** Tokens by id, with gaps. */
  readonly tokens: readonly (string | undefined)[];
  readonly padId: number;
  readonly unknownId?: number | undefined;
  readonly maskId?: number | undefined;
  /** Besides those above. */
  readonly specialIds: Iterable<number>;
  readonly frame: Frame;
  readonly maxLength?: number | undefined;
  /** File path, for messages. */
  readonly path: string;
}

/** A tokenizer but for how it cuts texts. */
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
   * The id of a piece of text, or that of what is unknown.
   * @throws OnnxLoraError `DATA_INVALID` where the vocabulary has neither
   */
  protected idOrUnknown(piece: string): number {
    const id = this.#ids.get(piece) ?? this.unknownId;
    if (id !== undefined) return id;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${piece}" is no token of "${this.#path}", which has none for what is unknown either. Check that the letters are those that the model was made for.`,
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
