/** @file Embeddings of recordings, from any speech encoder: in programs, and for files and streams. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  predictOnlyTask,
  type Embedder,
  embeddingAnswers,
  type Feature,
  featureOf,
  type GraphBuilder,
  meanOfPlaces,
  openEmbedder,
  pooledRows,
  type Prediction,
  type PredictorFacts,
  recordPredictor,
  type RecordProcessor,
  type RunnableModel,
  type RunnableOptions,
  type TaskModel,
  type Value,
} from '@onnx-lora/sdk/tasks';
import { type PredictorInput, type SettingRows, settingsOf } from '@onnx-lora/sdk/plugin';
import { type Audio, type AudioReader, type AudioSource, monoAt } from '../../audio/audio.ts';
import { joinPieces, AudioFileReader } from '../../audio/audioFileReader.ts';
import type { AudioFrames } from '../../features/featureExtractor.ts';
import {
  frameCount,
  frameLengths,
  framesOf,
  ownFrames,
  canTellPadding,
  fedLengths,
  audioFeeds,
  audioPorts,
} from '../audioFeeds.ts';
import { openAudio, type AudioReading, type AudioTask, audioTask, type AudioTools } from '../audioTask.ts';

const BATCH = 8;
const MAX_SECONDS = 3600;
/** Samples per encoder frame, for memory estimates. */
const SAMPLES_PER_FRAME = 320;

/** Options of audio embeddings. */
export interface EmbeddingOptions extends AudioReading {
  /**
   * The output used as the feature; `before-head` is the input of a classifier or recogniser. By default the first of
   * `embeddings`, `pooler_output`, `last_hidden_state` and `before-head`.
   */
  readonly output?: string | undefined;
  /** Normalises embeddings to length 1; true by default. */
  readonly normalize?: boolean | undefined;
}

/** Options of {@link openAudioEmbedder}. */
export interface AudioEmbedderOptions extends RunnableOptions, EmbeddingOptions {}

/**
 * A loaded model that embeds recordings: frames are averaged without padding. `embed` throws `DATA_INVALID` or
 * `FILE_NOT_FOUND`, naming the recording.
 */
export type AudioEmbedder = Embedder<AudioSource>;

/**
 * Opens a speech encoder, such as wav2vec2, Whisper or AST, as an embedder.
 * @example
 * ```ts
 * const embedder = await openAudioEmbedder(model);
 * await saveEmbeddings('voices.safetensors', files, await embedder.embed(files));
 * await embedder.release();
 * ```
 * @throws OnnxLoraError `CONFIG_INVALID`; `MODEL_UNSUPPORTED` for a model without audio input or features; others as
 *   `model.session`
 */
export async function openAudioEmbedder(
  model: RunnableModel,
  { reader, preprocessors, output, normalize, ...load }: AudioEmbedderOptions = {},
): Promise<AudioEmbedder> {
  const processor = await embeddingProcessor(model, { reader, preprocessors, output, normalize });
  return openEmbedder(model, processor, { noun: 'recordings', ...load });
}

interface Clip {
  readonly features: Tensor;
  /** The sound's extent in features of fixed length. */
  readonly sound?: AudioFrames | undefined;
}

/** The predictor of `{ width, embedding }` for files or streams. */
async function embeddingProcessor(
  model: TaskModel,
  { reader = new AudioFileReader(), preprocessors, output: named, normalize = true }: EmbeddingOptions,
): Promise<RecordProcessor<Clip, Clip, Prediction, AudioSource | AsyncIterable<Uint8Array>>> {
  const { output } = audioFeature(model, named);
  const ports = audioPorts(model);
  const extractor = await openAudio(model, { reader, preprocessors });
  const count = frameCount(model);
  return {
    outputs: [output],
    read: async (source) => {
      const clip = await monoAt(reader, await whole(source, reader), extractor.sampleRate);
      return { features: extractor.extract(clip), sound: extractor.soundIn?.(clip.length) };
    },
    rows: (clip) => [clip],
    lengths: {
      of: ({ features: { dims } }) => dims[0]! / (dims.length === 1 ? SAMPLES_PER_FRAME : 1),
      isPadded: canTellPadding(extractor, ports),
    },
    batchSize: BATCH,
    // Recordings in the queue are decoded already.
    lookAhead: 1,
    feeds: (clips) => audioFeeds(extractor, ports, clips.map(({ features }) => features)).feeds, // prettier-ignore
    decode: (outputs, feeds, clips) => {
      const frames = ownFrames(clips, ports, fedLengths(feeds, ports), count);
      return embeddingAnswers(frameMeans(outputs, output, frames), normalize);
    },
    answers: (_, [row]) => [row!.found],
  };
}

