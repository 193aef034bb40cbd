/** @file Defaults of transformers' image processors. */

import type { Resample } from '../resize/resampleFilters.ts';

/** Meaning of a single number as `size`, in files before 2023. */
type NumberSize = 'square' | 'shortest-edge' | 'longest-edge';

/** Three numbers, of red, green and blue. */
export type Channels = readonly [number, number, number];

/** Defaults of an image processor class. */
export interface ProcessorDefaults {
  readonly numberSize: NumberSize;
  readonly size: Readonly<Record<string, number>>;
  readonly resample: Resample;
  /** True if the class rescales before it resizes, without rounding to 8 bits. */
  readonly fractional?: boolean;
  readonly crop?: number;
  /** Whether the class crops by default; if absent, it does with a `crop`. */
  readonly doesCrop?: boolean;
  /** ConvNeXt's rule: below 384 pixels, resize the shortest edge to `size / crop_pct` and crop to `size`. */
  readonly cropShare?: number;
  /** Padded sides on the right and below; `batch` for the largest image of a batch. */
  readonly pad?: number | 'batch';
  /** The longest edge for a number as `size` (`max_size`). */
  readonly maxSize?: number;
  /** Number whose multiples both edges are rounded down to, where the shortest edge is given. */
  readonly multiple?: number;
  /** True if the class converts RGB to BGR by default. */
  readonly flipsChannels?: boolean;
  /** False if the class pads only where its file asks for it; if absent, it pads with a `pad`. */
  readonly doesPad?: boolean;
  /** `never` for no normalisation, `ifAsked` for none by default, `stdTwice` for EfficientNet's. */
  readonly normalizes?: 'never' | 'ifAsked' | 'stdTwice';
  readonly mean: Channels;
  readonly std: Channels;
}

// Constants of transformers.image_utils.
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

const detr: ProcessorDefaults = {
  numberSize: 'shortest-edge',
  size: { shortest_edge: 800, longest_edge: 1333 },
  maxSize: 1333,
  resample: 'bilinear',
  pad: 'batch',
  ...imagenet,
};

const mobileNet: ProcessorDefaults = {
  numberSize: 'shortest-edge',
  size: { shortest_edge: 256 },
  resample: 'bilinear',
  crop: 224,
  ...standard,
};

/** By class name without `ImageProcessor`. A Map, since the name is untrusted. */
export const processorTypes: ReadonlyMap<string, ProcessorDefaults> = new Map<string, ProcessorDefaults>([
  ['ViT', { numberSize: 'square', size: square(224), resample: 'bilinear', ...standard }],
  ['DeiT', { numberSize: 'square', size: square(256), resample: 'bicubic', crop: 224, ...standard }],
  ['CLIP', clip],
  // DINOv2 uses BiT's processor.
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
  // SAM 2 exists for torchvision only, which resizes 8 bits within one level of Pillow.
  ['Sam2', { numberSize: 'square', size: square(1024), resample: 'bilinear', ...imagenet }],
  ['DINOv3ViT', { numberSize: 'square', size: square(224), resample: 'bilinear', fractional: true, ...imagenet }],
  ['Beit', { numberSize: 'square', size: square(256), resample: 'bicubic', crop: 224, ...standard }],
  ['Segformer', { numberSize: 'square', size: square(512), resample: 'bilinear', ...imagenet }],
  [
    'MobileViT',
    {
      numberSize: 'shortest-edge',
      size: { shortest_edge: 224 },
      resample: 'bilinear',
      crop: 256,
      flipsChannels: true,
      normalizes: 'never',
      ...standard,
    },
  ],
  ['MobileNetV1', mobileNet],
  ['MobileNetV2', mobileNet],
  ['OwlViT', { numberSize: 'square', size: square(768), resample: 'bicubic', crop: 768, doesCrop: false, ...openai }],
  ['Detr', detr],
  ['RfDetr', detr],
  ['GroundingDino', detr],
  ['ConditionalDetr', detr],
  ['DeformableDetr', detr],
  ['Yolos', { ...detr, multiple: 16 }],
  [
    'RTDetr',
    {
      numberSize: 'square',
      size: square(640),
      resample: 'bilinear',
      pad: 'batch',
      doesPad: false,
      normalizes: 'ifAsked',
      ...imagenet,
    },
  ],
  [
    'EfficientNet',
    {
      numberSize: 'square',
      size: square(346),
      resample: 'nearest',
      crop: 289,
      doesCrop: false,
      normalizes: 'stdTwice',
      ...standard,
    },
  ],
]);

/** Classes whose familiar fields have other meanings. */
export const misleadingTypes: ReadonlySet<string> = new Set([
  'DPT',
  'Levit',
  'Perceiver',
  'PoolFormer',
  'Pvt',
  'Siglip2',
]);

const typeOfModel: ReadonlyMap<string, string> = new Map([
  ['vit', 'ViT'],
  ['vit_mae', 'ViT'],
  ['vit_msn', 'ViT'],
  ['ijepa', 'ViT'],
  ['swin', 'ViT'],
  ['swinv2', 'ViT'],
  ['deit', 'DeiT'],
  ['beit', 'Beit'],
  ['data2vec-vision', 'Beit'],
  ['clip', 'CLIP'],
  ['dinov2', 'Bit'],
  ['dinov2_with_registers', 'Bit'],
  ['bit', 'Bit'],
  ['hiera', 'Bit'],
  ['focalnet', 'Bit'],
  ['dinov3_vit', 'DINOv3ViT'],
  ['dinov3_convnext', 'DINOv3ViT'],
  ['siglip', 'Siglip'],
  ['convnext', 'ConvNext'],
  ['convnextv2', 'ConvNext'],
  ['resnet', 'ConvNext'],
  ['regnet', 'ConvNext'],
  ['cvt', 'ConvNext'],
  ['mobilevit', 'MobileViT'],
  ['mobilevitv2', 'MobileViT'],
  ['mobilenet_v1', 'MobileNetV1'],
  ['mobilenet_v2', 'MobileNetV2'],
  ['efficientnet', 'EfficientNet'],
  ['segformer', 'Segformer'],
  ['upernet', 'Segformer'],
  ['detr', 'Detr'],
  ['table-transformer', 'Detr'],
  ['conditional_detr', 'ConditionalDetr'],
  ['deformable_detr', 'DeformableDetr'],
  ['yolos', 'Yolos'],
  ['rf_detr', 'RfDetr'],
  ['owlvit', 'OwlViT'],
  ['grounding-dino', 'GroundingDino'],
  ['rt_detr', 'RTDetr'],
  ['rt_detr_v2', 'RTDetr'],
  ['d_fine', 'RTDetr'],
  ['sam', 'Sam'],
  ['sam_hq', 'Sam'],
  ['sam2', 'Sam2'],
  ['edgetam', 'Sam2'],
]);

/** transformers' processor class for a `model_type`, if the file names none. */
export function processorTypeOfModel(modelType: unknown): string | undefined {
  const type = typeof modelType === 'string' ? typeOfModel.get(modelType) : undefined;
  return type && `${type}ImageProcessor`;
}

/** `ViT` from `ViTImageProcessor`, `ViTImageProcessorFast`, `ViTImageProcessorPil` or `ViTFeatureExtractor`. */
export function shortTypeName(className: string): string {
  return className.replace(/(ImageProcessor(Fast|Pil)?|FeatureExtractor)$/, '');
}
