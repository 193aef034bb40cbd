/** @file Brings the channel layouts that image files come in to plain 8-bit RGB. */

/** Samples as a decoder gives them: `[height, width, channels]`, 8 or 16 bits each. */
export interface RawPixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly samples: Uint8Array | Uint16Array;
}

/**
 * Drops alpha without compositing (the colour under transparent pixels stays), repeats gray, and takes the high byte
 * of 16 bits. Returns `[height, width, 3]`; 8-bit RGB is returned as it is, without a copy.
 */
export function rgbPixels({ width, height, channels, samples }: RawPixels): Uint8Array {
  if (channels === 3 && samples instanceof Uint8Array) return samples;
  const shift = samples instanceof Uint16Array ? 8 : 0;
  // One channel is gray, two are gray and alpha, four are RGB and alpha.
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0, from = 0; at < rgb.length; at += 3, from += channels) {
    rgb[at] = samples[from]! >> shift;
    rgb[at + 1] = samples[from + green]! >> shift;
    rgb[at + 2] = samples[from + blue]! >> shift;
  }
  return rgb;
}

/**
 * Plain CMYK to RGB as Pillow does it, with no colour profile: each ink takes its share of what black leaves,
 * `r = (255 - k) - c (255 - k) / 255`. Only the first four channels count.
 */
export function cmykToRgb({ width, height, channels, samples }: RawPixels): Uint8Array {
  const shift = samples instanceof Uint16Array ? 8 : 0;
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0, from = 0; at < rgb.length; at += 3, from += channels) {
    const light = 255 - (samples[from + 3]! >> shift);
    for (let i = 0; i < 3; i++) {
      // x / 255, rounded, for x up to 255 * 255.
      const x = (samples[from + i]! >> shift) * light + 128;
      rgb[at + i] = light - (((x >> 8) + x) >> 8);
    }
  }
  return rgb;
}
