/** @file What turns sequences of letters into token ids and says which letters each token stands for. */

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

/** A tokenizer of protein, nucleotide or molecule sequences. */
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
  /** The token of an id, as the vocabulary has it. */
  tokenOf(id: number): string | undefined;
  /** The id of a token; undefined where the vocabulary does not have it. */
  idOf(token: string): number | undefined;
}
