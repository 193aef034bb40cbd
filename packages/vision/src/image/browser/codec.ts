/** @file Decodes and encodes images by the browser. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { readFile } from '@onnx-lora/sdk/platform';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { Header, NumberSamples } from '../codec.ts';
import type { Image } from '../image.ts';
import type { ImageFormat } from '../imageFile.ts';

/** The parts of the browser's API that are used; the DOM's types would make all of its names known to Node's code. */
interface Bitmap {
  readonly width: number;
  readonly height: number;
  close(): void;
}
interface Context {
  imageSmoothingQuality: string;
  drawImage(image: Bitmap, left: number, top: number, width: number, height: number): void;
  getImageData(left: number, top: number, width: number, height: number): { readonly data: Uint8ClampedArray };
  putImageData(pixels: object, left: number, top: number): void;
}
/** WebGL's functions, and the numbers of its constants. */
interface Graphics {
  readonly [constant: `${'TEXTURE' | 'RGBA' | 'UN' | 'NONE' | 'FRAME' | 'COLOR' | 'MAX'}${string}`]: number;
  createTexture(): object;
  createFramebuffer(): object;
  bindTexture(target: number, texture: object): void;
  bindFramebuffer(target: number, buffer: object): void;
  framebufferTexture2D(target: number, attachment: number, kind: number, texture: object, level: number): void;
  pixelStorei(name: number, value: boolean | number): void;
  texImage2D(target: number, level: number, inside: number, format: number, type: number, image: Bitmap): void;
  readPixels(left: number, top: number, width: number, height: number, format: number, type: number, into: Uint8Array): void; // prettier-ignore
  getError(): number;
}
interface Scope {
  createImageBitmap(blob: Blob, options: object): Promise<Bitmap>;
  readonly OffscreenCanvas: new (
    width: number,
    height: number,
  ) => {
    getContext(kind: '2d', options: object): Context;
    getContext(kind: 'webgl2'): Graphics | null;
    convertToBlob(options: object): Promise<Blob>;
  };
  readonly ImageData: new (data: Uint8ClampedArray, width: number) => object;
}
const page = globalThis as unknown as Scope;

const MOST_PIXELS = 100_000_000;

/** Upright, without colour profiles. */
async function bitmapOf(bytes: Uint8Array): Promise<Bitmap> {
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>]);
  return page.createImageBitmap(blob, { imageOrientation: 'from-image', premultiplyAlpha: 'none', colorSpaceConversion: 'none' }); // prettier-ignore
}

/** Red, green, blue and alpha of a bitmap, drawn with this size. */
function drawn(bitmap: Bitmap, { width, height }: Size): Uint8ClampedArray {
  const canvas = new page.OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

export async function decodeRgb(
  bytes: Uint8Array,
  format: ImageFormat,
  _maxPixels: number,
  check: (header: Header) => void,
): Promise<Image> {
  if (format === 'tiff') throw new OnnxLoraError('DATA_INVALID', 'Browsers read no TIFF. Save the image as PNG.');
  const bitmap = await bitmapOf(bytes);
  const { width, height } = bitmap;
  let rgba: ArrayLike<number>;
  try {
    check({ width, height, depth: 'uchar', space: 'srgb' });
    rgba = drawn(bitmap, bitmap);
    if (isTransparent(rgba)) rgba = underneath(bitmap);
  } finally {
    bitmap.close();
  }
  const data = new Uint8Array(width * height * 3);
  for (let at = 0, from = 0; at < data.length; at += 3, from += 4) {
    data[at] = rgba[from]!;
    data[at + 1] = rgba[from + 1]!;
    data[at + 2] = rgba[from + 2]!;
  }
  return { width, height, data };
}

function isTransparent(rgba: ArrayLike<number>): boolean {
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at] !== 255) return true;
  return false;
}

/** Red, green, blue and alpha, with the colours beneath transparency, which canvases lose but textures keep. */
function underneath(bitmap: Bitmap): Uint8Array {
  const { width, height } = bitmap;
  const gl = new page.OffscreenCanvas(1, 1).getContext('webgl2');
  if (!gl) throw new Error('it is transparent, for which this browser needs WebGL');
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D!, texture);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL!, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL!, gl.NONE!);
  gl.texImage2D(gl.TEXTURE_2D!, 0, gl.RGBA!, gl.RGBA!, gl.UNSIGNED_BYTE!, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER!, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER!, gl.COLOR_ATTACHMENT0!, gl.TEXTURE_2D!, texture, 0);
  const rgba = new Uint8Array(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA!, gl.UNSIGNED_BYTE!, rgba);
  if (gl.getError() !== 0)
    throw new Error(`it is transparent, and too large for WebGL with ${width} x ${height} pixels`);
  return rgba;
}

export async function sampleFacts(): Promise<{ bits: number; isGray: boolean }> {
  return { bits: 8, isGray: false };
}

export async function decodeSamples(bytes: Uint8Array, { bits }: { readonly bits: number }): Promise<NumberSamples> {
  if (bits === 16) throw new Error('browsers read 8 of its 16 bits');
  const { width, height, data } = await decodeRgb(bytes, 'png', MOST_PIXELS, ({ width, height }) => {
    if (width * height > MOST_PIXELS) throw new Error(`it has ${width} x ${height} pixels`);
  });
  return { width, height, channels: 3, samples: data };
}

export async function imageSizeOf(file: string): Promise<Size> {
  try {
    const bitmap = await bitmapOf(await readFile(file));
    const { width, height } = bitmap;
    bitmap.close();
    return { width, height };
  } catch (cause) {
    throw new OnnxLoraError('DATA_INVALID', `Cannot read the size of the image "${file}": ${(cause as Error).message}. Replace the file.`, { cause }); // prettier-ignore
  }
}

export async function greyThumbnail(file: string, edge: number): Promise<Uint8Array | undefined> {
  try {
    const bitmap = await bitmapOf(await readFile(file));
    const rgba = drawn(bitmap, { width: edge, height: edge });
    bitmap.close();
    // Luma of Rec. 709.
    return Uint8Array.from({ length: edge * edge }, (_, i) => 0.2126 * rgba[4 * i]! + 0.7152 * rgba[4 * i + 1]! + 0.0722 * rgba[4 * i + 2]!); // prettier-ignore
  } catch {
    return undefined;
  }
}

export function webp(image: Image): Promise<Uint8Array> {
  return encoded(image, { type: 'image/webp', quality: 0.8 });
}

export function png(image: Image): Promise<Uint8Array> {
  return encoded(image, { type: 'image/png' });
}

async function encoded(
  { width, height, data }: Image,
  options: { readonly type: string; readonly quality?: number },
): Promise<Uint8Array> {
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let at = 0, from = 0; from < data.length; at += 4, from += 3) rgba.set(data.subarray(from, from + 3), at);
  const canvas = new page.OffscreenCanvas(width, height);
  canvas.getContext('2d', {}).putImageData(new page.ImageData(rgba, width), 0, 0);
  const blob = await canvas.convertToBlob(options);
  return new Uint8Array(await blob.arrayBuffer());
}
