/** @file Tests of the compressed formats, against ffmpeg, flac, oggdec and opusdec. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { OnnxLoraError } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { byteCursor } from '../byteCursor.ts';
import { AudioFileReader } from '../audioFileReader.ts';
import { pageCrc } from './ogg/oggPages.ts';
import { optionalPackage } from './audioFormat.ts';
import '../../../../../test/support/seed.ts';

interface Golden {
  rate: number;
  channels: number;
  frames: number;
  /** Σ|x| of each channel. */
  sums: number[];
  /** Which samples are stored: every so many. */
  every: number;
  samples: number[][];
}
const folder = fileURLToPath(new URL('../../fixtures/sounds/', import.meta.url));
const goldens = Object.entries(JSON.parse(readFileSync(`${folder}sounds.json`, 'utf8')) as Record<string, Golden>);
const fileOf = (name: string): Uint8Array => new Uint8Array(readFileSync(folder + name));
const reader = new AudioFileReader();

// The decoders print what is wrong, too.
let spy: ReturnType<typeof vi.spyOn>;
beforeAll(() => {
  spy = vi.spyOn(console, 'error').mockImplementation(() => undefined);
});
afterAll(() => spy.mockRestore());

/** The bytes in pieces of these sizes, over and over. */
async function* inPieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]!) {
    yield bytes.subarray(at, at + sizes[i % sizes.length]!);
  }
}

async function streamed(source: AsyncIterable<Uint8Array> | Uint8Array): Promise<Float32Array[]> {
  const { pieces } = await reader.stream(source);
  const channels: number[][] = [];
  for await (const piece of pieces) piece.forEach((channel, c) => (channels[c] ??= []).push(...channel));
  return channels.map((channel) => Float32Array.from(channel));
}

/** Whether two sounds are the same to the bit: `toEqual` takes seconds for so many numbers. */
function same(a: readonly Float32Array[], b: readonly Float32Array[]): boolean {
  const bytes = (channel: Float32Array) => Buffer.from(channel.buffer, channel.byteOffset, channel.byteLength);
  return a.length === b.length && a.every((channel, c) => bytes(channel).equals(bytes(b[c]!)));
}

const outcome = (bytes: Uint8Array) =>
  reader.read(bytes).then(
    ({ channels }) => channels,
    (error: unknown) => error as Error,
  );

describe.each(goldens)('%s', (name, golden) => {
  const isLossless = name.includes('flac') || name.endsWith('.oga');

  it('is decoded as by an independent decoder', async () => {
    const { sampleRate, channels } = await reader.read(folder + name);
    expect([sampleRate, channels.length, channels[0]!.length]).toEqual([golden.rate, golden.channels, golden.frames]);
    golden.samples.forEach((expected, c) => {
      const got = expected.map((_, i) => channels[c]![i * golden.every]!);
      // The golden numbers are rounded to 8 digits.
      const worst = Math.max(...got.map((sample, i) => Math.abs(sample - expected[i]!)));
      expect(worst).toBeLessThan(isLossless ? 1e-8 : 1e-6);
      const sum = channels[c]!.reduce((all, sample) => all + Math.abs(sample), 0);
      expect(Math.abs(sum / golden.sums[c]! - 1)).toBeLessThan(1e-6);
    });
  });

  it('is the same from bytes, and from a stream in any pieces', async () => {
    const whole = (await reader.read(fileOf(name))).channels;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 4 }), async (sizes) => {
        expect(same(await streamed(inPieces(fileOf(name), sizes)), whole)).toBe(true);
      }),
      { numRuns: 4 },
    );
  });

  it('gives spans that are parts of the whole, to the bit', async () => {
    const whole = await reader.read(fileOf(name));
    await fc.assert(
      fc.asyncProperty(fc.nat(golden.frames - 2), fc.nat(3000), async (from, length) => {
        const to = Math.min(from + length + 1, golden.frames);
        const { channels } = await reader.read(folder + name, { start: from / golden.rate, end: to / golden.rate });
        expect(
          same(
            channels,
            whole.channels.map((channel) => channel.slice(from, to)),
          ),
        ).toBe(true);
      }),
      { numRuns: 8 },
    );
    await expect(reader.read(folder + name, { start: 5 })).rejects.toThrow('Correct the span');
  });

  it('is refused when it is cut short', async () => {
    const bytes = fileOf(name);
    const whole = (await reader.read(bytes)).channels;
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), async (length) => {
        const got = await outcome(bytes.slice(0, length));
        if (got instanceof Error) expect(got).toBeInstanceOf(OnnxLoraError);
        // A file without a length that ends between two frames is not known to be cut; and a tag at the end may be.
        else if (name !== 'piped.flac') expect(same(got, whole)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  it('is refused, or right, when bytes are lost or changed', async () => {
    const bytes = fileOf(name);
    const whole = (await reader.read(bytes)).channels;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length - 1),
        fc.nat(40),
        fc.uint8Array({ maxLength: 3 }),
        async (at, lost, instead) => {
          const got = await outcome(Uint8Array.from([...bytes.slice(0, at), ...instead, ...bytes.slice(at + lost)]));
          if (got instanceof Error) expect(got).toBeInstanceOf(OnnxLoraError);
          // These have no checksums: other bytes in a frame are another sound.
          else if (!/mp3|m4a/.test(name)) expect(same(got, whole)).toBe(true);
        },
      ),
      { numRuns: 15 },
    );
  });
});

