/** @file Tests of the WAV reader, on files made here. */

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toMono, type Audio } from './audio.ts';
import { WavefileReader } from './wavefileReader.ts';

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
  return new WavefileReader().read(file);
}
const mono = async (bytes: Uint8Array): Promise<number[]> => [...((await read(bytes)).channels[0] ?? [])];

describe('WavefileReader', () => {
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

  const data = chunk('data', [0, 0]);
  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'not a WAV file'],
    ['another format', Uint8Array.from(ascii('ID3\x03 this is mp3')), 'not a WAV file. Convert it'],
    ['RIFX', Uint8Array.from([...ascii('RIFX'), ...u32(4), ...ascii('WAVE')]), 'big-endian (RIFX)'],
    ['RF64', Uint8Array.from([...ascii('RF64'), ...u32(4), ...ascii('WAVE')]), 'RF64'],
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
    const outcome = await new WavefileReader().read(file).then(
      () => 'read',
      (error: OnnxLoraError) => `${error.code}: ${error.message}`,
    );
    expect(outcome).toMatch(/^DATA_INVALID: .*is too long: 3601 s/);
  });

  it('names a file that is missing, and a folder', async () => {
    const reader = new WavefileReader();
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
