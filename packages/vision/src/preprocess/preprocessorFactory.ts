/** @file Recognises `preprocessor_config.json` of an image processor and makes its preprocessor. */

import type { PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { ImageDecoder } from '../image/image.ts';
import { imageEndings } from '../image/imageFormat.ts';
import { ImagePreprocessor } from './preprocessor.ts';
import { readImagePlan } from './preprocessorConfig.ts';
import { processorTypes, shortTypeName } from './processorTypes.ts';
import { presetClass, readPresetPlan, readTimmPlan, timmSettings } from './torchvisionPlan.ts';

/** Makes preprocessors for the image processors of transformers, of timm, and for torchvision's presets. */
export class ImagePreprocessorFactory implements PreprocessorFactory {
  readonly domain = 'vision';
  readonly fileEndings: readonly string[] = imageEndings;
  readonly #decoder: ImageDecoder;

  /** `decoder` reads the images of every preprocessor that is made. */
  constructor(decoder: ImageDecoder) {
    this.#decoder = decoder;
  }

  /** True for any image processor, also one that {@link create} then refuses, saying why. */
  recognises(config: Readonly<Record<string, unknown>>): boolean {
    if (typeof config['image_processor_type'] === 'string') return true;
    if (timmSettings(config)) return true;
    const extractor = config['feature_extractor_type'];
    // Audio has feature extractors too, so an extractor is an image's only when its name is known.
    if (typeof extractor === 'string') return processorTypes.has(shortTypeName(extractor));
    return (
      !('sampling_rate' in config) && ['size', 'crop_size', 'image_mean', 'do_resize'].some((key) => key in config)
    );
  }

  create(config: Readonly<Record<string, unknown>>, path: string): ImagePreprocessor {
    const timm = timmSettings(config);
    const isPreset = config['image_processor_type'] === presetClass;
    const plan = timm
      ? readTimmPlan(timm, path)
      : isPreset
        ? readPresetPlan(config, path)
        : readImagePlan(config, path);
    return new ImagePreprocessor(plan, this.#decoder);
  }
}
