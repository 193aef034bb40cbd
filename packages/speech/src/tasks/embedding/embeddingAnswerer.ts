/** @file Answers about files, and about bytes as they come, with embeddings. */

import { type Answerer, OnnxLoraError, type Prediction } from '@onnx-lora/sdk';
import type { Audio, AudioReader, AudioSource } from '../../audio/audio.ts';
import { joinPieces } from '../../audio/joinPieces.ts';
import type { AudioEmbedder } from './audioEmbedder.ts';
import { embeddingPredictions } from './embeddingPredictions.ts';

/** Recordings at a time, where nothing else is said. */
const BATCH = 8;
/** As much as is read of a file at once. */
const MAX_SECONDS = 3600;

/** What `predict` asks. */
export function embeddingAnswerer(embedder: AudioEmbedder, reader: AudioReader, adapter: string | null): Answerer {
  return {
    async *answers(sources, { batchSize = BATCH } = {}): AsyncGenerator<Prediction> {
      for (let from = 0; from < sources.length; from += batchSize) {
        const batch = await Promise.all(sources.slice(from, from + batchSize).map((source) => whole(source, reader)));
        yield* embeddingPredictions(await embedder.embed(batch, adapter));
      }
    },
    release: () => embedder.release(),
  };
}

/** An embedding is of a whole recording, so a stream is read to its end, which must come. */
async function whole(source: string | AsyncIterable<Uint8Array>, reader: AudioReader): Promise<AudioSource> {
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
