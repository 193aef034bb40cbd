/** @file Images that a manifest names. */

import { fileInside } from '@onnx-lora/sdk/data';

/**
 * The path of an image that a manifest names, from `folder`.
 *
 * @throws OnnxLoraError `DATA_INVALID` when it is not below `folder`
 */
export function imageInside(folder: string, name: string, place: string): string {
  return fileInside(folder, name, place, 'imageFolder');
}