/** The feature output: named, usual, or the head's input (`before-head`). @throws OnnxLoraError as `featureOf` */
export function audioFeature(model: TaskModel, named?: string): Feature {
  return featureOf(model, named, {
    noun: 'sound',
    shapes: ['[batch, width]', '[batch, frames, width]'],
    usual: ['embeddings', 'pooler_output', 'last_hidden_state'],
    beforeHead: () => ('logits' in model.outputs ? model.headInput?.('logits') : undefined),
  });
}

/** Mean over each row's frames without padding, by `frameTargets`: float32 `[batch, width]`. */
export function frameMeans(outputs: Readonly<Record<string, Tensor>>, output: string, targets: Feeds): Tensor {
  return pooledRows(outputs, output, {
    places: (row, frames) => [0, Math.min(frames, Math.max(1, framesOf(targets, frames)[row]!))],
  });
}

/** {@link frameMeans} as a graph fragment: `[batch, width]`. */
export function frameMeanValue(g: GraphBuilder, states: Value, targets: Readonly<Record<string, Value>>): Value {
  return meanOfPlaces(g, states, () => ({ to: frameLengths(g, targets, states) }));
}

/** Reads a stream to its end, since an embedding is of the whole recording. */
async function whole(source: AudioSource | AsyncIterable<Uint8Array>, reader: AudioReader): Promise<AudioSource> {
  if (typeof source === 'string' || !(Symbol.asyncIterator in source)) return source;
  const { sampleRate, pieces } = await reader.stream(source);
  const all: (readonly Float32Array[])[] = [];
  let frames = 0;
  for await (const piece of pieces) {
    all.push(piece);
    frames += piece[0]?.length ?? 0;
    if (frames <= MAX_SECONDS * sampleRate) continue;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The stream of sound continues for more than ${MAX_SECONDS} s, and an embedding is of a whole recording. Cut it into pieces.`,
    );
  }
  return { sampleRate, channels: joinPieces(all, frames) } satisfies Audio;
}

type FeatureOption = Pick<EmbeddingOptions, 'output'>;

/** Settings of tasks on features. */
export const featureSettings: SettingRows<FeatureOption> = {
  output: {
    kind: 'text',
    description: 'The graph output that is the feature; before-head is what a classifier reads.',
  },
};

/** The predictor of `{ width, embedding }`, of length 1, for files or a stream. */
export const embedding: Required<Pick<PredictorFacts<FeatureOption, AudioTools>, 'input' | 'predictor'>> = {
  input: { streams: true } satisfies PredictorInput,
  predictor: async (model, { output, reader, preprocessors }, options) =>
    recordPredictor(model, await embeddingProcessor(model, { reader, preprocessors, output }), options),
};

/** The task `audio-embedding`, which only predicts. */
export const audioEmbeddingTask: AudioTask = audioTask({
  name: 'audio-embedding',
  description: 'One vector per recording, from any speech encoder; to predict with, not to train.',
  settings: settingsOf<FeatureOption>(featureSettings),
  task: () =>
    predictOnlyTask(
      'audio-embedding',
      'To train or measure embeddings on recordings with labels or speakers, take the task audio-retrieval',
    ),
  ...embedding,
});
