/** @file Quantized weights with a scale and a zero point per group: value = (code − zero) · scale. */

import { roundedToEven } from '../../runtime/halfFloat.ts';
import type { CodeType } from './codes.ts';

/** Integers with their scales and zero points. */
export interface Quantized {
  /** In row-major order of the weight. */
  readonly codes: Int32Array;
  readonly scales: Float32Array;
  /** One per scale; integers, unless the format stores fractions. */
  readonly zeros: Float32Array;
  readonly groupOf: (position: number) => number;
  readonly type: CodeType;
  readonly roundScale: (scale: number) => number;
  /** Whether zero points stay unchanged: not stored, or stored as fractions. */
  readonly zerosAreFixed: boolean;
  /** For the matrix `[in, out]` of an integer product: the number of outputs. */
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
 * Quantizes other numbers in the same format: each group gets the smallest scale that covers its extremes. Symmetric
 * weights stay symmetric, and codes stay in the used range, since some processors need the top bit of 8 free. Groups
 * that the old scale represents exactly keep it, so that requantizing dequantized numbers changes nothing.
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

/** The sign with the smaller scale: codes reach further below zero than above. */
function symmetricScale(least: number, most: number, zero: number, [low, high]: readonly [number, number]): number {
  const [above, below] = [high - zero, zero - low];
  // One-sided codes cannot represent one sign: keep the larger half.
  if (above <= 0 || below <= 0) return (most >= -least ? most : least) / (above > 0 ? above : -below);
  const plain = Math.max(most / above, -least / below);
  const flipped = Math.max(most / below, -least / above);
  return flipped < plain * (1 - 1e-6) ? -flipped : plain;
}

/** Largest sum of two adjacent codes of one sign if sums saturate: 255 times that fits 16 bits. */
const PAIR = 128;

/** Whether 8-bit codes avoid saturation of pairwise sums on any processor. */
function addedInPairs({ codes, columns, type, zerosAreFixed, zeros }: Quantized): boolean {
  if (!columns || type.name !== 'int8' || codes.length < 64) return false;
  if (!zerosAreFixed && zeros.some((zero) => zero !== 0)) return false;
  for (let i = 0; i < codes.length; i++) {
    const second = codes[i + columns] ?? 0;
    if (Math.floor(i / columns) % 2 === 0 && Math.abs(codes[i]! + second) > PAIR) return false;
  }
  return true;
}

/** Each number, or its sum with its neighbour along `in` if both have the same sign. */
function sumsOfPairs(values: Float32Array, columns: number): Float32Array {
  return values.map((value, i) => {
    const other = values[Math.floor(i / columns) % 2 === 0 ? i + columns : i - columns] ?? 0;
    return value > 0 === other > 0 ? value + other : value;
  });
}

/** The minimum (at most 0) and maximum (at least 0) of each group, interleaved. */
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

/** Flags groups in which every number equals a code's value up to rounding. */
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
    // Products with 16-bit codes are less precise in float32.
    const tolerance = 1e-3 + Math.abs(offset) * 2 ** -22;
    if (!(Math.abs(code - near) <= tolerance && near >= low && near <= high)) fits[group] = 0;
  }
  return fits;
}

/** The range of codes that a file uses: the full type, without its lowest code, or 7 of 8 bits. */
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
