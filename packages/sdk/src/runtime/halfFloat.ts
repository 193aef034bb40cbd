/** @file Numbers in 16 bits, float16 and bfloat16, to and from float32: rounded to nearest, ties to even. */

const word = new Float32Array(1);
const bitsOf = new Uint32Array(word.buffer);

/** The bits of the nearest IEEE 754 half; beyond 65,504 infinity. */
export function toHalf(value: number): number {
  word[0] = value;
  const bits = bitsOf[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65,520 and more round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2^-14 a half has no leading one: its unit is 2^-24.
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

/** A number of at most 2^24 to the nearest integer, ties to even. */
export function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

// Typed arrays' own `from` with a function is ten times slower than a loop, and weights have billions of numbers.

/** Numbers as halves or bfloat16, by `toHalf` or `toBfloat16`. */
export function toShorts(values: ArrayLike<number>, convert: (value: number) => number): Uint16Array<ArrayBuffer> {
  const result = new Uint16Array(values.length);
  for (let i = 0; i < result.length; i++) result[i] = convert(values[i]!);
  return result;
}

/** The numbers that halves stand for. */
export function fromHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const result = new Float32Array(halves.length);
  for (let i = 0; i < result.length; i++) result[i] = fromHalf(halves[i]!);
  return result;
}

/** The numbers that bfloat16 stand for: the upper half of a float32. */
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
  // Below 2^-14 without a leading one.
  if (exponent === 0) return sign * fraction * 2 ** -24;
  bitsOf[0] = ((half & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13);
  return word[0]!;
}
