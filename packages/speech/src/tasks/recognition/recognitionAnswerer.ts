/** @file Transcripts of recordings that nobody has transcribed, for the command line: short and long ones, and what streams in. */

import type { Answerer, Prediction } from '@onnx-lora/sdk';
import type { AudioReader } from '../../audio/audio.ts';
import { monoStreamAt } from '../../audio/mono.ts';
import { joinTexts } from '../../generation/longform/joinTexts.ts';
import type { Recogniser, TranscribeOptions, Transcript, TranscriptSegment } from '../../generation/recogniser.ts';

/** What answers. */
export interface RecognitionAnswererParts {
  readonly recogniser: Recogniser;
  readonly reader: AudioReader;
  /** How all of them are transcribed. */
  readonly request: TranscribeOptions;
}

/** One try, of which is known whether it is silence: a second one would take as long again for all of a batch. */
const temperatures = [0];

type Source = string | AsyncIterable<Uint8Array>;

/** Clips are held in memory until their batch is full, so that one that a model of no window hears at once must end somewhere. */
const MOST_SECONDS = 30;

/**
 * Answers with `{ text, language?, segments? }`. Recordings that the model hears at once are transcribed in batches; what is
 * longer, segment by segment, and is never held whole. A stream is one or the other, too.
 */
export function recognitionAnswerer({ recogniser, reader, request }: RecognitionAnswererParts): Answerer {
  const { sampleRate, maxSamples = Infinity } = recogniser;
  const most = Math.min(maxSamples, MOST_SECONDS * sampleRate);
  const wantsTimes = request.timestamps !== undefined && request.timestamps !== 'none';

  const partOf = ({ text, start, end }: TranscriptSegment): Prediction =>
    wantsTimes ? { text, start, end } : { text };

  async function* answers(
    sources: readonly Source[],
    { batchSize = 8, onPart }: Parameters<Answerer['answers']>[1] = {},
  ): AsyncGenerator<Prediction> {
    let clips: Float32Array[] = [];
    const flush = async (behind: number): Promise<Prediction[]> => {
      const batch = clips;
      clips = [];
      const heard = batch.length === 0 ? [] : await recogniser.transcribeClips(batch, { temperatures, ...request });
      return heard.map((transcript, i) => {
        for (const segment of transcript.segments ?? []) onPart?.(behind - batch.length + i, partOf(segment));
        return predictionOf(transcript);
      });
    };
    for (const [number, asked] of sources.entries()) {
      const source = typeof asked === 'string' ? asked : readTwice(asked);
      const clip = await shortClip(reader, source, sampleRate, most);
      if (clip) {
        clips.push(clip);
        if (clips.length >= batchSize) yield* await flush(number + 1);
      } else {
        yield* await flush(number);
        yield await longAnswer(source, (part) => onPart?.(number, part));
      }
    }
    yield* await flush(sources.length);
  }

  async function longAnswer(source: Source, onPart: (part: Prediction) => void): Promise<Prediction> {
    const segments: TranscriptSegment[] = [];
    for await (const segment of recogniser.segments(source, request)) {
      onPart(partOf(segment));
      segments.push(segment);
    }
    const language = segments[0]?.language;
    const text = joinTexts(
      segments.map((segment) => segment.text),
      language,
    );
    return predictionOf({ text, language, segments: wantsTimes ? segments : undefined });
  }

  return { answers, release: () => recogniser.release() };
}

function predictionOf({
  text,
  language,
  segments,
}: { readonly [Key in keyof Transcript]?: Transcript[Key] | undefined }): Prediction {
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
