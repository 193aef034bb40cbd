import { gzipSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deflateSync, gunzipped } from './compression.ts';

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('a page packs and unpacks what Node unpacks and packs, in pieces of any size', async () => {
  const repeated = fc.uint8Array({ maxLength: 40 }).chain((bytes) => fc.integer({ min: 1, max: 3000 }).map((count) => Uint8Array.from({ length: bytes.length * count }, (_, i) => bytes[i % bytes.length]!))); // prettier-ignore
  await fc.assert(
    fc.asyncProperty(repeated, fc.integer({ min: 1, max: 70_000 }), async (bytes, size) => {
      expect(new Uint8Array(inflateSync(deflateSync(bytes)))).toEqual(bytes);
      const unpacked: number[] = [];
      for await (const piece of gunzipped(pieces(new Uint8Array(gzipSync(bytes)), size))) for (const each of piece) unpacked.push(each); // prettier-ignore
      expect(Uint8Array.from(unpacked)).toEqual(bytes);
    }),
    { numRuns: 60, seed: 3 },
  );
});

test('a damaged file and one that was cut off are told as by Node, failures of the source as they are', async () => {
  const whole = new Uint8Array(gzipSync('one two three'.repeat(100)));
  const damaged = whole.slice();
  damaged[whole.length - 8]! ^= 255;
  for (const bytes of [damaged, whole.subarray(0, 20)]) {
    const read = async (): Promise<void> => {
      for await (const piece of gunzipped(pieces(bytes, 1000))) expect(piece.length).toBeGreaterThan(0);
    };
    await expect(read()).rejects.toMatchObject({ code: expect.stringMatching(/^Z_/) });
  }
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield whole.subarray(0, 9);
    throw new RangeError('the source');
  }
  const read = async (): Promise<void> => {
    for await (const piece of gunzipped(failing())) expect(piece.length).toBeGreaterThan(0);
  };
  await expect(read()).rejects.toThrow(new RangeError('the source'));
});
