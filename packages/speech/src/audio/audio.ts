/** @file Audio types, the audio reader's interface, and downmixing to mono. */

import { resample, resampleStream } from './resample.ts';

/** Decoded sound. */
export interface Audio {
  /** Hz. */
  readonly sampleRate: number;
  /** One array `[samples]` in [-1, 1] per channel, all equally long. */
  readonly channels: readonly Float32Array[];
}

/** A sound: the path of a file, its bytes, or samples. */
export type AudioSource = string | Uint8Array | Audio;

/** Part of a recording, in seconds. */
export interface AudioSpan {
  /** 0 by default. */
  readonly start?: number;
  /** The end of the recording by default. */
  readonly end?: number;
}

/** Decoded sound in pieces, so that memory does not grow with its length. */
export interface AudioStream {
  /** Hz. */
  readonly sampleRate: number;
  /** Pieces in order, one array per channel, all equally long. */
  readonly pieces: AsyncIterable<readonly Float32Array[]>;
}

/** Reads and decodes sound. A plugin may replace it as `AUDIO_READER`. */
export interface AudioReader {
  /** Supported file endings, in lower case with the dot: `.wav`. */
  readonly fileEndings: readonly string[];
  /**
   * Reads the recording, or a span of it. Formats that allow it decode the span only.
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file and the remedy
   */
  read(source: AudioSource, span?: AudioSpan): Promise<Audio>;
  /**
   * Streams the recording; a stream of bytes, such as standard input, as it arrives.
   * @throws OnnxLoraError as `read`; errors further on are thrown by the pieces
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
 * Reads a recording, or a span of it, as mono `[samples]` at `sampleRate`: the mean of its channels.
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
 * Streams what {@link monoAt} reads, bit for bit.
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
