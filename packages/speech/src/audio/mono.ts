/** @file From where sound comes to the one channel at the rate that a model hears. */

import { toMono, type AudioReader, type AudioSource, type AudioSpan } from './audio.ts';
import { resample, resampleStream } from './resample.ts';

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
