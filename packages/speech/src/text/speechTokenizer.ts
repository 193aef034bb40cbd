/** @file Text to token ids and back. */

/** The vocabulary of a model that writes text. */
export interface SpeechTokenizer {
  /** Ids of a text, without any special token. */
  encode(text: string): number[];
  /** The text of ids; special tokens are left out. Ids that are no token are an error. */
  decode(ids: readonly number[]): string;
  /** The id of a special token such as `<|startoftranscript|>`; undefined where there is none. */
  idOf(token: string): number | undefined;
  /** The token of an id, special ones included. */
  tokenOf(id: number): string | undefined;
  /** Number of tokens, those added included. */
  readonly size: number;
}
