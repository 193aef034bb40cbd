/** @file The preprocessor of a SAM, whose steps must be known to move prompts and masks along. */

import { OnnxLoraError, type PreprocessorFactory, type TaskModel } from '@onnx-lora/sdk';
import { ImagePreprocessor } from '../../preprocess/preprocessor.ts';
import { preprocessorOf } from '../../preprocess/preprocessorFile.ts';

/**
 * The model's preprocessor.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when there is none, its images are of no fixed size, or not of the graph's
 */
export async function samPreprocessor(
  model: TaskModel,
  factories: readonly PreprocessorFactory[],
): Promise<ImagePreprocessor> {
  const { preprocessor, path } = await preprocessorOf(model, factories);
  if (!(preprocessor instanceof ImagePreprocessor)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" is read by a preprocessor of your own, which cannot say where a point of an image ends up. Describe the preprocessing in preprocessor_config.json.`,
    );
  }
  const size = preprocessor.outputSize;
  if (!size) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" makes images of different sizes, and SAM takes one. Set "pad_size" as it was published.`,
    );
  }
  const [, , height, width] = model.inputs['pixel_values']?.dims ?? [];
  if ((typeof height === 'number' && height !== size.height) || (typeof width === 'number' && width !== size.width)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}" makes images of ${size.height} x ${size.width} (height x width), but "${model.name}" takes ${height} x ${width}. Take the preprocessor's file that was published with this model.`,
    );
  }
  return preprocessor;
}
