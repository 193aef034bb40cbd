/** @file The interface of token-by-token decoders, and of sequences in progress. */

import type { AdapterChoice, Feeds } from '@onnx-lora/sdk';

/** A loaded decoder. */
export interface TokenDecoder {
  /** Starts a sequence per row. */
  begin(start: DecodingStart): Decoding;
  /** Frees the sessions. */
  release(): Promise<void>;
}

/** Options of decoding. */
export interface DecodingOptions {
  /** One adapter for all rows, or one per row; the base by default. It stays the same for the whole sequence. */
  readonly adapter?: AdapterChoice;
  /** Cancels decoding. */
  readonly signal?: AbortSignal | undefined;
}

/** Start of decoding. */
export interface DecodingStart extends DecodingOptions {
  /** Number of sequences. */
  readonly rows: number;
  /** Feeds `[rows, …]` that are the same in all passes, such as encoder states of audio. */
  readonly fixed?: Feeds;
  /** Left padding per row, in tokens; 0 by default. */
  readonly padding?: readonly number[];
  /** Cache of earlier tokens ({@link Decoding.past}) to continue from. */
  readonly past?: Past | undefined;
}

/** Key/value cache of the tokens read so far. */
export interface Past {
  /** Number of tokens. */
  readonly length: number;
  /** Keys and values by input name. */
  readonly tensors: Feeds;
}

/** Sequences in progress, all of one length. */
export interface Decoding {
  /**
   * Appends tokens: first the prompt, later one token per row.
   * @param tokens `[rows][appended]`
   * @param places appended tokens whose logits to return; the last by default
   * @returns logits `[rows][places][vocabulary]`, which the caller may change
   */
  next(tokens: readonly (readonly number[])[], places?: readonly number[]): Promise<Float32Array[][]>;
  /** Continues with these rows, in this order; rows may be dropped or repeated. */
  select(rows: readonly number[]): void;
  /** The cache; absent if each pass computes the whole sequence. */
  readonly past?: Past;
  /** Frees the cache. */
  release(): void;
}
