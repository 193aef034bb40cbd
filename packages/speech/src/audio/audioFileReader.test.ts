/** @file Tests of the reader on WAV files made here, in spans and in streams. */

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Audio, type AudioSource, toMono } from './audio.ts';
import { audioFormats, AudioFileReader } from './audioFileReader.ts';
import type { AudioFormat } from './formats/audioFormat.ts';
import '../../../../test/support/seed.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'onnx-lora-wav-'));
});
afterAll(() => rm(folder, { recursive: true }));

const u16 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
const ascii = (text: string): number[] => [...Buffer.from(text, 'latin1')];
const chunk = (id: string, bytes: number[], size: number = bytes.length): number[] => [
  ...ascii(id),
  ...u32(size),
  ...bytes,
  ...(bytes.length % 2 ? [0] : []),
];
const fmt = (code: number, bits: number, channels = 1, rate = 8000, extension: number[] = []): number[] => {
  const frame = (channels * bits) / 8;
  return chunk('fmt ', [
    ...u16(code),
    ...u16(channels),
    ...u32(rate),
    ...u32(rate * frame),
    ...u16(frame),
    ...u16(bits),
    ...extension,
  ]);
};
const extensible = (code: number, bits: number): number[] =>
  fmt(0xfffe, bits, 1, 8000, [
    ...u16(22),
    ...u16(bits),
    ...u32(4),
    ...u16(code),
    ...Buffer.from('000000001000800000aa00389b71', 'hex'),
  ]);
const riff = (...chunks: number[][]): Uint8Array => {
  const body = [...ascii('WAVE'), ...chunks.flat()];
  return Uint8Array.from([...ascii('RIFF'), ...u32(body.length), ...body]);
};
const floats = (array: Float32Array | Float64Array): number[] => [...new Uint8Array(array.buffer)];

async function read(bytes: Uint8Array): Promise<Audio> {
  const file = join(folder, 'clip.wav');
  await writeFile(file, bytes);
  return new AudioFileReader().read(file);
}
const mono = async (bytes: Uint8Array): Promise<number[]> => [...((await read(bytes)).channels[0] ?? [])];

