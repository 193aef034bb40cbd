/** @file Conversion between float32 and float16 or bfloat16, rounding to nearest, ties to even. */

const word = new Float32Array(1);
const bitsOf = new Uint32Array(word.buffer);

/** The bits of the nearest IEEE 754 half; infinity above 65,504. */
export function toHalf(value: number): number {
  word[0] = value;
  const bits = bitsOf[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65,520 and more round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Subnormal halves below 2^-14 have the unit 2^-24.
  if (magnitude < 0x38800000) return sign | roundedToEven(Math.abs(word[0]) * 2 ** 24);
  const shifted = magnitude - 0x38000000;
  return sign | ((shifted + 0xfff + ((shifted >>> 13) & 1)) >>> 13);
}

/** The bits of the nearest bfloat16. */
export function toBfloat16(value: number): number {
  word[0] = value;
  const bits = bitsOf[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Rounds a number of at most 2^24 to the nearest integer, ties to even. */
export function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

// Loops instead of the typed arrays' `from`, which is ten times slower: weights have billions of numbers.

/** Converts numbers by `toHalf` or `toBfloat16`. */
export function toShorts(values: ArrayLike<number>, convert: (value: number) => number): Uint16Array<ArrayBuffer> {
  const result = new Uint16Array(values.length);
  for (let i = 0; i < result.length; i++) result[i] = convert(values[i]!);
  return result;
}

/** Converts halves to float32. */
export function fromHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const result = new Float32Array(halves.length);
  for (let i = 0; i < result.length; i++) result[i] = fromHalf(halves[i]!);
  return result;
}

/** Converts bfloat16 to float32, whose upper half it is. */
export function fromBfloat16s(shorts: Uint16Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(shorts.length);
  for (let i = 0; i < bits.length; i++) bits[i] = shorts[i]! << 16;
  return new Float32Array(bits.buffer);
}

function fromHalf(half: number): number {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  // Subnormal below 2^-14.
  if (exponent === 0) return sign * fraction * 2 ** -24;
  bitsOf[0] = ((half & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13);
  return word[0]!;
}
