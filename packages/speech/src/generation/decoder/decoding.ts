/** @file The port to what writes token by token: a decoder, and texts that it is writing. */

import type { AdapterChoice, Tensor } from '@onnx-lora/sdk';

/** A loaded decoder. */
export interface TokenDecoder {
  /**
   * Begins a text for each row.
   *
   * @param states what the encoder made of the sound, `[rows, positions, hidden]`
   */
  begin(states: Tensor, options?: DecodingOptions): Decoding;
  /** Frees the sessions. */
  release(): Promise<void>;
}

/** How texts are written. */
export interface DecodingOptions {
  /** One adapter for all rows, or one per row; the base by default. It must stay the same for a whole text. */
  readonly adapter?: AdapterChoice;
  readonly signal?: AbortSignal | undefined;
}

/** Texts that are being written, all of the same length. */
export interface Decoding {
  /**
   * Appends tokens, the prompt at first and one token per row from then on.
   *
   * @param tokens `[rows][appended]`
   * @param places which of the appended tokens' logits are wanted; those behind the last by default
   * @returns logits `[rows][places][vocabulary]`, the caller's to change
   */
  next(tokens: readonly (readonly number[])[], places?: readonly number[]): Promise<Float32Array[][]>;
  /** Goes on with these rows, in this order: some may be left out, others written in several ways. */
  select(rows: readonly number[]): void;
  /** Frees what is kept for the texts. */
  release(): void;
}
