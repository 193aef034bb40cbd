/** @file From the raw outputs of a dense head to boxes, with overlapping ones suppressed. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { decodeGrid, type FoundBox, type GridDecoding } from './decodeBoxes.ts';
import type { DenseHead } from './denseHead.ts';

/** Boxes of each image, in pixels of the model's input, by falling score. */
export function decodeDense(
  outputs: Readonly<Record<string, Tensor>>,
  head: DenseHead,
  options: GridDecoding = {},
): FoundBox[][] {
  const levels = head.levels.map(({ values, stride }) => ({
    stride,
    parts: values.map((name) => partOf(outputs, name)),
  }));
  const { threshold = 0 } = options;
  const rows = levels[0]!.parts[0]!.dims[0]!;
  const places = levels.reduce((sum, { parts }) => sum + parts[0]!.dims[2]! * parts[0]!.dims[3]!, 0);
  return Array.from({ length: rows }, (_, row) => {
    const table = new Float32Array((4 + head.classes) * places);
    let start = 0;
    for (const { stride, parts } of levels) {
      const [, , height = 0, width = 0] = parts[0]!.dims;
      const channels = channelsOf(parts, row, head);
      for (let at = 0; at < height * width; at++) {
        const place = { stride, at, x: at % width, y: Math.floor(at / width) };
        const scores = scoresAt(channels, at, head);
        if (!scores.some((score) => score > threshold)) continue;
        const box = (head.kind === 'offsets' ? byOffsets : byDistances)(channels, place, head);
        [...box, ...scores].forEach((value, i) => (table[i * places + start + at] = value));
      }
      start += height * width;
    }
    return decodeGrid(table, places, options);
  });
}

function partOf(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = outputs[name];
  if (found?.dims.length === 4) return found;
  throw new OnnxLoraError('MODEL_UNSUPPORTED', `The value "${name}" is not that of a grid. Export the model again.`);
}

/** Planes of all channels of an image, classes last. */
function channelsOf(parts: readonly Tensor[], row: number, { kind, classes }: DenseHead): Float32Array[] {
  const all = parts.flatMap(({ data, dims: [, channels = 0, height = 0, width = 0] }) => {
    const size = height * width;
    return Array.from({ length: channels }, (_, i) => (data as Float32Array).subarray((row * channels + i) * size, (row * channels + i + 1) * size)); // prettier-ignore
  });
  return kind === 'qualities' ? [...all.slice(classes), ...all.slice(0, classes)] : all;
}

interface Place {
  readonly at: number;
  readonly x: number;
  readonly y: number;
  readonly stride: number;
}

/** The probability of each class. */
function scoresAt(channels: readonly Float32Array[], at: number, { kind, bins, classes }: DenseHead): number[] {
  const [first, any] = kind === 'offsets' ? [5, sigmoid(channels[4]![at]!)] : [4 * bins, 1];
  return Array.from({ length: classes }, (_, i) => any * sigmoid(channels[first + i]![at]!));
}

/** Center, width and height in pixels. */
function byDistances(channels: readonly Float32Array[], { at, x, y, stride }: Place, { bins }: DenseHead): number[] {
  const [left, top, right, bottom] = [0, 1, 2, 3].map((edge) => {
    const scores = channels.slice(edge * bins, (edge + 1) * bins).map((plane) => plane[at]!);
    const most = Math.max(...scores);
    const shares = scores.map((score) => Math.exp(score - most));
    const sum = shares.reduce((total, share) => total + share, 0);
    return shares.reduce((mean, share, i) => mean + (share * i) / sum, 0);
  }) as [number, number, number, number];
  const box = [x + 0.5 + (right - left) / 2, y + 0.5 + (bottom - top) / 2, left + right, top + bottom];
  return box.map((each) => each * stride);
}

function byOffsets(channels: readonly Float32Array[], { at, x, y, stride }: Place): number[] {
  const [dx, dy, width, height] = [0, 1, 2, 3].map((i) => channels[i]![at]!) as [number, number, number, number];
  return [x + dx, y + dy, Math.exp(width), Math.exp(height)].map((each) => each * stride);
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
