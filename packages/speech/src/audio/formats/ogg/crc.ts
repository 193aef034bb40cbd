/** @file The checksum of Ogg pages. */

const POLYNOMIAL = 0x04c1_1db7;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000_0000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** The cyclic redundancy check of `bytes`, of which numbers 22 to 25, where a page keeps it, count as 0. */
export function pageCrc(bytes: Uint8Array): number {
  let crc = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= 22 && i < 26 ? 0 : bytes[i]!;
    crc = (crc << 8) ^ table[(crc >>> 24) ^ byte]!;
  }
  return crc >>> 0;
}
