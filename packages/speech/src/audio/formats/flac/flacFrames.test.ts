/** @file Tests that FLAC frames are found, and their checksums looked at. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteCursor } from '../../byteCursor.ts';
import { flacFrames } from './flac.ts';
import '../../../../../../test/support/seed.ts';

const file = new Uint8Array(readFileSync(new URL('../../../fixtures/sounds/piped.flac', import.meta.url)));
/** Where the first frame begins: behind the last block of metadata. */
const start = (() => {
  for (let at = 4; ;) {
    const length = file[at + 1]! * 65_536 + file[at + 2]! * 256 + file[at + 3]!;
    const isLast = (file[at]! & 0x80) !== 0;
    at += 4 + length;
    if (isLast) return at;
  }
})();

async function framesOf(bytes: Uint8Array): Promise<{ length: number; samples: number }[]> {
  const frames = [];
  for await (const { bytes: frame, samples } of flacFrames(await byteCursor(bytes))) {
    frames.push({ length: frame.length, samples });
  }
  return frames;
}

describe('flacFrames', () => {
  it('finds every frame, and all there is between them', async () => {
    const frames = await framesOf(file.subarray(start));
    expect(frames.map(({ samples }) => samples)).toEqual([1152, 1152, 1152, 1152, 1152, 1152, 1152, 1152, 384]);
    expect(frames.reduce((sum, { length }) => sum + length, start)).toBe(file.length);
  });

  it('refuses any changed byte', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: start, max: file.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, change) => {
          const changed = file.slice();
          changed[at]! ^= change;
          await expect(framesOf(changed.subarray(start))).rejects.toThrow(/is damaged/);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuses a lost frame, a cut one, and what is no frame', async () => {
    const [first, second] = await framesOf(file.subarray(start));
    const without = [
      ...file.subarray(start, start + first!.length),
      ...file.subarray(start + first!.length + second!.length),
    ];
    await expect(framesOf(Uint8Array.from(without))).rejects.toThrow('something is missing after frame 1');
    await expect(framesOf(file.subarray(start, file.length - 1))).rejects.toThrow('cut short in frame 9');
    await expect(framesOf(new Uint8Array(40))).rejects.toThrow('what follows frame 0 is no frame');
  });
});
