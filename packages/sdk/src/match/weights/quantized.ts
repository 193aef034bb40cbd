/** @file Weights stored as integers with a scale and a zero point per group: value = (code − zero) · scale. */

import { roundedToEven } from '../../runtime/halfFloat.ts';
import type { CodeType } from './codes.ts';

/** Integers with their scales, as numbers. */
export interface Quantized {
  /** In row-major order of the weight. */
  readonly codes: Int32Array;
  readonly scales: Float32Array;
  /** One per scale; whole numbers, unless the format stores fractions. */
  readonly zeros: Float32Array;
  /** To which scale the number at a position belongs. */
  readonly groupOf: (position: number) => number;
  readonly type: CodeType;
  /** Rounds a scale to the type that it is stored in. */
  readonly roundScale: (scale: number) => number;
  /** Zero points that the file does not store, or stores as fractions, stay as they are. */
  readonly zerosAreFixed: boolean;
  /** Of a matrix `[in, out]` that integers are multiplied with: how many outputs there are. */
  readonly columns?: number;
}

/** (code − zero) · scale. */
export function dequantize({ codes, scales, zeros, groupOf }: Quantized): Float32Array {
  const values = new Float32Array(codes.length);
  for (let i = 0; i < values.length; i++) {
    const group = groupOf(i);
    values[i] = (codes[i]! - zeros[group]!) * scales[group]!;
  }
  return values;
}

/**
 * Other numbers in the same format: each group gets the smallest scale that reaches its extremes. A symmetric weight, whose
 * zero points are all in the middle of the codes, stays symmetric, and codes stay in the range that was used, since some processors need the upper bit of 8 free. A group whose
 * numbers all have a code already keeps its scale, so that quantising what was dequantised changes nothing.
 */
export function requantize(values: Float32Array, before: Quantized): Pick<Quantized, 'codes' | 'scales' | 'zeros'> {
  const { groupOf, roundScale } = before;
  const [low, high] = usedRange(before);
  const [zero = 0] = before.zeros;
  const isCentred = Math.abs(zero - (low + high) / 2) <= 1 && before.zeros.every((each) => each === zero);
  const isSymmetric = before.zerosAreFixed || isCentred;
  const scales = before.scales.slice();
  const zeros = before.zeros.slice();
  const extremes = groupExtremes(addedInPairs(before) ? sumsOfPairs(values, before.columns!) : values, scales.length, groupOf); // prettier-ignore
  const kept = groupsThatFit(values, before, [low, high]);
  for (let group = 0; group < scales.length; group++) {
    const [least, most] = [extremes[2 * group]!, extremes[2 * group + 1]!];
    if (kept[group] || (least === 0 && most === 0)) continue;
    if (isSymmetric) scales[group] = roundScale(symmetricScale(least, most, zeros[group]!, [low, high]));
    else {
      scales[group] = roundScale((most - least) / (high - low));
      zeros[group] = clamp(roundedToEven(low - least / scales[group]!), low, high);
    }
  }
  const codes = Int32Array.from(values, (value, i) => {
    const group = groupOf(i);
    const code = scales[group] === 0 ? zeros[group]! : value / scales[group]! + zeros[group]!;
    return clamp(roundedToEven(code), low, high);
  });
  return { codes, scales, zeros };
}

/** Of two signs of the scale, the one that needs the smaller scale: codes reach further below zero than above. */
function symmetricScale(least: number, most: number, zero: number, [low, high]: readonly [number, number]): number {
  const [above, below] = [high - zero, zero - low];
  // Where codes lie on one side of zero only, the numbers of one sign have none: those of the larger half are kept.
  if (above <= 0 || below <= 0) return (most >= -least ? most : least) / (above > 0 ? above : -below);
  const plain = Math.max(most / above, -least / below);
  const flipped = Math.max(most / below, -least / above);
  return flipped < plain * (1 - 1e-6) ? -flipped : plain;
}

/** Two rounded neighbours of one sign are at most so much together where sums saturate: 255 times that fits 16 bits. */
const PAIR = 128;

/** Whether the codes are such that no processor cuts off what it adds of two neighbours, though they are of 8 bits. */
function addedInPairs({ codes, columns, type, zerosAreFixed, zeros }: Quantized): boolean {
  if (!columns || type.name !== 'int8' || codes.length < 64) return false;
  if (!zerosAreFixed && zeros.some((zero) => zero !== 0)) return false;
  for (let i = 0; i < codes.length; i++) {
    const second = codes[i + columns] ?? 0;
    if (Math.floor(i / columns) % 2 === 0 && Math.abs(codes[i]! + second) > PAIR) return false;
  }
  return true;
}

/** Each number, or its sum with its neighbour along `in` where both have one sign. */
function sumsOfPairs(values: Float32Array, columns: number): Float32Array {
  return values.map((value, i) => {
    const other = values[Math.floor(i / columns) % 2 === 0 ? i + columns : i - columns] ?? 0;
    return value > 0 === other > 0 ? value + other : value;
  });
}

/** The least (at most 0) and the largest (at least 0) number of each group, side by side. */
function groupExtremes(values: Float32Array, groups: number, groupOf: (i: number) => number): Float64Array {
  const extremes = new Float64Array(2 * groups);
  for (let i = 0; i < values.length; i++) {
    const at = 2 * groupOf(i);
    const value = values[i]!;
    if (value < extremes[at]!) extremes[at] = value;
    else if (value > extremes[at + 1]!) extremes[at + 1] = value;
  }
  return extremes;
}

/** Groups in which every number is a code's value to within rounding. */
function groupsThatFit(values: Float32Array, before: Quantized, [low, high]: readonly [number, number]): Uint8Array {
  const { scales, zeros, groupOf } = before;
  const fits = new Uint8Array(scales.length).fill(1);
  for (let i = 0; i < values.length; i++) {
    const group = groupOf(i);
    if (!fits[group]) continue;
    const scale = scales[group]!;
    const offset = scale === 0 ? (values[i] === 0 ? 0 : NaN) : values[i]! / scale;
    const code = offset + zeros[group]!;
    const near = Math.round(code);
    // Products of codes of 16 bits lose more than that in float32.
    const tolerance = 1e-3 + Math.abs(offset) * 2 ** -22;
    if (!(Math.abs(code - near) <= tolerance && near >= low && near <= high)) fits[group] = 0;
  }
  return fits;
}

/** The codes that a file uses: all of the type, without its lowest, or 7 of 8 bits. */
function usedRange({ codes, zeros, type }: Quantized): readonly [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (const code of codes) {
    if (code < least) least = code;
    if (code > most) most = code;
  }
  const isSigned = type.min < 0;
  const [reducedMin, reducedMax] = isSigned ? [-64, 64] : [0, 127];
  const isInside = (code: number): boolean => code >= reducedMin && code <= reducedMax;
  const isReduced = isInside(least) && isInside(most) && zeros.every(isInside) && most >= reducedMax / 2;
  if (type.bits === 8 && codes.length >= 64 && isReduced) return [reducedMin, reducedMax];
  return [isSigned && least > type.min ? type.min + 1 : type.min, type.max];
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