describe('WAV', () => {
  it('scales PCM of every depth to [-1, 1]', async () => {
    expect(await mono(riff(fmt(1, 8), chunk('data', [0, 128, 255, 129])))).toEqual([-1, 0, 127 / 128, 1 / 128]);
    expect(await mono(riff(fmt(1, 16), chunk('data', [0, 0x80, 1, 0, 0xff, 0x7f])))).toEqual([
      -1,
      1 / 32768,
      32767 / 32768,
    ]);
    expect(await mono(riff(fmt(1, 24), chunk('data', [0, 0, 0x80, 1, 0, 0, 0xff, 0xff, 0xff])))).toEqual([
      -1,
      2 ** -23,
      -(2 ** -23),
    ]);
    expect(await mono(riff(fmt(1, 32), chunk('data', [...u32(0x80000000), ...u32(1 << 30)])))).toEqual([-1, 0.5]);
  });

  it('takes floats as they are, beyond 1 too', async () => {
    expect(await mono(riff(fmt(3, 32), chunk('data', floats(new Float32Array([0.25, -1.5, 0])))))).toEqual([
      0.25, -1.5, 0,
    ]);
    expect(await mono(riff(fmt(3, 64), chunk('data', floats(new Float64Array([0.25, -1.5])))))).toEqual([0.25, -1.5]);
  });

  it('expands A-law and mu-law by the tables of G.711', async () => {
    const scaled = (values: number[]): number[] => values.map((value) => value / 32768);
    expect(await mono(riff(fmt(6, 8), chunk('data', [0xd5, 0x55, 0xaa, 0x2a, 0x80])))).toEqual(
      scaled([8, -8, 32256, -32256, 5504]),
    );
    expect(await mono(riff(fmt(7, 8), chunk('data', [0xff, 0x80, 0x00, 0xf0])))).toEqual(
      scaled([0, 32124, -32124, 120]),
    );
  });

  it('looks inside WAVE_FORMAT_EXTENSIBLE', async () => {
    expect(await mono(riff(extensible(3, 32), chunk('data', floats(new Float32Array([0.25])))))).toEqual([0.25]);
    expect(await mono(riff(extensible(1, 16), chunk('data', [0, 0x40])))).toEqual([0.5]);
  });

  it('separates channels and mixes them by their mean', async () => {
    const audio = await read(riff(fmt(1, 16, 2, 44_100), chunk('data', [0, 0x40, 0, 0, 0, 0xc0, 0, 0x40])));
    expect(audio).toEqual({
      sampleRate: 44_100,
      channels: [new Float32Array([0.5, -0.5]), new Float32Array([0, 0.5])],
    });
    expect([...toMono(audio)]).toEqual([0.25, 0]);
    expect([...toMono(audio, 1)]).toEqual([0.25]);
  });

  it('steps over padded chunks, however many, and takes no pad byte for a sample', async () => {
    const list = chunk('LIST', ascii('INFOISFT\x03\0\0\0abc'));
    expect(await mono(riff(list, fmt(1, 8), list, chunk('data', [0, 128, 0]), list))).toEqual([-1, 0, -1]);
    expect(await mono(riff(fmt(1, 24), chunk('data', [0, 0, 0x80]), list))).toEqual([-1]);
    const many = Array.from({ length: 500 }, () => list);
    expect(await mono(riff(fmt(1, 16), ...many, chunk('data', [0, 0x40])))).toEqual([0.5]);
  });

  it('reads to the end where the writer did not know the length, and drops a last part of a frame', async () => {
    expect(await mono(riff(fmt(1, 16), chunk('data', [0, 0x40, 0, 0xc0], 0xffff_ffff)))).toEqual([0.5, -0.5]);
    expect(await mono(riff(fmt(1, 16), chunk('data', [0, 0x40, 7])))).toEqual([0.5]);
  });

  it('reads RF64, whose lengths have 64 bits', async () => {
    const lengths = (data: number) =>
      chunk('ds64', [...u32(0), ...u32(0), ...u32(data), ...u32(0), ...u32(0), ...u32(0)]);
    const rf64 = (length: number): Uint8Array => {
      const bytes = riff(
        lengths(length),
        fmt(1, 16),
        chunk('data', [0, 0x40, 0, 0xc0], 0xffff_ffff),
        chunk('LIST', [1, 2]),
      );
      bytes.set(ascii('RF64'));
      return bytes;
    };
    expect(await mono(rf64(4))).toEqual([0.5, -0.5]);
    await expect(read(rf64(40))).rejects.toThrow('40 bytes of samples are announced, but only 14 follow');
  });

  const data = chunk('data', [0, 0]);
  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'is empty'],
    ['another format', Uint8Array.from(ascii('%PDF-1.7')), 'by its first bytes. Convert it'],
    ['another RIFF', Uint8Array.from([...ascii('RIFF'), ...u32(4), ...ascii('AVI ')]), 'not a WAV file. Convert it'],
    ['RIFX', Uint8Array.from([...ascii('RIFX'), ...u32(4), ...ascii('WAVE')]), 'is big-endian (RIFX)'],
    ['an RF64 file without sound', Uint8Array.from([...ascii('RF64'), ...u32(4), ...ascii('WAVE')]), 'no "fmt " chunk'],
    ['no chunks', riff(), 'no "fmt " chunk'],
    ['no samples', riff(fmt(1, 16)), 'no "data" chunk'],
    ['an empty data chunk', riff(fmt(1, 16), chunk('data', [])), 'holds no samples'],
    ['data before fmt', riff(data, fmt(1, 16)), '"data" chunk before'],
    ['a short fmt', riff(chunk('fmt ', [1, 0]), data), 'chunk of 2 bytes'],
    [
      'a truncated file',
      riff(fmt(1, 16), chunk('data', [0, 0], 1000)),
      'is cut short: 1000 bytes of samples are announced, but only 2 follow',
    ],
    ['MP3 in WAV', riff(fmt(0x55, 16), data), 'format 85 with 16 bits'],
    ['12 bits', riff(fmt(1, 12), data), 'format 1 with 12 bits'],
    ['16-bit float', riff(fmt(3, 16), data), 'format 3 with 16 bits'],
    ['no channels', riff(fmt(1, 16, 0), data), '0 channels'],
    ['a rate of 1 Hz', riff(fmt(1, 16, 1, 1), data), '1 Hz'],
    ['an unknown extensible subtype', riff(fmt(0xfffe, 16, 1, 8000, Array<number>(24).fill(9)), data), 'format 65534'],
    ['an extensible header without its end', riff(fmt(0xfffe, 16), data), 'format 65534'],
    ['a frame size that contradicts', riff([...fmt(1, 16)].with(20, 3), data), 'contradicts itself'],
    ['NaN', riff(fmt(3, 32), chunk('data', floats(new Float32Array([0, NaN])))), 'NaN at sample 1'],
  ])('refuses %s', async (_, bytes, message) => {
    const error = await read(bytes).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(OnnxLoraError);
    expect(error).toMatchObject({ code: 'DATA_INVALID', message: expect.stringContaining(message) });
    expect((error as Error).message).toContain(join(folder, 'clip.wav'));
  });

  it('refuses hours of sound before it allocates any', async () => {
    const file = join(folder, 'long.wav');
    const size = 8000 * 3601;
    await writeFile(file, riff(fmt(1, 8), chunk('data', [], size)));
    await truncate(file, 44 + size);
    const outcome = await new AudioFileReader().read(file).then(
      () => 'read',
      (error: OnnxLoraError) => `${error.code}: ${error.message}`,
    );
    expect(outcome).toMatch(/^DATA_INVALID: .*is too long to read at once: 3601 s/);
  });

  it('names a file that is missing, and a folder', async () => {
    const reader = new AudioFileReader();
    await expect(reader.read(join(folder, 'none.wav'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(reader.read(folder)).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });

  it('reads back any 16-bit samples', async () => {
    await fc.assert(
      fc.asyncProperty(fc.int16Array({ minLength: 1, maxLength: 50 }), async (samples) => {
        const got = await mono(
          riff(
            fmt(1, 16),
            chunk('data', [
              ...new Uint8Array(samples.buffer.slice(samples.byteOffset, samples.byteOffset + samples.byteLength)),
            ]),
          ),
        );
        expect(got).toEqual([...samples].map((sample) => sample / 32768));
      }),
      { numRuns: 50 },
    );
  });

  it('either reads or explains a damaged file', async () => {
    const sound = riff(fmt(1, 16, 2), chunk('LIST', ascii('INFO')), chunk('data', [1, 2, 3, 4, 5, 6, 7, 8]));
    await fc.assert(
      fc.asyncProperty(fc.nat(sound.length - 1), fc.nat(255), fc.nat(sound.length), async (at, value, end) => {
        const outcome = await read(sound.with(at, value).slice(0, end)).catch((cause: unknown) => cause);
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(OnnxLoraError);
      }),
      { numRuns: 300 },
    );
  });
});

/** Bytes of a WAV file with ramps in its channels: sample i of channel c is i + 100·c. */
const ramp = (frames: number, channels = 1, rate = 8000): Uint8Array => {
  const samples = Int16Array.from({ length: frames * channels }, (_, i) => {
    return Math.floor(i / channels) + 100 * (i % channels);
  });
  return riff(fmt(1, 16, channels, rate), chunk('data', [...new Uint8Array(samples.buffer)]));
};
const scaled = (...values: number[]): number[] => values.map((value) => value / 32_768);

async function* inPieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]!) {
    yield bytes.subarray(at, at + sizes[i % sizes.length]!);
  }
}

