/** @file Masks of what a record says: one object, all of them, or a class per pixel. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { Box, ImageObject, ImageRecord } from '../imageRecord.ts';
import { readClassMask, readObjectMask } from './maskFile.ts';
import { maskOfPolygons } from './polygonMask.ts';
import { decodeRle } from './rle.ts';

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
