/** @file How many frames of each row of a batch are sound, as targets of losses and metrics. */

import { type Feeds, float32, int64, type Tensor } from '@onnx-lora/sdk';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { AudioFrames } from '../features/featureExtractor.ts';
import type { FrameCount } from './frameCount.ts';
import type { AudioFeeds, AudioPorts } from './audioFeeds.ts';

/** What a product of float32 may be too large by. */
const ROUNDING = 1e-3;
/** ONNX's number of the type. */
const INT64 = 7;

/**
 * `frames` int64 `[batch]`, how many frames of each row are sound; or, where they cannot be counted beforehand, `shares` float32
 * `[batch]` of all frames.
 */
export function frameTargets(
  { lengths, padded }: Pick<AudioFeeds, 'lengths' | 'padded'>,
  count: FrameCount | undefined,
): Feeds {
  const rows = [lengths.length];
  if (count) return { frames: int64(lengths.map(count), rows) };
  const shares = lengths.map((length) => length / padded);
  return { shares: float32(shares, rows) };
}

/**
 * The same for means over frames, in which padding is never to count, also where the model cannot tell it from sound.
 *
 * @param clips features before they were padded to a batch, and where in those of fixed length the sound is
 */
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

/** How many frames of each row are sound, of a batch with so many. */
export function framesOf({ frames, shares }: Feeds, all: number): number[] {
  return frames
    ? Array.from(frames.data as ArrayLike<unknown>, (each) => Math.min(all, Number(each)))
    : Array.from(shares!.data as ArrayLike<unknown>, (share) => Math.ceil(Number(share) * all - ROUNDING));
}

/** The same in a graph: int64 `[batch]`. */
export function frameLengths(g: GraphBuilder, targets: Readonly<Record<string, Value>>, logits: Value): Value {
  if (targets['frames']) return targets['frames'];
  // Graphs are built for the shapes of a batch.
  const all = logits.shape![1] as number;
  const frames = g.emit('Ceil', [g.Sub(g.Mul(targets['shares']!, g.scalar(all)), g.scalar(ROUNDING))]);
  return g.Cast(frames, INT64);
}
