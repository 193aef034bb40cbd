/** @file The image processors of transformers that are known by name, and what each does when its file is silent. */

import type { Resample } from './resampleFilters.ts';

/** How a processor reads `size` when it is one number, as files of before 2023 have it. */
export type NumberSize = 'square' | 'shortest-edge' | 'longest-edge';

/** Three numbers, of red, green and blue. */
export type Channels = readonly [number, number, number];

/** Defaults of one image processor class of transformers. */
export interface ProcessorDefaults {
  readonly numberSize: NumberSize;
  readonly size: Readonly<Record<string, number>>;
  readonly resample: Resample;
  /** Side of the crop; undefined where the class crops nothing unless told to. */
  readonly crop?: number;
  /** ConvNext's way: below 384 pixels, resize the shortest edge to `size / crop_pct` and crop to `size`. */
  readonly cropShare?: number;
  /** Sides that the image is padded to, on the right and below. */
  readonly pad?: number;
  readonly mean: Channels;
  readonly std: Channels;
}

// The constants of transformers.image_utils.
const half: Channels = [0.5, 0.5, 0.5];
const standard = { mean: half, std: half };
const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
const openai = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] } as const;

const square = (side: number): Record<string, number> => ({ height: side, width: side });

const clip: ProcessorDefaults = {
  numberSize: 'shortest-edge',
  size: { shortest_edge: 224 },
  resample: 'bicubic',
  crop: 224,
  ...openai,
};

/** By the class's name without `ImageProcessor`. A Map, for the name comes from a file. */
export const processorTypes: ReadonlyMap<string, ProcessorDefaults> = new Map<string, ProcessorDefaults>([
  ['ViT', { numberSize: 'square', size: square(224), resample: 'bilinear', ...standard }],
  ['DeiT', { numberSize: 'square', size: square(256), resample: 'bicubic', crop: 224, ...standard }],
  ['CLIP', clip],
  // DINOv2 is published with the processor of BiT.
  ['Bit', clip],
  ['Siglip', { numberSize: 'square', size: square(224), resample: 'bicubic', ...standard }],
  [
    'ConvNext',
    {
      numberSize: 'shortest-edge',
      size: { shortest_edge: 384 },
      resample: 'bilinear',
      cropShare: 224 / 256,
      ...standard,
    },
  ],
  ['Sam', { numberSize: 'longest-edge', size: { longest_edge: 1024 }, resample: 'bilinear', pad: 1024, ...imagenet }],
]);

/** Classes whose fields look like those of others and mean something else. */
export const misleadingTypes: ReadonlySet<string> = new Set(['Levit', 'Perceiver', 'PoolFormer', 'Pvt']);

const typeOfModel: ReadonlyMap<string, string> = new Map([
  ['vit', 'ViT'],
  ['swin', 'ViT'],
  ['deit', 'DeiT'],
  ['clip', 'CLIP'],
  ['dinov2', 'Bit'],
  ['siglip', 'Siglip'],
  ['convnext', 'ConvNext'],
  ['convnextv2', 'ConvNext'],
  ['sam', 'Sam'],
]);

/** The processor class that transformers takes for a `model_type` when the preprocessor's file names none. */
export function processorTypeOfModel(modelType: unknown): string | undefined {
  const type = typeof modelType === 'string' ? typeOfModel.get(modelType) : undefined;
  return type && `${type}ImageProcessor`;
}

/** `ViT` of `ViTImageProcessor`, `ViTImageProcessorFast`, `ViTImageProcessorPil` or `ViTFeatureExtractor`. */
export function shortTypeName(className: string): string {
  return className.replace(/(ImageProcessor(Fast|Pil)?|FeatureExtractor)$/, '');
}
