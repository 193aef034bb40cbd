/** @file Seeded random numbers for splits. */

/** Unsigned 32-bit numbers. Marsaglia, "Xorshift RNGs" (2003), with the triple 13, 17, 5. */
export function xorshift32(seed: number): () => number {
  // Spread by a multiplication, since small seeds start alike; 0 would stay 0.
  let state = Math.imul((seed | 0) + 1, 0x9e3779b1) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