/** All pieces of a stream of sound. */
async function streamed(source: AudioSource | AsyncIterable<Uint8Array>): Promise<number[][][]> {
  const all: number[][][] = [];
  for await (const piece of (await new AudioFileReader().stream(source)).pieces)
    all.push(piece.map((each) => [...each]));
  return all;
}

describe('spans', () => {
  const reader = new AudioFileReader();

  it('begin and end at the nearest sample', async () => {
    const bytes = ramp(80, 2);
    const { channels } = await reader.read(bytes, { start: 10 / 8000 + 1e-5, end: 13 / 8000 - 1e-5 });
    expect(channels.map((each) => [...each])).toEqual([scaled(10, 11, 12), scaled(110, 111, 112)]);
    expect((await reader.read(bytes, { end: 0.001 })).channels[0]).toHaveLength(8);
    expect((await reader.read(bytes, { start: 0.009 })).channels[0]).toHaveLength(8);
  });

  it('of samples are like those of files', async () => {
    const audio = await reader.read(ramp(80, 2));
    const span = { start: 0.002, end: 0.005 };
    expect(await reader.read(audio, span)).toEqual(await reader.read(ramp(80, 2), span));
  });

  it('read nothing else: a span of ten hours, and what is broken elsewhere', async () => {
    const file = join(folder, 'hours.wav');
    const size = 8000 * 36_000;
    await writeFile(file, riff(fmt(1, 8), chunk('data', [], size)));
    await truncate(file, 44 + size);
    const { channels } = await reader.read(file, { start: 35_999, end: 36_000 });
    expect(channels[0]).toEqual(new Float32Array(8000).fill(-1));
    await expect(reader.read(file, { start: 100, end: 3701 })).rejects.toThrow('too long to read at once: 3601 s');

    const broken = riff(fmt(3, 32), chunk('data', floats(Float32Array.of(1, NaN, 2, 3))));
    expect((await reader.read(broken, { start: 2 / 8000 })).channels[0]).toEqual(Float32Array.of(2, 3));
    await expect(reader.read(broken, { start: 1 / 8000 })).rejects.toThrow('NaN at sample 1');
  });

  it('may end a little after the recording, for they are rounded, but not more', async () => {
    expect((await reader.read(ramp(80), { start: 0.005, end: 0.2 })).channels[0]).toHaveLength(40);
    await expect(reader.read(ramp(80), { start: 0, end: 0.6 })).rejects.toThrow(
      'is 0.01 s long, but a span from 0 to 0.6 s is asked for. Correct the span.',
    );
    await expect(reader.read(ramp(80), { start: 0.01 })).rejects.toThrow('a span from 0.01 to its end s');
    await expect(reader.read(ramp(80), { start: 0.005, end: 0.00501 })).rejects.toThrow('no sample from 0.005 to');
  });

  it.each([{ start: -1 }, { start: NaN }, { start: 2, end: 1 }, { end: 0 }, { start: Infinity }])(
    'refuses %o',
    async (span) => {
      await expect(reader.read(ramp(8), span)).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    },
  );
});

