/** @file The interface of token-by-token decoders, and the texts in progress. */

import type { AdapterChoice, Feeds } from '@onnx-lora/sdk';

/** A loaded decoder. */
export interface TokenDecoder {
  /** Begins a text for each row. */
  begin(start: DecodingStart): Decoding;
  /** Frees the sessions. */
  release(): Promise<void>;
}

/** How texts are written. */
export interface DecodingOptions {
  /** One adapter for all rows, or one per row; the base by default. It must stay the same for a whole text. */
  readonly adapter?: AdapterChoice;
  /** Cancels. */
  readonly signal?: AbortSignal | undefined;
}

/** What texts begin with. */
export interface DecodingStart extends DecodingOptions {
  /** How many texts. */
  readonly rows: number;
  /** What all passes read alike, `[rows, …]` each, such as what an encoder made of sound. */
  readonly fixed?: Feeds;
  /** How many tokens at the beginning of each row only fill it up; none by default. */
  readonly padding?: readonly number[];
  /** What was kept of an earlier text ({@link Decoding.past}), which is gone on with. */
  readonly past?: Past | undefined;
}

/** What a decoder has kept of the tokens that it has read. */
export interface Past {
  /** How many tokens. */
  readonly length: number;
  /** Keys and values by the names of the inputs. */
  readonly tensors: Feeds;
}

/** Texts that are being written, all of the same length. */
export interface Decoding {
  /**
   * Appends tokens, the prompt at first and one token per row from then on.
   * @param tokens `[rows][appended]`
   * @param places which of the appended tokens' logits are wanted; those behind the last by default
   * @returns logits `[rows][places][vocabulary]`, the caller's to change
   */
  next(tokens: readonly (readonly number[])[], places?: readonly number[]): Promise<Float32Array[][]>;
  /** Goes on with these rows, in this order: some may be left out, others written in several ways. */
  select(rows: readonly number[]): void;
  /** What was kept so far; absent where each pass computes the whole text again. */
  readonly past?: Past;
  /** Frees what is kept for the texts. */
  release(): void;
}
