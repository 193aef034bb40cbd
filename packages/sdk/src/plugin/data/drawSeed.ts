/** @file Seeds for what is random about examples. */

/** The seed of one draw of a run: what differs in either gives other numbers. */
export function drawSeed(seed: number, draw: number): number {
  // A product with an odd number is a permutation of the 32-bit numbers, so that no two draws of a run are alike.
  return (Math.imul(seed, 0x9e3779b1) ^ Math.imul(draw + 1, 0x85ebca77)) >>> 0;
}
