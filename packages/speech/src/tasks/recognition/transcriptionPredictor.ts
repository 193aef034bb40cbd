/** @file The predictor of transcripts for short and long recordings and streams. */

import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type Answer, chosenAdapter, type Predictor, type Source, sourcesOf } from '@onnx-lora/sdk/tasks';
import { type AudioReader, monoStreamAt } from '../../audio/audio.ts';
import { joinPieces } from '../../audio/audioFileReader.ts';
import { joinTexts } from '../../generation/longform/windows.ts';
import type { Transcriber, TranscribeOptions, Transcript, TranscriptSegment } from '../../generation/transcriber.ts';

export interface TranscriptionPredictorParts {
  readonly transcriber: Transcriber;
  readonly reader: AudioReader;
  readonly request: Omit<TranscribeOptions, 'adapter'>;
  /** The default adapter; the base by default. */
  readonly adapter?: string | null;
  readonly adapters?: readonly string[];
}

/** A single attempt; a second would double the time of a whole batch. */
const temperatures = [0];

/** Longest clip in a batch of a model without a window, since batches are held in memory. */
const MOST_SECONDS = 30;

interface Clip {
  readonly source: number;
  readonly adapter: string | null;
  readonly samples: Float32Array;
}

/**
 * Predicts `{ text, language?, segments? }`: one window in batches, longer recordings by segments with constant memory.
 */
export function transcriptionPredictor({
  transcriber,
  reader,
  request,
  adapter = null,
  adapters = [],
}: TranscriptionPredictorParts): Predictor {
  const { sampleRate, maxSamples = Infinity } = transcriber;
  const most = Math.min(maxSamples, MOST_SECONDS * sampleRate);
  const wantsTimes = request.timestamps !== undefined && request.timestamps !== 'none';

  const partOf = (source: number, { text, start, end }: TranscriptSegment): Answer => ({
    source,
    prediction: wantsTimes ? { text, start, end } : { text },
    isPart: true,
  });

  async function* predict(...[sources, options = {}]: Parameters<Predictor['predict']>): AsyncGenerator<Answer> {
    const { batchSize = 8, parts = false, skip = 0, onBadSource, signal } = options;
    const choice = { adapter, ...options }.adapter;
    let clips: Clip[] = [];
    const flush = async function* (): AsyncGenerator<Answer> {
      const batch = clips;
      clips = [];
      if (batch.length === 0 || signal?.aborted) return;
      const names = batch.map((clip) => clip.adapter);
      const chosen = names.every((name) => name === names[0]) ? names[0]! : names;
      const asked = { temperatures, ...request, adapter: chosen };
      const heard = await transcriber.transcribeClips(batch.map(({ samples }) => samples), asked); // prettier-ignore
      for (const [i, { source }] of batch.entries()) {
        if (parts) for (const segment of heard[i]!.segments ?? []) yield partOf(source, segment);
        const { text, language, segments } = heard[i]!;
        yield { source, prediction: { text, ...withoutUndefined({ language, segments }) } };
      }
    };
    const long = async function* (source: number, recording: Source, chosen: string | null): AsyncGenerator<Answer> {
      const segments: TranscriptSegment[] = [];
      for await (const segment of transcriber.segments(recording, { ...request, adapter: chosen })) {
        if (signal?.aborted) return;
        if (parts) yield partOf(source, segment);
        segments.push(segment);
      }
      const language = segments[0]?.language;
      const text = joinTexts(segments.map((segment) => segment.text), language); // prettier-ignore
      yield {
        source,
        prediction: { text, ...withoutUndefined({ language, segments: wantsTimes ? segments : undefined }) },
      };
    };
    let number = -1;
    for await (const asked of sourcesOf(sources)) {
      number++;
      if (number < skip) continue;
      if (signal?.aborted) return;
      const chosen = chosenAdapter(choice, asked, adapters);
      try {
        const recording = typeof asked === 'string' ? asked : readTwice(asked);
        const samples = await shortClip(reader, recording, sampleRate, most);
        if (samples) clips.push({ source: number, adapter: chosen, samples });
        else {
          yield* flush();
          yield* long(number, recording, chosen);
        }
      } catch (error) {
        if (!onBadSource) throw error;
        onBadSource(number, error);
      }
      if (clips.length >= batchSize) yield* flush();
    }
    yield* flush();
  }

  const release = (): Promise<void> => transcriber.release();
  return { adapters, predict, release, [Symbol.asyncDispose]: release };
}

/** The text of a recording; `language` and `segments` if the model provides them. */
export type TranscriptPrediction = Readonly<
  Pick<Transcript, 'text'> & Partial<Pick<Transcript, 'language' | 'segments'>>
>;

/** A stream that can be read twice; the first reader's data are buffered for the second. */
function readTwice(stream: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const held: Uint8Array[] = [];
  const rest = stream[Symbol.asyncIterator]();
  let isRead = false;
  return {
    async *[Symbol.asyncIterator]() {
      const isFirst = !isRead;
      isRead = true;
      try {
        if (!isFirst) while (held.length > 0) yield held.shift()!;
        for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
          if (isFirst) held.push(next.value);
          yield next.value;
        }
      } finally {
        if (!isFirst) await rest.return?.();
      }
    },
  };
}

/** The samples of a short recording; undefined as soon as it exceeds the limit. */
async function shortClip(
  reader: AudioReader,
  source: Source,
  sampleRate: number,
  most: number,
): Promise<Float32Array | undefined> {
  const pieces: Float32Array[] = [];
  let length = 0;
  for await (const piece of monoStreamAt(reader, source, sampleRate)) {
    length += piece.length;
    if (length > most) return undefined;
    pieces.push(piece);
  }
  return (
    joinPieces(
      pieces.map((piece) => [piece]),
      length,
    )[0] ?? new Float32Array(0)
  );
}
