/** @file Colour adjustments, bit for bit as Pillow's except the hue; colour jitter and grayscale. */

import { checkRange, checkShare, type Range, type Random } from '@onnx-lora/sdk/data';
import type { Image } from '../image/image.ts';
import type { ProbabilityOptions } from './orientation.ts';
import type { Sample } from './sample.ts';

/** Blends with black. */
export function adjustBrightness(image: Image, factor: number): Image {
  return mapLevels(image, blendTable(factor, 0));
}

/** Blends with the image's mean gray. */
export function adjustContrast(image: Image, factor: number): Image {
  const gray = grayOf(image);
  let sum = 0;
  for (const level of gray) sum += level;
  return mapLevels(image, blendTable(factor, Math.trunc(sum / gray.length + 0.5)));
}

/** Blends with the gray image. */
export function adjustSaturation(image: Image, factor: number): Image {
  const gray = grayOf(image);
  const share = Math.fround(factor);
  const data = new Uint8Array(image.data.length);
  for (let i = 0, at = 0; at < data.length; i++, at += 3) {
    const from = gray[i]!;
    data[at] = blend(from, image.data[at]!, share);
    data[at + 1] = blend(from, image.data[at + 1]!, share);
    data[at + 2] = blend(from, image.data[at + 2]!, share);
  }
  return { ...image, data };
}

/** Blends with the smoothed image: each pixel weighs 5/13, its neighbours 1/13 each. */
export function adjustSharpness(image: Image, factor: number): Image {
  const { width, height, data: from } = image;
  const share = Math.fround(factor);
  const row = width * 3;
  // Border pixels are not smoothed.
  const data = from.slice();
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * row + 3; at < (y + 1) * row - 3; at++) {
      const above = at - row;
      const below = at + row;
      const around =
        from[above - 3]! + from[above]! + from[above + 3]! + from[at - 3]! + from[at + 3]! +
        from[below - 3]! + from[below]! + from[below + 3]!; // prettier-ignore
      const smooth = Math.floor((around + 5 * from[at]!) / 13 + 0.5);
      data[at] = blend(smooth, from[at]!, share);
    }
  }
  return { width, height, data };
}

/** Gray as `[height, width, 3]`. */
export function grayscale(image: Image): Image {
  const gray = grayOf(image);
  const data = new Uint8Array(image.data.length);
  for (let i = 0, at = 0; at < data.length; i++) {
    const level = gray[i]!;
    data[at++] = level;
    data[at++] = level;
    data[at++] = level;
  }
  return { ...image, data };
}

function mapLevels(image: Image, table: Uint8Array): Image {
  const { data: from } = image;
  const data = new Uint8Array(from.length);
  for (let i = 0; i < from.length; i++) data[i] = table[from[i]!]!;
  return { ...image, data };
}

/** ITU-R 601 luma with 16 fractional bits: Pillow's `convert("L")`. */
function grayOf({ data }: Image): Uint8Array {
  const gray = new Uint8Array(data.length / 3);
  for (let i = 0, at = 0; i < gray.length; i++, at += 3) {
    gray[i] = (data[at]! * 19595 + data[at + 1]! * 38470 + data[at + 2]! * 7471 + 0x8000) >> 16;
  }
  return gray;
}

function blendTable(factor: number, from: number): Uint8Array {
  const share = Math.fround(factor);
  return Uint8Array.from({ length: 256 }, (_, level) => blend(from, level, share));
}

/** `from + share (to − from)` in float32, clamped to 0 … 255. */
function blend(from: number, to: number, share: number): number {
  const value = Math.fround(from + Math.fround(share * (to - from)));
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.trunc(value);
}

/** Keeps the highest `bits` of each level. */
export function posterize(image: Image, bits: number): Image {
  const mask = 256 - 2 ** (8 - bits);
  return mapLevels(
    image,
    tableOf((level) => level & mask),
  );
}

/** Inverts levels from `threshold` on. */
export function solarize(image: Image, threshold: number): Image {
  return mapLevels(
    image,
    tableOf((level) => (level < threshold ? level : 255 - level)),
  );
}

/** Stretches each channel to 0 … 255. */
export function autoContrast(image: Image): Image {
  return mapChannels(image, (counts) => {
    const low = counts.findIndex((count) => count > 0);
    const high = counts.findLastIndex((count) => count > 0);
    if (high <= low) return tableOf((level) => level);
    const scale = 255 / (high - low);
    const offset = -low * scale;
    return tableOf((level) => Math.max(0, Math.min(255, Math.trunc(level * scale + offset))));
  });
}

/** Equalises each channel's histogram. */
export function equalize(image: Image): Image {
  return mapChannels(image, (counts) => {
    const last = counts.findLast((count) => count > 0) ?? 0;
    const total = counts.reduce((sum, count) => sum + count, 0);
    const step = Math.floor((total - last) / 255);
    if (step === 0) return tableOf((level) => level);
    let sum = Math.floor(step / 2);
    return Uint8Array.from(counts, (count) => {
      const level = Math.min(255, Math.floor(sum / step));
      sum += count;
      return level;
    });
  });
}

