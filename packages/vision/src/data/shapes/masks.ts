/** @file Masks of what a record says, in a file or as outlines: one object, all of them, or a class per pixel. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';
import { decodeNumbers } from '../../image/sharpNumbers.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { Box, ImageObject, ImageRecord } from '../imageRecord.ts';
import { maskOfPolygons } from './polygonMask.ts';
import { decodeRle } from './rle.ts';

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

/**
 * The object's pixels as zeros and ones, from its polygons or run lengths; undefined where it has neither.
 *
 * @param size of the image
 * @throws OnnxLoraError `DATA_INVALID` when its run lengths are of another size
 */
export function maskOfObject({ shape }: ImageObject, { width, height }: Size, place: string): Mask | undefined {
  if (!shape) return undefined;
  if (shape.kind === 'polygons') return maskOfPolygons(shape.rings, width, height);
  requireSize(shape, { width, height }, place);
  return decodeRle(shape);
}

/**
 * What a record shows as one object, in zeros and ones: its mask file, or all its objects together. Undefined where it says
 * nothing of pixels.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` when the mask cannot be read, or is not of the image's size
 */
export async function maskOf(record: ImageRecord, size: Size): Promise<Mask | undefined> {
  if (record.mask !== undefined) {
    const mask = await readObjectMask(record.mask);
    requireSize(mask, size, `${record.place}: "${record.mask}"`);
    return mask;
  }
  // One mask at a time: those of a thousand objects would not fit into memory.
  let data: Uint8Array | undefined;
  for (const object of record.objects ?? []) {
    const mask = maskOfObject(object, size, record.place)?.data;
    if (mask && data) for (let i = 0; i < mask.length; i++) data[i]! |= mask[i]!;
    else data ??= mask;
  }
  return data && { width: size.width, height: size.height, data };
}

/** How {@link classMaskOf} numbers what it paints. */
export interface ClassNumbers {
  /** Numbers of the categories; objects of others stay background. */
  readonly numbers: ReadonlyMap<string, number>;
  /** The number where there is no object. */
  readonly background: number;
  /** The number of a crowd, which a loss should ignore; 255 by default. */
  readonly crowd?: number;
}

/**
 * A class per pixel: the numbers of the record's mask file as they are stored, or its objects painted with their categories'
 * numbers, large ones first. Undefined where it says nothing of pixels.
 *
 * @throws OnnxLoraError as {@link maskOf}
 */
export async function classMaskOf(
  record: ImageRecord,
  size: Size,
  { numbers, background, crowd = 255 }: ClassNumbers,
): Promise<Mask | undefined> {
  if (record.mask !== undefined) {
    const mask = await readClassMask(record.mask);
    requireSize(mask, size, `${record.place}: "${record.mask}"`);
    return mask;
  }
  if (!record.objects) return undefined;
  const data = new Uint8Array(size.width * size.height).fill(background);
  // The area of what each pixel shows, so that masks need not be kept until all areas are known.
  const shown = new Float32Array(data.length).fill(Infinity);
  for (const object of record.objects) {
    const number = object.crowd ? crowd : numbers.get(object.category ?? '');
    const mask = number === undefined ? undefined : maskOfObject(object, size, record.place)?.data;
    if (!mask) continue;
    const area = Math.fround(mask.reduce((sum, each) => sum + each, 0));
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] === 0 || area > shown[i]!) continue;
      data[i] = number!;
      shown[i] = area;
    }
  }
  return { width: size.width, height: size.height, data };
}

/** The smallest box around what is not zero; undefined where all is. */
export function boxOfMask({ width, height, data }: Mask): Box | undefined {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (data[i] === 0) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  return right === 0 ? undefined : [left, top, right, bottom];
}

function requireSize(mask: Size, image: Size, place: string): void {
  if (mask.width === image.width && mask.height === image.height) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the mask has ${mask.width} x ${mask.height} pixels, but its image has ${image.width} x ${image.height}. Make them the same size.`,
  );
}
