/** @file Ports and feeds of audio models, and the encoder frames of clips. */

import { type Feeds, float32, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { describedPorts, bucketLength, type TaskModel, type GraphBuilder, type Value } from '@onnx-lora/sdk/tasks';
import type { FeatureExtractor, AudioFrames } from '../features/featureExtractor.ts';

/** Input ports. */
export interface AudioPorts {
  /** Float32: `[batch, samples]`, or features of any layout. */
  readonly input: string;
  /** Int64 `[batch, length]`: 1 for sound, 0 for padding; undefined if the graph has none. */
  readonly mask?: string;
  readonly batch?: number;
  /** Fixed number of samples or frames of the graph. */
  readonly length?: number;
}

/** Feeds of a batch of clips. */
export interface AudioFeeds {
  readonly feeds: Feeds;
  /** Samples or frames of each clip without padding; all of them if the model has no mask. */
  readonly lengths: readonly number[];
  /** Samples or frames per row. */
  readonly padded: number;
}

/** The ports of an audio input and an optional attention mask. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
export function audioPorts(model: TaskModel): AudioPorts {
  const { attention_mask: mask, ...others } = model.inputs;
  const [found, ...more] = Object.entries(others);
  const isSound = found !== undefined && more.length === 0 && found[1].type === 'float32';
  if (!isSound || (mask && mask.type !== 'int64')) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" does not take sound alone: that is one float32 input, such as input_values or input_features, perhaps with an int64 attention_mask, but its inputs are ${describedPorts(model.inputs)}. Use the float32 file of a speech encoder.`,
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
 * @param clips features from `extract`
 * @param unit pads rows to a {@link bucketLength} in this unit, so that a training graph, built per shape, serves more
 *   batches; without it, to the longest clip
 * @throws OnnxLoraError `INPUT_INVALID` for a batch size or length that the graph does not take
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
    // A graph may take a mask although the model was trained without one: then all ones.
    feeds[ports.mask] = own ?? int64(new Array<number>(clips.length * padded).fill(1), dims);
  }
  return { feeds, lengths: lengthsOf(ports.mask === undefined ? undefined : own, clips.length, padded), padded };
}

/** True if the model gets a padding mask. */
export function canTellPadding(extractor: FeatureExtractor, ports: AudioPorts): boolean {
  if (ports.mask === undefined) return false;
  return 'attention_mask' in extractor.batch([extractor.extract(new Float32Array(extractor.sampleRate))]);
}

/** Groups clips whose answers do not depend on the batch: all with a padding mask, else equal lengths. */
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

/** Lengths of the rows in feeds of {@link audioFeeds}. */
export function fedLengths(feeds: Feeds, { input, mask }: AudioPorts): Omit<AudioFeeds, 'feeds'> {
  const { dims } = feeds[input]!;
  return { lengths: lengthsOf(mask === undefined ? undefined : feeds[mask], dims[0]!, dims[1]!), padded: dims[1]! };
}

/** Pads with an extra silent clip of that length, so that the extractor does the padding, and drops it again. */
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

/** Frames for an input of `length` samples, or frames of a spectrogram. */
export type FrameCount = (length: number) => number;

const MOST_LAYERS = 64;

/**
 * Counts frames as transformers' `_get_feat_extract_output_lengths` does: `floor((length + 2 · padding − kernel) /
 * stride) + 1` for each convolution of the feature encoder (`conv_kernel`, `conv_stride`) and of the adapter after the
 * encoder (`add_adapter`). Undefined if config.json does not tell.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid convolutions
 */
export function frameCount(model: TaskModel): FrameCount | undefined {
  const { config } = model;
  const layers: { readonly kernel: number; readonly stride: number; readonly padding: number }[] = [];
  const refuse = (): OnnxLoraError =>
    new OnnxLoraError(
      'CONFIG_INVALID',
      `config.json of "${model.name}" must give "conv_kernel" and "conv_stride" as equally many whole numbers above 0. Copy the file again from where the model was published.`,
    );
  const [kernels, strides] = [config?.['conv_kernel'], config?.['conv_stride']];
  const isSpectrogram = 'input_features' in model.inputs;
  // The only spectrogram model with one output frame per input frame.
  if (isSpectrogram && config?.['model_type'] !== 'wav2vec2-bert') return undefined;
  if (!isSpectrogram) {
    if (kernels === undefined || strides === undefined) return undefined;
    if (!areSizes(kernels) || !areSizes(strides) || kernels.length !== strides.length) throw refuse();
    kernels.forEach((kernel, i) => layers.push({ kernel, stride: strides[i]!, padding: 0 }));
  }
  if (config?.['add_adapter'] === true) {
    const sizes = [
      config['num_adapter_layers'] ?? (isSpectrogram ? 1 : 3),
      config['adapter_kernel_size'] ?? 3,
      config['adapter_stride'] ?? 2,
    ];
    if (!areSizes(sizes)) throw refuse();
    const [count, kernel, stride] = sizes as [number, number, number];
    // wav2vec2's formula counts the adapter's kernel 3 with padding 1 as kernel 1 without padding; the result is the
    // same.
    const layer = isSpectrogram
      ? { kernel, stride, padding: Math.floor(kernel / 2) }
      : { kernel: 1, stride, padding: 0 };
    for (let i = 0; i < Math.min(count, MOST_LAYERS); i++) layers.push(layer);
  }
  return (length) =>
    Math.max(
      0,
      layers.reduce((n, { kernel, stride, padding }) => Math.floor((n + 2 * padding - kernel) / stride) + 1, length),
    );
}

function areSizes(value: unknown): value is number[] {
  return (
    Array.isArray(value) && value.length <= MOST_LAYERS && value.every((each) => Number.isSafeInteger(each) && each > 0)
  );
}

/** Tolerance of a float32 product. */
const ROUNDING = 1e-3;
const INT64 = 7;

/** `frames` int64 `[batch]`; or `shares` float32 `[batch]` of all frames, if they cannot be counted. */
export function frameTargets(
  { lengths, padded }: Pick<AudioFeeds, 'lengths' | 'padded'>,
  count: FrameCount | undefined,
): Feeds {
  const rows = [lengths.length];
  if (count) return { frames: int64(lengths.map(count), rows) };
  const shares = lengths.map((length) => length / padded);
  return { shares: float32(shares, rows) };
}

/** Frame targets that exclude padding, even if the model cannot tell it from sound. */
export function ownFrames(
  clips: readonly { readonly features: Tensor; readonly sound?: AudioFrames | undefined }[],
  { mask }: Pick<AudioPorts, 'mask'>,
  { lengths, padded }: Pick<AudioFeeds, 'lengths' | 'padded'>,
  count: FrameCount | undefined,
): Feeds {
  if (mask !== undefined) return frameTargets({ lengths, padded }, count);
  const shares = clips.flatMap(({ features, sound }) => (sound ? [sound.frames / features.dims[sound.timeAxis]!] : []));
  if (shares.length === clips.length) return frameTargets({ lengths: shares, padded: 1 }, undefined);
  return frameTargets({ lengths: clips.map(({ features }) => features.dims[0]!), padded }, count);
}

/** The sound frames of each row, in a batch with `all` frames. */
export function framesOf({ frames, shares }: Feeds, all: number): number[] {
  return frames
    ? Array.from(frames.data as ArrayLike<unknown>, (each) => Math.min(all, Number(each)))
    : Array.from(shares!.data as ArrayLike<unknown>, (share) => Math.ceil(Number(share) * all - ROUNDING));
}

/** {@link framesOf} in a graph: int64 `[batch]`. */
export function frameLengths(g: GraphBuilder, targets: Readonly<Record<string, Value>>, logits: Value): Value {
  if (targets['frames']) return targets['frames'];
  // Shapes are static: a graph is built per batch shape.
  const all = logits.shape![1] as number;
  const frames = g.emit('Ceil', [g.Sub(g.Mul(targets['shares']!, g.scalar(all)), g.scalar(ROUNDING))]);
  return g.Cast(frames, INT64);
}
