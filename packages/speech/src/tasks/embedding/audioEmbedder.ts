/** @file One vector per recording, from any speech encoder: of lists in a program, and as answers about files and streams. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  answeringTask,
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
import { frameCount } from '../frameCount.ts';
import { frameLengths, framesOf, ownFrames } from '../frameTargets.ts';
import { canTellPadding, fedLengths, audioFeeds, audioPorts } from '../audioFeeds.ts';
import { openAudio, type AudioReading, type AudioTask, audioTask, type AudioTools } from '../audioTask.ts';

/** Recordings at a time, where nothing else is said. */
const BATCH = 8;
/** As much as is read of a stream at once. */
const MAX_SECONDS = 3600;
/** Samples that an encoder makes one frame of: as much memory as a token takes. */
const SAMPLES_PER_FRAME = 320;

/** What embeddings of recordings are made of, and how. */
export interface EmbeddingOptions extends AudioReading {
  /**
   * The graph output that is the feature; `before-head` is what a classifier or a recogniser reads. By default `embeddings`,
   * `pooler_output` or `last_hidden_state`, whichever there is, else `before-head`.
   */
  readonly output?: string | undefined;
  /** Divides every embedding by its length; true by default. */
  readonly normalize?: boolean | undefined;
}

/** Options of {@link openAudioEmbedder}. */
export interface AudioEmbedderOptions extends RunnableOptions, EmbeddingOptions {}

/**
 * A model with its adapters, ready to embed recordings: of vectors of frames the mean over those that are sound. `embed` throws
 * `DATA_INVALID` or `FILE_NOT_FOUND`, naming the recording.
 */
export type AudioEmbedder = Embedder<AudioSource>;

/**
 * Loads a speech encoder, such as wav2vec2's, Whisper's or AST, as one that makes embeddings.
 *
 * @example
 * ```ts
 * const embedder = await openAudioEmbedder(model);
 * await saveEmbeddings('voices.safetensors', files, await embedder.embed(files));
 * await embedder.release();
 * ```
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, `MODEL_UNSUPPORTED` for a model that takes no sound or gives no features of it;
 *   others as `model.session`
 */
export async function openAudioEmbedder(
  model: RunnableModel,
  { reader, preprocessors, output, normalize, ...load }: AudioEmbedderOptions = {},
): Promise<AudioEmbedder> {
  const processor = await embeddingProcessor(model, { reader, preprocessors, output, normalize });
  return openEmbedder(model, processor, { noun: 'recordings', ...load });
}

/** A recording as a model hears it. */
interface Clip {
  readonly features: Tensor;
  /** Where in features of fixed length the sound is. */
  readonly sound?: AudioFrames | undefined;
}

/** What answers `{ width, embedding }` about recordings, whole files or streams. */
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
    // Recordings wait decoded.
    lookAhead: 1,
    feeds: (clips) => audioFeeds(extractor, ports, clips.map(({ features }) => features)).feeds, // prettier-ignore
    decode: (outputs, feeds, clips) => {
      const frames = ownFrames(clips, ports, fedLengths(feeds, ports), count);
      return embeddingAnswers(frameMeans(outputs, output, frames), normalize);
    },
    answers: (_, [row]) => [row!.found],
  };
}

/**
 * The output that is named; else a usual one of x-vectors, of AST or of encoders; else, of a classifier or recogniser, what its
 * head reads (`before-head`).
 *
 * @throws OnnxLoraError as `featureOf`
 */
export function audioFeature(model: TaskModel, named?: string): Feature {
  return featureOf(model, named, {
    noun: 'sound',
    shapes: ['[batch, width]', '[batch, frames, width]'],
    usual: ['embeddings', 'pooler_output', 'last_hidden_state'],
    beforeHead: () => ('logits' in model.outputs ? model.headInput?.('logits') : undefined),
  });
}

/**
 * Means over the frames of each row that are sound and not padding: float32 `[batch, width]`.
 *
 * @param targets those of `frameTargets`
 * @throws OnnxLoraError as `pooledRows`
 */
export function frameMeans(outputs: Readonly<Record<string, Tensor>>, output: string, targets: Feeds): Tensor {
  return pooledRows(outputs, output, {
    places: (row, frames) => [0, Math.min(frames, Math.max(1, framesOf(targets, frames)[row]!))],
  });
}

/** The same as a graph fragment: `[batch, width]`. */
export function frameMeanValue(g: GraphBuilder, states: Value, targets: Readonly<Record<string, Value>>): Value {
  return meanOfPlaces(g, states, () => ({ to: frameLengths(g, targets, states) }));
}

/** An embedding is of a whole recording, so a stream is read to its end, which must come. */
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
      `The stream of sound goes on for more than ${MAX_SECONDS} s, and an embedding is of a whole recording. Cut it into pieces.`,
    );
  }
  return { sampleRate, channels: joinPieces(all, frames) } satisfies Audio;
}

/** What tasks on features are told. */
type FeatureOption = Pick<EmbeddingOptions, 'output'>;

/** Settings of every task on features. */
export const featureSettings: SettingRows<FeatureOption> = {
  output: {
    kind: 'text',
    description: 'The graph output that is the feature; before-head is what a classifier reads.',
  },
};

/** What answers `{ width, embedding }`, of length 1, about recordings, from files or a stream. */
export const embedding: Required<Pick<PredictorFacts<FeatureOption, AudioTools>, 'input' | 'predictor'>> = {
  input: { streams: true } satisfies PredictorInput,
  predictor: async (model, { output, reader, preprocessors }, options) =>
    recordPredictor(model, await embeddingProcessor(model, { reader, preprocessors, output }), options),
};

/** The task `audio-embedding`: it answers with embeddings, and has nothing to learn. */
export const audioEmbeddingTask: AudioTask = audioTask({
  name: 'audio-embedding',
  description: 'One vector per recording, from any speech encoder; to predict with, not to train.',
  settings: settingsOf<FeatureOption>(featureSettings),
  task: () =>
    answeringTask(
      'audio-embedding',
      'To train or measure embeddings on recordings with labels or speakers, take the task audio-retrieval',
    ),
  ...embedding,
});