describe('streams', () => {
  it('give what reading gives, in pieces of a second, whatever comes in', async () => {
    const bytes = ramp(20_000, 2);
    const whole = (await new AudioFileReader().read(bytes)).channels.map((each) => [...each]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 5 }), async (sizes) => {
        const pieces = await streamed(inPieces(bytes, sizes));
        expect(pieces.map(([first]) => first!.length)).toEqual([8000, 8000, 4000]);
        expect([0, 1].map((c) => pieces.flatMap((piece) => piece[c]!))).toEqual(whole);
      }),
      { numRuns: 10 },
    );
  });

  it('read no further than is asked for, so that hours take no memory', async () => {
    let pulled = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield riff(fmt(1, 16), chunk('data', [], 0xffff_ffff));
      for (;;) {
        pulled += 16_000;
        yield new Uint8Array(16_000);
      }
    }
    let seconds = 0;
    for await (const [samples] of (await new AudioFileReader().stream(endless())).pieces) {
      expect(samples).toHaveLength(8000);
      expect(pulled).toBeLessThanOrEqual(16_000 * (seconds + 2));
      if (++seconds === 4000) break;
    }
    expect(seconds).toBe(4000);
  });

  it.each([
    ['ffmpeg', 0xffff_ffff],
    ['arecord', 0x8000_0000],
    ['SoX', 0x7fff_f000],
    ['GStreamer', 0],
  ])('go to the end where the writer, as %s, did not know the length', async (_, size) => {
    const bytes = riff(fmt(1, 16), chunk('data', [0, 0x40, 0, 0xc0, 7], size).slice(0, 13));
    expect(await streamed(inPieces(bytes, [7]))).toEqual([[[0.5, -0.5]]]);
    expect(await mono(bytes)).toEqual([0.5, -0.5]);
  });

  it('take an empty chunk before another for what it is', async () => {
    const bytes = riff(fmt(1, 16), chunk('data', []), chunk('LIST', ascii('INFO')));
    await expect(streamed(bytes)).rejects.toThrow('holds no samples');
    await expect(read(bytes)).rejects.toThrow('holds no samples');
  });

  it('throw at what is broken further on', async () => {
    const short = riff(fmt(1, 16), chunk('data', new Array<number>(20_000).fill(0), 40_000));
    await expect(streamed(inPieces(short, [999]))).rejects.toThrow(
      'The stream of sound is cut short: 40000 bytes of samples are announced, but only 20000 came.',
    );
    const nan = riff(fmt(3, 32), chunk('data', floats(new Float32Array(9000).fill(NaN, 8500))));
    await expect(streamed(nan)).rejects.toThrow('NaN at sample 8500');
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield ramp(100).subarray(0, 60);
      throw new Error('the line is dead');
    }
    await expect(streamed(broken())).rejects.toThrow(
      'The stream of sound broke off: the line is dead. Start it again.',
    );
  });

  it('let the source go when no more is wanted', async () => {
    let closed = 0;
    async function* source(head: Uint8Array): AsyncGenerator<Uint8Array> {
      try {
        yield head;
        for (;;) yield new Uint8Array(16_000);
      } finally {
        closed++;
      }
    }
    for await (const _ of (await new AudioFileReader().stream(source(ramp(8000)))).pieces) break;
    expect(closed).toBe(1);
    await expect(new AudioFileReader().stream(source(new Uint8Array(100)))).rejects.toThrow('none of WAV');
    expect(closed).toBe(2);
  });

  it('take bytes only', async () => {
    async function* text(): AsyncGenerator<Uint8Array> {
      yield 'RIFF' as never;
    }
    await expect(streamed(text())).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('string instead of bytes'),
    });
  });

  it('take samples', async () => {
    const audio = { sampleRate: 4, channels: [Float32Array.of(1, 2, 3, 4, 5)] };
    expect(await streamed(audio)).toEqual([[[1, 2, 3, 4]], [[5]]]);
  });
});

