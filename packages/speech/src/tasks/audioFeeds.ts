/** @file Where sound goes into a model that takes nothing else, and how clips become its feeds. */

import { type Feeds, float32, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { listedPorts, bucketLength, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { FeatureExtractor } from '../features/featureExtractor.ts';

/** Inputs of a model that hears. */
export interface AudioPorts {
  /** Float32: `[batch, samples]`, or features of any layout. */
  readonly input: string;
  /** Int64 `[batch, length]`, 1 where there is sound and 0 where there is padding; undefined where the graph has none. */
  readonly mask?: string;
  /** The batch size the graph insists on, where it does. */
  readonly batch?: number;
  /** Samples or frames that the graph insists on, where it does. */
  readonly length?: number;
}

/** Clips as a model is fed them. */
export interface AudioFeeds {
  readonly feeds: Feeds;
  /** Of each clip, how many samples or frames of the input are its own and not padding: all where the model cannot tell. */
  readonly lengths: readonly number[];
  /** Samples or frames of each row. */
  readonly padded: number;
}

/**
 * The inputs of a model that takes sound alone, perhaps with an attention mask.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has
 */
export function audioPorts(model: TaskModel): AudioPorts {
  const { attention_mask: mask, ...others } = model.inputs;
  const [found, ...more] = Object.entries(others);
  const isSound = found !== undefined && more.length === 0 && found[1].type === 'float32';
  if (!isSound || (mask && mask.type !== 'int64')) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" does not take sound alone: that is one float32 input, such as input_values or input_features, perhaps with an int64 attention_mask, but its inputs are ${listedPorts(model.inputs)}. Use the float32 file of a speech encoder.`,
    );
  }
  const [input, { dims }] = found;
  const [batch, length] = [dims?.[0], dims?.[1]];
  return {
    input,
    ...(mask && { mask: 'attention_mask' }),
    ...(typeof batch === 'number' && { batch }),
    ...(typeof length === 'number' && (dims!.length === 2 || mask) ? { length } : {}),
  };
}

/**
 * Feeds of one batch.
 *
 * @param clips what the extractor's `extract` has made of each clip
 * @param unit rows are padded to a {@link bucketLength} of so many samples or frames, so that a graph that is built for the shapes of a
 *   batch serves others too; without it, to the longest clip
 * @throws OnnxLoraError `INPUT_INVALID` for a batch or a length that the graph does not take
 */
export function audioFeeds(
  extractor: FeatureExtractor,
  ports: AudioPorts,
  clips: readonly Tensor[],
  unit?: number,
): AudioFeeds {
  if (ports.batch !== undefined && ports.batch !== clips.length) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The model takes batches of exactly ${ports.batch}, but this one has ${clips.length} clips. Set the batch size to ${ports.batch}, or export the model with a dynamic batch.`,
    );
  }
  const longest = Math.max(...clips.map(({ dims }) => dims[0]!));
  const length = ports.length ?? (unit === undefined ? longest : bucketLength(longest, unit));
  const made = length > longest ? paddedTo(length, extractor, clips) : extractor.batch(clips);
  const input = made[extractor.inputName]!;
  const padded = input.dims[1]!;
  if (ports.length !== undefined && padded !== ports.length) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The model takes clips of exactly ${ports.length} samples, but one has ${longest}. Cut the recordings, or export the model with a dynamic length.`,
    );
  }
  const own = made['attention_mask'];
  const feeds: Record<string, Tensor> = { [ports.input]: input };
  if (ports.mask !== undefined) {
    const dims = [clips.length, padded];
    // A graph may ask for a mask although the model was trained without: then nothing is masked.
    feeds[ports.mask] = own ?? int64(new Array<number>(clips.length * padded).fill(1), dims);
  }
  return { feeds, lengths: lengthsOf(ports.mask === undefined ? undefined : own, clips.length, padded), padded };
}

/** Whether the model is told what is padding, and what is sound. */
export function canTellPadding(extractor: FeatureExtractor, ports: AudioPorts): boolean {
  if (ports.mask === undefined) return false;
  return 'attention_mask' in extractor.batch([extractor.extract(new Float32Array(extractor.sampleRate))]);
}

/**
 * Which clips can be a batch, so that none is answered otherwise than alone: all, where the model can tell sound from padding;
 * else those that are equally long.
 */
export function rowsAlike(extractor: FeatureExtractor, ports: AudioPorts, clips: readonly Tensor[]): number[][] {
  const isMasked =
    ports.mask !== undefined && clips.length > 0 && 'attention_mask' in extractor.batch(clips.slice(0, 1));
  const groups = new Map<number, number[]>();
  for (const [row, { dims }] of clips.entries()) {
    const key = isMasked ? 0 : dims[0]!;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()];
}

/** How much of each row that was fed is its own, of feeds of {@link audioFeeds}. */
export function fedLengths(feeds: Feeds, { input, mask }: AudioPorts): Omit<AudioFeeds, 'feeds'> {
  const { dims } = feeds[input]!;
  return { lengths: lengthsOf(mask === undefined ? undefined : feeds[mask], dims[0]!, dims[1]!), padded: dims[1]! };
}

/** A silent clip of the wanted length goes along, so that padding is done as the extractor does it, and is dropped again. */
function paddedTo(length: number, extractor: FeatureExtractor, clips: readonly Tensor[]): Feeds {
  const rest = clips[0]!.dims.slice(1);
  const size = rest.reduce((product, dim) => product * dim, length);
  const made = extractor.batch([...clips, float32(new Float32Array(size), [length, ...rest])]);
  return Object.fromEntries(
    Object.entries(made).map(([name, { type, dims, data }]): [string, Tensor] => {
      const row = data.length / dims[0]!;
      const kept = data.subarray(0, row * clips.length) as typeof data;
      return [name, { type, dims: [clips.length, ...dims.slice(1)], data: kept }];
    }),
  );
}

function lengthsOf(mask: Tensor | undefined, rows: number, padded: number): number[] {
  return Array.from({ length: rows }, (_, row) => {
    if (!mask) return padded;
    let count = 0;
    for (let i = row * padded; i < (row + 1) * padded; i++) if (Number(mask.data[i]) !== 0) count++;
    return count;
  });
}
