/** @file Mosaics: one training image out of four, so that small objects are seen in many sizes and places. */

import type { Random } from '@onnx-lora/sdk/data';
import type { Box } from '../data/imageRecord.ts';
import { cropPlane } from '../preprocess/crop.ts';
import { cropSample, resizeSample } from './randomWindows.ts';
import type { Mask, Sample } from './sample.ts';

/** Range of the point where the four images meet, in shares of width and height. */
const MIDDLE = [0.25, 0.75] as const;
/** Most that an image is enlarged beyond filling its quarter. */
const LARGEST = 1.5;
/** Share of a box that must be left for its object to count. */
const LEAST = 0.25;

/**
 * Four images around a random point, in the first one's size. Each fills its quarter, cut to a random window; boxes with less than a quarter left are dropped.
 * @param samples each with a mask for each of its boxes, or without masks
 * @returns the image with its boxes, and the masks of these; `boxIndices` count through the boxes of all four in order
 * @see Bochkovskiy et al., "YOLOv4: Optimal Speed and Accuracy of Object Detection" (2020), arXiv:2004.10934
 */
export function mosaic(
  samples: readonly Sample[],
  random: Random,
): Required<Pick<Sample, 'image' | 'boxes' | 'boxIndices'>> & Pick<Sample, 'masks'> {
  const { width, height } = samples[0]!.image;
  const [x, y] = [width, height].map((size) => Math.max(1, Math.min(size - 1, Math.round(size * random.uniform(...MIDDLE))))) as [number, number]; // prettier-ignore
  const quarters = [
    { left: 0, top: 0, width: x, height: y },
    { left: x, top: 0, width: width - x, height: y },
    { left: 0, top: y, width: x, height: height - y },
    { left: x, top: y, width: width - x, height: height - y },
  ];
  const data = new Uint8Array(width * height * 3);
  const kept: { readonly box: Box; readonly index: number; readonly mask: Mask | undefined }[] = [];
  let before = 0;
  quarters.forEach(({ left, top, ...size }, i) => {
    const { image, boxes = [], masks } = samples[i]!;
    const filling = Math.max(size.width / image.width, size.height / image.height) * random.uniform(1, LARGEST);
    const enlarged = { width: Math.max(size.width, Math.round(image.width * filling)), height: Math.max(size.height, Math.round(image.height * filling)) }; // prettier-ignore
    const whole = resizeSample({ image, boxes, ...(masks && { masks }) }, enlarged, 'bilinear');
    const window = { left: random.index(enlarged.width - size.width + 1), top: random.index(enlarged.height - size.height + 1) }; // prettier-ignore
    const part = cropSample(whole, window, size);
    const placed = cropPlane(part.image, 3, { left: -left, top: -top }, { width, height });
    for (let row = top; row < top + size.height; row++) {
      const at = (row * width + left) * 3;
      data.set(placed.data.subarray(at, at + size.width * 3), at);
    }
    const indices = part.boxIndices ?? [];
    (part.boxes ?? []).forEach((box, k) => {
      const index = indices[k]!;
      const [ax, ay] = [enlarged.width / image.width, enlarged.height / image.height];
      if (areaOf(box) < LEAST * areaOf(boxes[index]!) * ax * ay) return;
      const own = part.masks?.[index];
      const mask = own && { ...own, ...cropPlane(own, 1, { left: -left, top: -top }, { width, height }) };
      kept.push({ box: [box[0] + left, box[1] + top, box[2] + left, box[3] + top], index: before + index, mask });
    });
    before += boxes.length;
  });
  return {
    image: { width, height, data },
    boxes: kept.map(({ box }) => box),
    boxIndices: kept.map(({ index }) => index),
    ...(samples.some(({ masks }) => masks) && { masks: kept.map(({ mask }) => mask!) }),
  };
}

function areaOf([x0, y0, x1, y1]: Box): number {
  return (x1 - x0) * (y1 - y0);
}
