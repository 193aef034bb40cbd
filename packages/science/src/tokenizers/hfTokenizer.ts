/** @file The parts of a tokenizer of `@huggingface/tokenizers` that are used here, whose own types TypeScript cannot resolve. */

/** A tokenizer. */
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
  token_to_id(token: string): number | undefined;
  get_vocab(): ReadonlyMap<string | undefined, number>;
  get_added_tokens_decoder(): ReadonlyMap<number, HfAddedToken>;
}

/** What cuts pieces into tokens. */
export interface HfModel {
  (pieces: readonly string[]): readonly string[];
  readonly config: { readonly continuing_subword_prefix?: string | null };
  readonly unk_token: string | undefined;
  /** Whether unknown letters in a row are one token. */
  readonly fuse_unk: boolean;
  readonly end_of_word_suffix?: string | undefined;
}

/** A token that is looked for before anything else, such as `<mask>`. */
export interface HfAddedToken {
  readonly content: string;
  readonly special: boolean;
  /** Whether it takes blanks in front of it, and behind it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}
