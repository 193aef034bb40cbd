/** @file Tests of what models are given to hear. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { monoAt, monoStreamAt } from './audio.ts';
import { resample, resampleStream } from './resample.ts';
import { AudioFileReader } from './audioFileReader.ts';
import '../../../../test/support/seed.ts';

const signal = (length: number, seed = 17): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * i * 31 + i * seed) % 2003) / 1001.5 - 1);

async function joined(pieces: AsyncIterable<Float32Array>): Promise<Float32Array> {
  const all: number[] = [];
  for await (const piece of pieces) all.push(...piece);
  return Float32Array.from(all);
}

/** Whether all bits are the same: `toEqual` takes long for so many numbers. */
const same = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));

describe('resampleStream', () => {
  const rates = fc.constantFrom(8000, 11_025, 16_000, 22_050, 44_100, 48_000, 7919);

  it('gives the very samples of resample, whatever the pieces', async () => {
    await fc.assert(
      fc.asyncProperty(rates, rates, fc.array(fc.nat(700), { maxLength: 12 }), async (from, to, sizes) => {
        const samples = signal(sizes.reduce((sum, size) => sum + size, 0));
        async function* pieces(): AsyncGenerator<Float32Array> {
          for (let i = 0, at = 0; i < sizes.length; at += sizes[i++]!) yield samples.subarray(at, at + sizes[i]!);
        }
        expect(same(await joined(resampleStream(pieces(), from, to)), resample(samples, from, to))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('gives all that is ready without waiting for more', async () => {
    let asked = 0;
    async function* pieces(): AsyncGenerator<Float32Array> {
      for (; asked < 100; asked++) yield signal(8000);
    }
    const first = await resampleStream(pieces(), 8000, 16_000).next();
    expect(asked).toBe(0);
    expect((first.value as Float32Array).length).toBeGreaterThan(15_900);
  });
});

describe('monoAt and monoStreamAt', () => {
  const reader = new AudioFileReader();
  const audio = { sampleRate: 8000, channels: [signal(20_000), signal(20_000, 5)] };
  const mean = audio.channels[0]!.map((sample, i) => (sample + audio.channels[1]![i]!) / 2);

  it('mix and resample', async () => {
    expect(same(await monoAt(reader, audio, 16_000), resample(mean, 8000, 16_000))).toBe(true);
    expect(same(await monoAt(reader, audio, 8000, { start: 0.5, end: 1.25 }), mean.slice(4000, 10_000))).toBe(true);
  });

  it('give the same samples', async () => {
    expect(same(await joined(monoStreamAt(reader, audio, 16_000)), await monoAt(reader, audio, 16_000))).toBe(true);
    expect(same(await joined(monoStreamAt(reader, audio, 8000)), mean)).toBe(true);
  });
});