function tableOf(map: (level: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, level) => map(level));
}

/** Maps each channel by a table from its histogram. */
function mapChannels(image: Image, table: (counts: readonly number[]) => Uint8Array): Image {
  const { data: from } = image;
  const data = new Uint8Array(from.length);
  for (let channel = 0; channel < 3; channel++) {
    const counts = Array.from({ length: 256 }, () => 0);
    for (let at = channel; at < from.length; at += 3) counts[from[at]!]!++;
    const map = table(counts);
    for (let at = channel; at < from.length; at += 3) data[at] = map[from[at]!]!;
  }
  return { ...image, data };
}

/** Turns the hue in HSV by −0.5 to 0.5. @see https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative */
export function adjustHue(image: Image, turn: number): Image {
  const { data: from } = image;
  const data = new Uint8Array(from.length);
  for (let at = 0; at < from.length; at += 3) {
    const [red, green, blue] = [from[at]!, from[at + 1]!, from[at + 2]!];
    const value = Math.max(red, green, blue);
    const range = value - Math.min(red, green, blue);
    let sixths = 6 * turn + 6;
    if (range === 0) sixths = 0;
    else if (red === value) sixths += (green - blue) / range;
    else if (green === value) sixths += 2 + (blue - red) / range;
    else sixths += 4 + (red - green) / range;
    for (let channel = 0; channel < 3; channel++) {
      const k = (5 - 2 * channel + sixths) % 6;
      data[at + channel] = Math.round(value - range * Math.max(0, Math.min(k, 4 - k, 1)));
    }
  }
  return { ...image, data };
}

/** Random brightness, contrast, saturation and hue. */
export interface ColorJitter {
  readonly type: 'color-jitter';
  /** Range of the brightness factor; unchanged if absent. */
  readonly brightness?: Range;
  /** Range of the contrast factor; unchanged if absent. */
  readonly contrast?: Range;
  /** Range of the saturation factor; unchanged if absent. */
  readonly saturation?: Range;
  /** Range of the hue's turn on the colour circle, from −0.5 to 0.5; unchanged if absent. */
  readonly hue?: Range;
}

/** Random grayscale. */
export interface RandomGrayscale {
  readonly type: 'random-grayscale';
  /** Probability, 0 to 1. */
  readonly probability: number;
}

/** Options of {@link colorJitter}: a number x is the range from 1 − x, at least 0, to 1 + x. 0 by default. */
export interface ColorJitterOptions {
  /** 0 is black, 1 unchanged, 2 twice as bright. */
  readonly brightness?: number | Range;
  /** 0 is gray, 1 unchanged, 2 twice the contrast. */
  readonly contrast?: number | Range;
  /** 0 is grayscale, 1 unchanged, 2 twice as colourful. */
  readonly saturation?: number | Range;
  /** Turn of the colour circle, up to 0.5: a number x is the range from −x to x. */
  readonly hue?: number | Range;
}

/**
 * Jitters brightness, contrast, saturation and hue in random order: torchvision's `ColorJitter`.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
 */
export function colorJitter(options: ColorJitterOptions = {}): ColorJitter {
  const { hue } = options;
  return {
    type: 'color-jitter',
    ...factors('brightness', options.brightness),
    ...factors('contrast', options.contrast),
    ...factors('saturation', options.saturation),
    ...(hue !== undefined &&
      hue !== 0 && { hue: checkRange('hue', typeof hue === 'number' ? [-hue, hue] : hue, -0.5, 0.5) }),
  };
}

function factors(name: 'brightness' | 'contrast' | 'saturation', value: number | Range | undefined): object {
  if (value === undefined || value === 0) return {};
  if (typeof value !== 'number') return { [name]: checkRange(name, value, 0) };
  return { [name]: checkRange(name, [Math.max(0, 1 - value), 1 + value], 0) };
}

/**
 * Converts to grayscale, in one of ten draws by default.
 * @throws OnnxLoraError `CONFIG_INVALID` for a probability outside of 0 to 1
 */
export function randomGrayscale({ probability = 0.1 }: ProbabilityOptions = {}): RandomGrayscale {
  return { type: 'random-grayscale', probability: checkShare('probability', probability) };
}

const adjustments: readonly {
  readonly name: 'brightness' | 'contrast' | 'saturation' | 'hue';
  readonly adjust: (image: Image, factor: number) => Image;
}[] = [
  { name: 'brightness', adjust: adjustBrightness },
  { name: 'contrast', adjust: adjustContrast },
  { name: 'saturation', adjust: adjustSaturation },
  { name: 'hue', adjust: adjustHue },
];

/** Applies {@link colorJitter}. */
export function applyColorJitter(sample: Sample, ranges: ColorJitter, random: Random): Sample {
  let { image } = sample;
  for (const i of random.permutation(adjustments.length)) {
    const { name, adjust } = adjustments[i]!;
    const range = ranges[name];
    if (range) image = adjust(image, random.uniform(...range));
  }
  return { ...sample, image };
}

/** Applies {@link randomGrayscale}. */
export function applyRandomGrayscale(sample: Sample): Sample {
  return { ...sample, image: grayscale(sample.image) };
}