describe('samples', () => {
  const reader = new AudioFileReader();

  it('are looked at as files are', async () => {
    const channels = [Float32Array.of(1, Infinity)];
    await expect(reader.read({ sampleRate: 8000, channels })).rejects.toThrow(
      'The recording holds Infinity at sample 1',
    );
    await expect(reader.read({ sampleRate: 0, channels })).rejects.toThrow('positive whole number');
    await expect(reader.read({ sampleRate: 8000, channels: [] })).rejects.toThrow('holds no samples');
    await expect(
      reader.read({ sampleRate: 8000, channels: [new Float32Array(2), new Float32Array(3)] }),
    ).rejects.toThrow('equally long, not 2, 3');
  });
});

describe('many channels', () => {
  it('reads 64 of them at any rate in small pieces, and refuses 65', async () => {
    const frames = 20_000;
    const bytes = riff(fmt(1, 8, 64, 768_000), chunk('data', new Array<number>(frames * 64).fill(192)));
    const pieces = await streamed(bytes);
    expect(pieces.map((piece) => piece[0]!.length)).toEqual([2 ** 14, frames - 2 ** 14]);
    expect(pieces[0]![63]!.slice(0, 2)).toEqual([0.5, 0.5]);
    await expect(read(riff(fmt(1, 8, 65), chunk('data', [0])))).rejects.toThrow('says it has 65 channels');
  });
});

describe("formats of one's own", () => {
  it('are asked by the first bytes', async () => {
    const raw: AudioFormat = {
      name: 'RAW8',
      fileEndings: ['.raw8', '.wav'],
      recognises: (head) => head[0] === 0x2a,
      async open(bytes) {
        await bytes.skip(1);
        return {
          sampleRate: 8000,
          channels: 1,
          async *pieces() {
            yield [Float32Array.from(await bytes.take(100))];
          },
        };
      },
    };
    const reader = new AudioFileReader([...audioFormats, raw]);
    expect(reader.fileEndings).toEqual(expect.arrayContaining(['.wav', '.flac', '.mp3', '.ogg', '.opus', '.raw8']));
    expect((await reader.read(Uint8Array.of(0x2a, 1, 2))).channels).toEqual([Float32Array.of(1, 2)]);
  });
});
