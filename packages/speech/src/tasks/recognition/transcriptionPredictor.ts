/** @file Transcripts of recordings that nobody has transcribed: short and long ones, and what streams in. */

import { type Answer, chosenAdapter, type Predictor, type Source, sourcesOf } from '@onnx-lora/sdk/tasks';
import { type AudioReader, monoStreamAt } from '../../audio/audio.ts';
import { joinTexts } from '../../generation/longform/windows.ts';
import type { Transcriber, TranscribeOptions, Transcript, TranscriptSegment } from '../../generation/transcriber.ts';

/** What answers. */
export interface TranscriptionPredictorParts {
  readonly transcriber: Transcriber;
  readonly reader: AudioReader;
  /** How all of them are transcribed. */
  readonly request: Omit<TranscribeOptions, 'adapter'>;
  /** The adapter where none is chosen; the base by default. */
  readonly adapter?: string | null;
  /** Names of the adapters that may be chosen. */
  readonly adapters?: readonly string[];
}

/** One try, of which is known whether it is silence: a second one would take as long again for all of a batch. */
const temperatures = [0];

/** Clips are held in memory until their batch is full, so that one that a model of no window hears at once must end somewhere. */
const MOST_SECONDS = 30;

/** A recording that is heard at once. */
interface Clip {
  readonly source: number;
  readonly adapter: string | null;
  readonly samples: Float32Array;
}

/**
 * Answers with `{ text, language?, segments? }`. Recordings that the model hears at once are transcribed in batches; what is
 * longer, segment by segment, which are the parts of its answer, and is never held whole. A stream is one or the other, too.
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
        yield { source, prediction: predictionOf(heard[i]!) };
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
      yield { source, prediction: predictionOf({ text, language, segments: wantsTimes ? segments : undefined }) };
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

/** The words of a recording; `language` and `segments` where the model tells them. */
export type TranscriptPrediction = Readonly<
  Pick<Transcript, 'text'> & Partial<Pick<Transcript, 'language' | 'segments'>>
>;

function predictionOf({
  text,
  language,
  segments,
}: Pick<Transcript, 'text'> & {
  readonly [Key in 'language' | 'segments']?: Transcript[Key] | undefined;
}): TranscriptPrediction {
  return { text, ...(language === undefined ? {} : { language }), ...(segments ? { segments } : {}) };
}

/** A stream that may be read twice from its beginning. What the first reader took is held until the second one has it. */
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

/** The samples of a recording of at most so many; of a longer one no more is decoded than tells that it is. */
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
  const clip = new Float32Array(length);
  let at = 0;
  for (const piece of pieces) {
    clip.set(piece, at);
    at += piece.length;
  }
  return clip;
}
