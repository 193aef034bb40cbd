/** @file Images of reports: thumbnails and mask overlays. */

import type { ReportPicture, ReportSection } from '@onnx-lora/sdk/tasks';
import type { Color, Mask } from '../augment/sample.ts';
import type { Box, Point } from '../data/imageRecord.ts';
import type { Image } from '../image/image.ts';
import { resize } from '../preprocess/resize/resize.ts';

/**
 * Pascal VOC's colours: black for 0, and distinct ones for adjacent numbers, by spreading their bits over the channels.
 * @see http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ VOCdevkit, VOClabelcolormap.m
 */
export function classColor(number: number): Color {
  const channel = (bit: number): number => {
    let level = 0;
    for (let i = 0; i < 3; i++) level |= ((number >> (3 * i + bit)) & 1) << (7 - i);
    return level;
  };
  return [channel(0), channel(1), channel(2)];
}

export interface Galleries<Result> {
  readonly noun: string;
  readonly text: string;
  readonly worst: number;
  readonly usual: number;
  readonly picture: (result: Result) => Promise<ReportPicture>;
}

/** Galleries of the worst and the median results, from `sorted` with the worst first. */
export async function galleries<Result>(
  sorted: readonly Result[],
  { noun, text, worst, usual, picture }: Galleries<Result>,
): Promise<ReportSection[]> {
  const middle = Math.max(Math.min(worst, sorted.length), Math.floor((sorted.length - usual) / 2));
  const shown = [
    [`Worst ${noun}`, sorted.slice(0, worst)],
    [`Usual ${noun}`, sorted.slice(middle, middle + usual)],
  ] as const;
  const sections = shown.map(async ([title, results]): Promise<ReportSection[]> =>
    results.length === 0 ? [] : [{ kind: 'gallery', title, text, pictures: await Promise.all(results.map(picture)) }],
  );
  return (await Promise.all(sections)).flat();
}

/** Shrinks the longer edge to at most `edge` pixels. */
export function shrunk(image: Image, edge: number): Image {
  const scale = edge / Math.max(image.width, image.height);
  if (scale >= 1) return image;
  const side = (length: number): number => Math.max(1, Math.round(length * scale));
  return resize(image, side(image.height), side(image.width), 'bilinear');
}

interface PaintOptions {
  /** The colour of a number; undefined leaves the image as it is. */
  readonly color: (number: number) => Color | undefined;
  /** Opacity of areas, 0 to 1; 0.5 by default. Edges are opaque. */
  readonly opacity?: number;
}

/** Overlays a mask of the same size: tinted areas with edges. */
export function paintMask(image: Image, mask: Mask, { color, opacity = 0.5 }: PaintOptions): Image {
  const { width, height } = image;
  const data = image.data.slice();
  const colors = Array.from({ length: 256 }, (_, number) => color(number));
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const number = mask.data[at]!;
      const paint = colors[number];
      if (!paint) continue;
      const isEdge =
        (x > 0 && mask.data[at - 1] !== number) ||
        (x + 1 < width && mask.data[at + 1] !== number) ||
        (y > 0 && mask.data[at - width] !== number) ||
        (y + 1 < height && mask.data[at + width] !== number);
      const share = isEdge ? 1 : opacity;
      for (let channel = 0; channel < 3; channel++) {
        const level = data[at * 3 + channel]!;
        data[at * 3 + channel] = Math.round(level + share * (paint[channel]! - level));
      }
    }
  }
  return { width, height, data };
}

/** Draws dots of `color`, ringed in white. */
export function paintPoints(image: Image, points: readonly Point[], color: Color): Image {
  const { width, height } = image;
  const data = image.data.slice();
  const radius = Math.max(2, Math.round(Math.max(width, height) / 80));
  for (const [px, py] of points) {
    for (let y = Math.floor(py - radius - 1); y <= py + radius + 1; y++) {
      for (let x = Math.floor(px - radius - 1); x <= px + radius + 1; x++) {
        const distance = Math.hypot(x + 0.5 - px, y + 0.5 - py);
        if (x < 0 || y < 0 || x >= width || y >= height || distance > radius + 1) continue;
        data.set(distance > radius - 0.5 ? [255, 255, 255] : color, (y * width + x) * 3);
      }
    }
  }
  return { width, height, data };
}

/** Draws the edges of boxes, two pixels wide. */
export function paintBoxes(image: Image, boxes: readonly { readonly box: Box; readonly color: Color }[]): Image {
  const { width, height } = image;
  const data = image.data.slice();
  const paint = (x: number, y: number, color: Color): void => {
    if (x >= 0 && y >= 0 && x < width && y < height) data.set(color, (y * width + x) * 3);
  };
  for (const { box, color } of boxes) {
    const [left, top, right, bottom] = box.map(Math.round) as [number, number, number, number];
    // Lines beyond the image need no steps.
    const within = (from: number, to: number, most: number): number[] =>
      Array.from({ length: Math.max(0, Math.min(to, most) - Math.max(from, 0)) }, (_, i) => Math.max(from, 0) + i);
    for (const x of within(left, right, width))
      for (const y of [top, top + 1, bottom - 2, bottom - 1]) paint(x, y, color);
    for (const y of within(top, bottom, height))
      for (const x of [left, left + 1, right - 2, right - 1]) paint(x, y, color);
  }
  return { width, height, data };
}

/** Joins images of one height with a white gap. */
export function joinHorizontally(images: readonly Image[], gap = 4): Image {
  const height = Math.max(...images.map((each) => each.height));
  const width = images.reduce((sum, each) => sum + each.width, gap * (images.length - 1));
  const data = new Uint8Array(width * height * 3).fill(255);
  let left = 0;
  for (const image of images) {
    for (let y = 0; y < image.height; y++) {
      data.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), (y * width + left) * 3);
    }
    left += image.width + gap;
  }
  return { width, height, data };
}
