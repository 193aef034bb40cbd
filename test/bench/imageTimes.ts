/** @file Photos decoded and preprocessed in this process, in CPU time. */

import { ImagePreprocessor, readImagePlan, ImageFileDecoder } from '@onnx-lora/vision';
import path from 'node:path';

/** Width and height of the photos; the first is the usual size of ImageNet's. */
export const photoSizes = [
  [500, 375],
  [1280, 960],
  [2048, 1536],
  [4000, 3000],
] as const;

/** Classes of transformers that are timed on each photo. */
const processors = ['ViT', 'CLIP'] as const;

/** CPU milliseconds of one image, by file and processor: `500x375.jpg ViT`. */
export interface ImageFigures {
  readonly imageMs: Readonly<Record<string, number>>;
}

/** Work of one turn on one photo, in pixels. */
export const PIXELS_PER_TURN = 24_000_000;

/** Work of a child: CPU time per image of every case, summed over this process's threads. */
export async function timeImages(folder: string): Promise<ImageFigures> {
  const decoder = new ImageFileDecoder();
  const found: Record<string, number> = {};
  for (const { name, file, processor, pixels } of imageCases()) {
    const config = { image_processor_type: `${processor}ImageProcessor` };
    const preprocessor = new ImagePreprocessor(readImagePlan(config, 'config'), decoder);
    const count = Math.ceil(PIXELS_PER_TURN / pixels);
    for (let i = 0; i < Math.min(count, 20); i++) await preprocessor.preprocess(path.join(folder, file));
    const start = process.cpuUsage();
    for (let i = 0; i < count; i++) await preprocessor.preprocess(path.join(folder, file));
    const { user, system } = process.cpuUsage(start);
    found[name] = (user + system) / 1000 / count;
  }
  return { imageMs: found };
}

/** One photo and its preprocessing. */
export interface ImageCase {
  readonly name: string;
  readonly file: string;
  readonly processor: string;
  readonly pixels: number;
}

/** Every photo with every processor. */
export function imageCases(): ImageCase[] {
  return photoSizes.flatMap(([width, height]) =>
    processors.map((processor) => {
      const file = `${width}x${height}.jpg`;
      return { name: `${file} ${processor}`, file, processor, pixels: width * height };
    }),
  );
}
