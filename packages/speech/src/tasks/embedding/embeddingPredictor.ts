/** @file Embeddings of files, and of bytes as they come. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type Answer, type Predictor, type Source, sourcesOf } from '@onnx-lora/sdk/tasks';
import type { Audio, AudioReader, AudioSource } from '../../audio/audio.ts';
import { joinPieces } from '../../audio/audioFileReader.ts';
import type { AudioEmbedder } from './audioEmbedder.ts';

/** Recordings at a time, where nothing else is said. */
const BATCH = 8;
/** As much as is read of a file at once. */
const MAX_SECONDS = 3600;

/** Answers `{ width, embedding }`. */
export function embeddingPredictor(embedder: AudioEmbedder, reader: AudioReader, adapter: string | null): Predictor {
  async function* embedded(first: number, sources: readonly Source[]): AsyncGenerator<Answer> {
    const batch = await Promise.all(sources.map((source) => whole(source, reader)));
    const { dims, data } = await embedder.embed(batch, adapter);
    const width = dims[1]!;
    for (const i of batch.keys())
      yield {
        source: first + i,
        prediction: { width, embedding: Array.from(data.subarray(i * width, (i + 1) * width), Number) },
      };
  }
  async function* predict(
    ...[sources, { batchSize = BATCH, skip = 0, onBadSource, signal } = {}]: Parameters<Predictor['predict']>
  ): AsyncGenerator<Answer> {
    // A recording that may be bad is embedded by itself, so that the others of its batch have answers.
    const size = onBadSource ? 1 : batchSize;
    let [number, batch]: [number, Source[]] = [0, []];
    const flush = async function* (): AsyncGenerator<Answer> {
      if (batch.length === 0 || signal?.aborted) return;
      try {
        yield* embedded(number - batch.length, batch);
      } catch (error) {
        if (!onBadSource) throw error;
        onBadSource(number - 1, error);
      }
      batch = [];
    };
    for await (const source of sourcesOf(sources)) {
      if (number++ < skip) continue;
      batch.push(source);
      if (batch.length >= size) yield* flush();
    }
    yield* flush();
  }
  const release = (): Promise<void> => embedder.release();
  return { predict, release, [Symbol.asyncDispose]: release };
}

/** An embedding is of a whole recording, so a stream is read to its end, which must come. */
async function whole(source: Source, reader: AudioReader): Promise<AudioSource> {
  if (typeof source === 'string') return source;
  const { sampleRate, pieces } = await reader.stream(source);
  const all: (readonly Float32Array[])[] = [];
  let frames = 0;
  for await (const piece of pieces) {
    all.push(piece);
    frames += piece[0]?.length ?? 0;
    if (frames <= MAX_SECONDS * sampleRate) continue;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The stream of sound goes on for more than ${MAX_SECONDS} s, and an embedding is of a whole recording. Cut it into pieces.`,
    );
  }
  return { sampleRate, channels: joinPieces(all, frames) } satisfies Audio;
}
