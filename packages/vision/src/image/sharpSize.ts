/** @file Sizes of images from their headers. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Size } from '../preprocess/imagePlan.ts';

/** The size of an image as it is shown, without decoding it. @throws OnnxLoraError `DATA_INVALID`, naming the file */
export async function imageSizeOf(file: string): Promise<Size> {
  const { default: sharp } = await import('sharp');
  try {
    const { autoOrient } = await sharp(file, { limitInputPixels: false }).metadata();
    return { width: autoOrient.width, height: autoOrient.height };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.trim().split('\n')[0]! : String(cause);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Cannot read the size of the image "${file}": ${reason}. Replace the file.`,
      {
        cause,
      },
    );
  }
}
