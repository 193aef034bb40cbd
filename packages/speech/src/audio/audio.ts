/** @file Recordings, what reads them, and one channel of them. */

import { resample, resampleStream } from './resample.ts';

/** Decoded sound: a rate in Hz and one array of samples in [-1, 1] per channel, all equally long. */
export interface Audio {
  /** Samples per second, in Hz. */
  readonly sampleRate: number;
  /** One array `[samples]` per channel. */
  readonly channels: readonly Float32Array[];
}

/** Where sound comes from: the path of a file, the bytes of one, or samples. */
export type AudioSource = string | Uint8Array | Audio;

/** Which part of a recording, in seconds from its beginning. */
export interface AudioSpan {
  /** 0 by default. */
  readonly start?: number;
  /** The end of the recording by default. */
  readonly end?: number;
}

/** Decoded sound that comes piece by piece, so that hours of it take no more memory than seconds. */
export interface AudioStream {
  /** Samples per second, in Hz. */
  readonly sampleRate: number;
  /** Pieces in their order, one array per channel, all equally long. */
  readonly pieces: AsyncIterable<readonly Float32Array[]>;
}

/** Reads and decodes sound. A plugin may provide another one as `AUDIO_READER` to read formats other than those of `AudioFileReader`. */
export interface AudioReader {
  /** File endings it can read, in lower case with the dot: `.wav`. */
  readonly fileEndings: readonly string[];
  /**
   * The recording, or a span of it, of which nothing else is decoded where the format allows it.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file and the remedy
   */
  read(source: AudioSource, span?: AudioSpan): Promise<Audio>;
  /**
   * The recording piece by piece; of a stream of bytes, such as standard input, while it comes.
   *
   * @throws OnnxLoraError as `read`; what is broken further on is thrown by the pieces
   */
  stream(source: AudioSource | AsyncIterable<Uint8Array>): Promise<AudioStream>;
}

/** Mixes to mono, the mean of the channels `[samples]`. With `frames`, only that many from the beginning. */
export function toMono(audio: Audio, frames: number = Infinity): Float32Array {
  const channels = audio.channels.map((channel) => channel.subarray(0, Math.min(frames, channel.length)));
  const [first] = channels;
  if (!first) return new Float32Array(0);
  if (channels.length === 1) return first;
  return first.map((_, i) => channels.reduce((sum, channel) => sum + channel[i]!, 0) / channels.length);
}

/**
 * A recording, or a span of it, as the mean of its channels `[samples]` at `sampleRate`.
 *
 * @throws OnnxLoraError as {@link AudioReader.read} does
 */
export async function monoAt(
  reader: AudioReader,
  source: AudioSource,
  sampleRate: number,
  span?: AudioSpan,
): Promise<Float32Array> {
  const audio = await reader.read(source, span);
  return resample(toMono(audio), audio.sampleRate, sampleRate);
}

/**
 * The same piece by piece: joined, the pieces are the samples that {@link monoAt} gives, to the bit.
 *
 * @throws OnnxLoraError as {@link AudioReader.stream} does
 */
export async function* monoStreamAt(
  reader: AudioReader,
  source: AudioSource | AsyncIterable<Uint8Array>,
  sampleRate: number,
): AsyncGenerator<Float32Array> {
  const stream = await reader.stream(source);
  const { sampleRate: from } = stream;
  async function* mono(): AsyncGenerator<Float32Array> {
    for await (const channels of stream.pieces) yield toMono({ sampleRate: from, channels });
  }
  yield* resampleStream(mono(), from, sampleRate);
}