it('gives FLAC the integers that were encoded', async () => {
  const { channels } = await reader.read(`${folder}mono.flac`);
  const triangle = Array.from({ length: 9600 }, (_, i) => (Math.abs(((i * 8) % 1000) - 500) * 50 - 12_500) / 32_768);
  expect([...channels[0]!]).toEqual(triangle);
});

describe('hostile files', () => {
  it.each(['mono.ogg', 'mono.opus', 'stereo.opus', 'stereo.oga'])(
    'only errors of ours come of %s with changed bytes and mended checksums',
    async (name) => {
      const bytes = fileOf(name);
      const pages = pagesOf(bytes);
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat(255)), { maxLength: 5 }), async (changes) => {
          const changed = bytes.slice();
          for (const [page, place, value] of changes) {
            const [at, length] = pages[page % pages.length]!;
            changed[at + 27 + (place % (length - 27))] = value;
          }
          for (const [at, length] of pages) {
            const crc = pageCrc(changed.subarray(at, at + length));
            new DataView(changed.buffer).setUint32(at + 22, crc, true);
          }
          const got = await outcome(changed);
          if (got instanceof Error) expect(got).toBeInstanceOf(OnnxLoraError);
        }),
        { numRuns: 40 },
      );
    },
  );

  it.each([
    ['stsz', 8, 0xffff_fff0, 'packets of 4294967280 bytes are announced'],
    ['stsz', 12, 0x3f_fff0, 'a table of 4194288 entries does not fit'],
    ['stsz', 12, 0xffff_fff0, '4294967280 packets are announced, and at most 4194304 are read'],
    ['stsz', 20, 0xffff_fff0, 'packet 2 is beyond its end'],
    ['stts', 12, 0xffff_fff0, 'times of 4294967281'],
    ['stco', 12, 0xffff_fff0, 'packet 1 is beyond its end'],
    ['stsc', 12, 0xffff_fff0, 'its first chunk is missing'],
    ['mvhd', 16, 0xffff_fff0, 'holds no samples'],
    ['mp4a', 0, 0x61_6c_61_63, 'an MP4 file of "alac"'],
    ['moov', 0, 0, 'no table of what is in it'],
    ['soun', 0, 0, 'without sound'],
  ])('refuses an MP4 file whose %s says at %i that it is %i', async (box, at, value, message) => {
    const bytes = fileOf('mono.m4a');
    const place = Buffer.from(bytes).indexOf(box) + at;
    new DataView(bytes.buffer).setUint32(place, value);
    await expect(reader.read(bytes)).rejects.toThrow(message);
  });

  it('takes no more packets for a chunk than there are', async () => {
    const bytes = fileOf('mono.m4a');
    new DataView(bytes.buffer).setUint32(Buffer.from(bytes).indexOf('stsc') + 16, 0xffff_fff0);
    expect(same((await reader.read(bytes)).channels, (await reader.read(`${folder}mono.m4a`)).channels)).toBe(true);
  });

  it('refuses a FLAC file that claims ten hours, at once or at its end', async () => {
    const bytes = fileOf('mono.flac');
    new DataView(bytes.buffer).setUint32(8 + 14, 36_000 * 16_000);
    await expect(reader.read(bytes)).rejects.toThrow('too long to read at once: 36000 s');
    await expect(streamed(bytes)).rejects.toThrow('576000000 samples are announced, but 9600 came');
  });

  it('refuses rates that no recording has, of which a second would be resampled to gigabytes', async () => {
    const slow = fileOf('mono.flac');
    // Twenty bits of rate; the four below are channels and depth.
    slow.set([0, 0, 0x10 | (slow[20]! & 15)], 18);
    await expect(streamed(slow)).rejects.toThrow('says its rate is 1 Hz; 1000 to 768000 are read');
    const fast = fileOf('mono.ogg');
    const [[at, length]] = pagesOf(fast) as [[number, number]];
    const view = new DataView(fast.buffer);
    view.setUint32(Buffer.from(fast).indexOf('\x01vorbis') + 12, 0xffff_ffff, true);
    view.setUint32(at + 22, pageCrc(fast.subarray(at, at + length)), true);
    await expect(reader.read(fast)).rejects.toThrow('says its rate is 4294967295 Hz');
  });

  it('refuses Ogg recordings behind each other, of which only the first would be heard', async () => {
    for (const name of ['mono.ogg', 'mono.opus']) {
      const twice = Buffer.concat([fileOf(name), fileOf(name)]);
      await expect(reader.read(twice), name).rejects.toThrow('holds more than one stream');
    }
  });

  it('refuses an MP3 file whose tag announces more frames', async () => {
    const bytes = fileOf('mono.mp3');
    const at = Buffer.from(bytes).indexOf('Info');
    new DataView(bytes.buffer).setUint32(at + 8, 1000);
    await expect(reader.read(bytes)).rejects.toThrow('1000 frames are announced, but only');
  });

  it('finds the sound of an MP3 file behind and before tags', async () => {
    const { channels } = await reader.read(`${folder}mono.mp3`);
    const picture = [...Buffer.from('ID3\x04\0\0\0\0\x02\x01', 'latin1'), ...new Uint8Array(257).fill(255)];
    const old = [...Buffer.from('TAGtitle'), ...new Uint8Array(120)];
    const tagged = Uint8Array.from([...picture, 0, 0, ...fileOf('mono.mp3'), ...old]);
    expect((await reader.read(tagged)).channels).toEqual(channels);
  });

  it('tells what is no sound, and what is in Ogg but not read', async () => {
    await expect(reader.read(Uint8Array.from(Buffer.from('ID3 not really')))).rejects.toThrow(
      'no MP3 file behind its tag',
    );
    await expect(reader.read(Uint8Array.from(Buffer.from('OggS\0theora')))).rejects.toThrow(
      'not begin with Opus, Vorbis',
    );
    await expect(reader.read(Uint8Array.from(Buffer.from('<html>')))).rejects.toThrow(
      'none of WAV, FLAC, MP3, Ogg, MP4',
    );
  });

  it('names the package that is missing', async () => {
    const missing = () => Promise.reject(new Error("Cannot find package 'some-decoder'"));
    await expect(
      optionalPackage(await byteCursor(new Uint8Array(3)), 'MP3', 'some-decoder', missing),
    ).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('The sound of 3 bytes is MP3, which the package some-decoder decodes'),
    });
  });
});

/** Place and length of every page of an Ogg file. */
function pagesOf(bytes: Uint8Array): [number, number][] {
  const pages: [number, number][] = [];
  for (let at = 0; at < bytes.length;) {
    const segments = bytes.subarray(at + 27, at + 27 + bytes[at + 26]!);
    const length = 27 + segments.length + segments.reduce((sum, each) => sum + each, 0);
    pages.push([at, length]);
    at += length;
  }
  return pages;
}
