/** @file Makes the transparent pixels of a GIF show their colours, as Pillow's `convert("RGB")` does; libvips makes them black. */

/**
 * The same GIF, in whose first picture nothing is transparent; `bytes` itself where that is so already.
 *
 * @see https://www.w3.org/Graphics/GIF/spec-gif89a.txt
 */
export function gifWithoutTransparency(bytes: Uint8Array): Uint8Array {
  const flags = bytes[10] ?? 0;
  // Behind the screen's size comes its palette, if it has one.
  let at = 13 + (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  while (bytes[at] === 0x21) {
    const isControl = bytes[at + 1] === 0xf9;
    if (isControl && (bytes[at + 3]! & 1) === 1) {
      const copy = bytes.slice();
      copy[at + 3]! &= ~1;
      return copy;
    }
    // Extensions are blocks of a length and as many bytes, up to an empty one.
    at += 2;
    while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!;
    at += 1;
  }
  return bytes;
}
