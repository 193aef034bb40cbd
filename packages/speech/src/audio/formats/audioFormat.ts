/** @file The interface of audio formats, the import of optional decoders, and helpers that cut pieces. */

import { type ByteCursor, audioInvalid } from '../byteCursor.ts';

/** Imports an optional package. @throws OnnxLoraError `DATA_INVALID` with the install command */
export async function optionalPackage<Module>(
  bytes: ByteCursor,
  kind: string,
  name: string,
  load: () => Promise<Module>,
): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    throw audioInvalid(
      bytes,
      `is ${kind}, which the package ${name} decodes, but that cannot be loaded. Run "npm install ${name}", or convert the sound, for example with "ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav".`,
      cause,
    );
  }
}

/** Samples `start` to `end` (exclusive) of the pieces; stops reading after them. */
export async function* cutPieces(
  pieces: AsyncIterable<readonly Float32Array[]> | Iterable<readonly Float32Array[]>,
  start: number,
  end: number,
): AsyncGenerator<readonly Float32Array[]> {
  let at = 0;
  for await (const piece of pieces) {
    const length = piece[0]?.length ?? 0;
    const [from, to] = [Math.max(0, start - at), Math.min(length, end - at)];
    if (from < to) yield piece.map((channel) => channel.subarray(from, to));
    at += length;
    if (at >= end) return;
  }
}

/** All but the last `count` samples. */
export async function* withoutLast(
  pieces: AsyncIterable<readonly Float32Array[]>,
  count: number,
): AsyncGenerator<readonly Float32Array[]> {
  const held: (readonly Float32Array[])[] = [];
  let frames = 0;
  for await (const piece of pieces) {
    held.push(piece);
    frames += piece[0]?.length ?? 0;
    // Yields whole pieces as soon as `count` samples are held after them.
    for (let [first] = held; first && frames - first[0]!.length >= count; [first] = held) {
      frames -= first[0]!.length;
      held.shift();
      yield first;
    }
  }
  const [first] = held;
  if (first && frames > count) yield first.map((channel) => channel.subarray(0, frames - count));
}

/** A sound file with its header read. */
export interface OpenAudio {
  /** Hz. */
  readonly sampleRate: number;
  /** Number of channels. */
  readonly channels: number;
  /** Samples per channel, if known before decoding. */
  readonly frames?: number;
  /**
   * Decodes samples `start` to `end` (exclusive) in pieces of about a second: one array in [-1, 1] per channel, all
   * equally long. Called once.
   * @throws OnnxLoraError `DATA_INVALID` where the sound is broken
   */
  pieces(start: number, end: number): AsyncIterable<readonly Float32Array[]>;
}

/** Decodes one kind of sound file. A plugin may add more as `AUDIO_FORMAT`. */
export interface AudioFormat {
  /** Name in messages: `WAV`. */
  readonly name: string;
  /** File endings, in lower case with the dot. The content decides about the format, not the ending. */
  readonly fileEndings: readonly string[];
  /** True if a file with these first bytes (at most 64) is of this kind. */
  recognises(head: Uint8Array): boolean;
  /**
   * Reads the header at `bytes`.
   * @throws OnnxLoraError `DATA_INVALID`, naming `bytes.name` and the remedy
   */
  open(bytes: ByteCursor): Promise<OpenAudio>;
}
