/** @file Mask images: numbers of classes as they are stored, or one object as zeros and ones. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';
import { decodeNumbers } from '../../image/sharpNumbers.ts';

/**
 * Class numbers per pixel: gray values, or the indices of a palette, whatever its colours are. White of 16 bits becomes 255,
 * which usually means that nobody knows.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for colours, for lossy formats, and for numbers above 255
 */
export async function readClassMask(file: string): Promise<Mask> {
  const { width, height, numbers, isColour, format } = await decodeNumbers(file);
  if (format === 'jpeg' || format === 'webp' || format === 'avif') {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The mask "${file}" is ${format.toUpperCase()}, which changes numbers when it saves them. Save class numbers as PNG.`,
    );
  }
  if (isColour) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The mask "${file}" is a picture in colours, which do not say which class they are. Save class numbers as gray, or with a palette.`,
    );
  }
  const data = new Uint8Array(numbers.length);
  for (let i = 0; i < data.length; i++) {
    const number = numbers[i]!;
    if (number > 255 && number !== 65535) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The mask "${file}" has the class number ${number}, and 255 is the highest. Number its classes anew.`,
      );
    }
    data[i] = number;
  }
  return { width, height, data };
}

/**
 * An object in white on black, or in any colour of a palette but the first: ones where it is. Grays of smooth edges count from
 * the middle up; a mask of zeros and ones is taken as it is.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` when the file cannot be decoded
 */
export async function readObjectMask(file: string): Promise<Mask> {
  const { width, height, numbers, isPalette, highest } = await decodeNumbers(file);
  let most = 0;
  for (let i = 0; i < numbers.length; i++) most = Math.max(most, numbers[i]!);
  const from = isPalette || most <= 1 ? 1 : highest / 2;
  const data = new Uint8Array(numbers.length);
  for (let i = 0; i < data.length; i++) data[i] = numbers[i]! >= from ? 1 : 0;
  return { width, height, data };
}
