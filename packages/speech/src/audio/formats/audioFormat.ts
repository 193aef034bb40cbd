/** @file What a format of sound is, and what all of them use: optional decoders, and pieces cut to what is heard. */

import { type ByteCursor, audioInvalid } from '../byteCursor.ts';

/**
 * What `load` imports.
 *
 * @param name the package, for the message
 * @throws OnnxLoraError `DATA_INVALID`, saying how to install it, when it cannot be loaded
 */
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

/** Samples number `start` up to, not including, `end` of what `pieces` give; nothing after them is asked for. */
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
    // Whole pieces go out as soon as enough is held behind them.
    for (let [first] = held; first && frames - first[0]!.length >= count; [first] = held) {
      frames -= first[0]!.length;
      held.shift();
      yield first;
    }
  }
  const [first] = held;
  if (first && frames > count) yield first.map((channel) => channel.subarray(0, frames - count));
}

/** A sound whose beginning has been read. */
export interface OpenAudio {
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

/** Decodes one kind of sound file. A plugin may provide more of them as `AUDIO_FORMAT`. */
export interface AudioFormat {
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
  open(bytes: ByteCursor): Promise<OpenAudio>;
}
