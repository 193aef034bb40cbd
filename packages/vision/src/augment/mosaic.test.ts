import { Random } from '@onnx-lora/sdk/data';
import { expect, test } from 'vitest';
import type { Box } from '../data/imageRecord.ts';
import { mosaic } from './mosaic.ts';
import type { Sample } from './sample.ts';

/** A black picture with bright rectangles, a channel for each picture, where its boxes are. */
function sample(channel: number, width: number, height: number, boxes: readonly Box[]): Sample {
  const data = new Uint8Array(width * height * 3);
  for (const [x0, y0, x1, y1] of boxes)
    for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) data[(y * width + x) * 3 + (channel % 3)] = 255;
  return { image: { width, height, data }, boxes };
}

test('boxes are where the pixels of their objects are, and the rest is dropped', () => {
  let dropped = 0;
  for (let seed = 0; seed < 40; seed++) {
    const four = [
      sample(0, 80, 60, [[10, 10, 40, 30]]),
      sample(1, 50, 90, [[5, 60, 25, 85], [30, 5, 45, 20]]),
      sample(2, 120, 70, [[60, 20, 100, 60]]),
      sample(0, 64, 64, []),
    ]; // prettier-ignore
    const { image, boxes, boxIndices } = mosaic(four, new Random(seed));
    expect([image.width, image.height]).toEqual([80, 60]);
    const channels = [0, 1, 1, 2];
    dropped += channels.length - boxes.length;
    boxes.forEach(([x0, y0, x1, y1], i) => {
      const channel = channels[boxIndices[i]!]!;
      let [left, top, right, bottom] = [80, 60, 0, 0];
      for (let y = Math.floor(y0); y < Math.ceil(y1); y++)
        for (let x = Math.floor(x0); x < Math.ceil(x1); x++)
          if (image.data[(y * 80 + x) * 3 + channel]! > 127)
            [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)]; // prettier-ignore
      // Half of a pixel is lost to resizing at each edge, and another to rounding.
      for (const [edge, own] of [[left, x0], [top, y0], [right, x1], [bottom, y1]] as const) expect(Math.abs(edge - own)).toBeLessThanOrEqual(1.01); // prettier-ignore
    });
  }
  expect(dropped).toBeGreaterThan(10);
  expect(dropped).toBeLessThan(150);
});

test('the same seed gives the same mosaic', () => {
  const four = [0, 1, 2, 0].map((channel) => sample(channel, 40, 40, [[5, 5, 30, 30]]));
  expect(mosaic(four, new Random(3))).toEqual(mosaic(four, new Random(3)));
  expect(mosaic(four, new Random(3))).not.toEqual(mosaic(four, new Random(4)));
});
