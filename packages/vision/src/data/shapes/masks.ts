/** @file Masks of a record, from a file or outlines: one object, all objects, or a class per pixel. */

import { OnnxLoraError } from '@onnx-lora/sdk/data';
import type { Mask } from '../../augment/sample.ts';
import { decodeNumbers } from '../../image/numbersFile.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { Box, ImageObject, ImageRecord } from '../imageRecord.ts';
import { maskOfPolygons, decodeRle } from './outlines.ts';

/**
 * Reads class numbers: gray values, or palette indices. 16-bit white becomes 255, usually the ignored class.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for colours, lossy formats, and numbers above 255
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
      `The mask "${file}" is a picture in colours, without class numbers. Save class numbers as gray, or with a palette.`,
    );
  }
  const data = new Uint8Array(numbers.length);
  for (let i = 0; i < data.length; i++) {
    const number = numbers[i]!;
    if (number > 255 && number !== 65535) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The mask "${file}" has the class number ${number}, and 255 is the highest. Number its classes again.`,
      );
    }
    data[i] = number;
  }
  return { width, height, data };
}

/**
 * Reads an object in white on black, or in any palette colour but the first, as ones. Gray edges count from the middle
 * up; zeros and ones are kept.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for an unreadable file
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
 * The object's mask in zeros and ones, from polygons or run lengths; undefined without either.
 * @param size of the image
 * @throws OnnxLoraError `DATA_INVALID` for run lengths of another size
 */
export function maskOfObject({ shape }: ImageObject, { width, height }: Size, place: string): Mask | undefined {
  if (!shape) return undefined;
  if (shape.kind === 'polygons') return maskOfPolygons(shape.rings, width, height);
  requireSize(shape, { width, height }, place);
  return decodeRle(shape);
}

/**
 * A record's mask in zeros and ones, from its file, or all its objects together; undefined without either.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for an unreadable mask, or one of another size than the image
 */
export async function maskOf(record: ImageRecord, size: Size): Promise<Mask | undefined> {
  if (record.mask !== undefined) {
    const mask = await readObjectMask(record.mask);
    requireSize(mask, size, `${record.place}: "${record.mask}"`);
    return mask;
  }
  // One mask at a time, since a thousand would not fit into memory.
  let data: Uint8Array | undefined;
  for (const object of record.objects ?? []) {
    const mask = maskOfObject(object, size, record.place)?.data;
    if (mask && data) for (let i = 0; i < mask.length; i++) data[i]! |= mask[i]!;
    else data ??= mask;
  }
  return data && { width: size.width, height: size.height, data };
}

/** Class numbers of {@link classMaskOf}. */
export interface ClassNumbers {
  /** Numbers by category; others stay background. */
  readonly numbers: ReadonlyMap<string, number>;
  /** The background's number. */
  readonly background: number;
  /** A crowd's number, which a loss should ignore; 255 by default. */
  readonly crowd?: number;
}

/**
 * A record's class map, from its mask file, or its objects painted by category, large ones first; undefined without
 * either.
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
  // The area of the object at each pixel, so that no mask has to be kept.
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

/** The bounding box of nonzero pixels; undefined if there are none. */
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
