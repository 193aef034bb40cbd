/** @file The port through which a kind of sound file is decoded. */

import type { ByteCursor } from '../byteCursor.ts';

/** A sound whose beginning has been read. */
export interface OpenSound {
  /** Hz. */
  readonly sampleRate: number;
  /** How many channels there are. */
  readonly channels: number;
  /** Samples per channel, where that is known before all is decoded. */
  readonly frames?: number;
  /**
   * The samples from number `start` up to, not including, `end` of every channel, in pieces of about a second: one array
   * in [-1, 1] per channel, all equally long. Called once.
   *
   * @throws OnnxLoraError `DATA_INVALID` where the sound is broken
   */
  pieces(start: number, end: number): AsyncIterable<readonly Float32Array[]>;
}

/** Decodes one kind of sound file. A plugin may provide more of them as `SOUND_FORMAT`. */
export interface SoundFormat {
  /** What messages call it: `WAV`. */
  readonly name: string;
  /** File endings, in lower case with the dot. What a file holds is told by its first bytes, not by its ending. */
  readonly fileEndings: readonly string[];
  /** Whether a sound that begins with `head`, up to 64 bytes, is of this kind. */
  recognises(head: Uint8Array): boolean;
  /**
   * Reads the beginning of a sound, at which `bytes` stands.
   *
   * @throws OnnxLoraError `DATA_INVALID`, naming `bytes.name` and the remedy
   */
  open(bytes: ByteCursor): Promise<OpenSound>;
}
