/** @file Opens the preprocessor in a model's folder. */

import { join } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { isObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { Preprocessor, PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import type { ImageDecoder } from '../../image/image.ts';
import { imageEndings } from '../../image/imageFile.ts';
import { readImagePlan } from './preprocessorConfig.ts';
import { processorTypeOfModel, processorTypes, shortTypeName } from './processorTypes.ts';
import { presetClass, readPresetPlan, readTimmPlan, timmSettings } from './torchvisionPlan.ts';
import { ImagePreprocessor } from '../preprocessor.ts';

/** Makes preprocessors of transformers, timm and torchvision's presets. */
export class ImagePreprocessorFactory implements PreprocessorFactory {
  readonly domain = 'vision';
  readonly fileEndings: readonly string[] = imageEndings;
  readonly #decoder: ImageDecoder;

  /** `decoder` reads images for every preprocessor. */
  constructor(decoder: ImageDecoder) {
    this.#decoder = decoder;
  }

  /** True for any image processor, also one that {@link create} then rejects with a reason. */
  recognises(config: Readonly<Record<string, unknown>>): boolean {
    if (typeof config['image_processor_type'] === 'string') return true;
    if (timmSettings(config)) return true;
    const extractor = config['feature_extractor_type'];
    // Audio has feature extractors too, so the name must be known.
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

const fileName = 'preprocessor_config.json';
/** transformers 5's file for all parts of a processor. */
const jointFileName = 'processor_config.json';
/** Real files have a kilobyte or less. */
const largestFile = 1_000_000;

/** A preprocessor and its file. */
export interface ModelPreprocessor {
  /** The preprocessor. */
  readonly preprocessor: Preprocessor;
  /** Its file, such as `preprocessor_config.json`. */
  readonly path: string;
}

/**
 * Opens a model's preprocessor from `preprocessor_config.json`, `image_processor` in `processor_config.json`, or
 * `pretrained_cfg` in timm's `config.json`. The first factory that recognises the file makes it.
 * @throws OnnxLoraError `CONFIG_INVALID` for a missing or invalid file, or one that no factory recognises
 */
export async function preprocessorOf(
  model: TaskModel,
  factories: readonly PreprocessorFactory[],
): Promise<ModelPreprocessor> {
  if (model.folder === undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" is a single .onnx file, so nothing says how its images are resized and normalised. Put ${fileName} (from where the model was published) beside it.`,
    );
  }
  const readPart = (file: string) => readJsonObject(file, largestFile, "a preprocessor's file");
  const path = join(model.folder, fileName);
  const jointPath = join(model.folder, jointFileName);
  const own = await readPart(path);
  const part = own ? undefined : (await readPart(jointPath))?.['image_processor'];
  // timm's settings are in config.json.
  const timm = own || isObject(part) || !model.config || !timmSettings(model.config) ? undefined : model.config;
  const config = own ?? (isObject(part) ? part : timm);
  if (!config) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no "${path}", so nothing says how images are resized and normalised for "${model.name}". Copy the file from where the model was published ("onnx-lora merge" into a folder does it), or write it: of a torchvision model, { "image_processor_type": "ImageClassification" } and what weights.transforms() prints.`,
    );
  }
  const foundPath = own ? path : timm ? join(model.folder, 'config.json') : jointPath;
  const factory = factories.find((each) => each.recognises(config));
  if (!factory) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${foundPath}" is no image processor's file. Check that "${model.name}" is a vision model, or copy the file again from where it was published.`,
    );
  }
  return { preprocessor: factory.create(withType(config, model), foundPath), path: foundPath };
}

/** A file without a type means the model's usual one, as in transformers. */
function withType(config: Readonly<Record<string, unknown>>, model: TaskModel): Readonly<Record<string, unknown>> {
  if ('image_processor_type' in config || 'feature_extractor_type' in config) return config;
  const type = processorTypeOfModel(model.config?.['model_type']);
  return type === undefined ? config : { ...config, image_processor_type: type };
}
