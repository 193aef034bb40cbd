import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesOf, fixture, sharedFolder, tensorsOf, worst } from '../../fixtures/goldens.ts';
import { ImageFileDecoder } from './imageFileDecoder.ts';

interface File {
  name: string;
  lossy: boolean;
  bytes: string;
  size: [number, number];
  pixels: string;
}

const { files } = fixture<{ files: File[] }>('decode.json');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-lora-decode-'));
  for (const { name, bytes } of files) writeFileSync(join(folder, name), bytesOf(bytes));
});
afterAll(() => rmSync(folder, { recursive: true }));

function put(name: string, bytes: Uint8Array | string): string {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
}

/** A PNG of a few bytes that claims any size. */
async function pngHeader(width: number, height: number): Promise<Uint8Array> {
  const png = Buffer.from(
    await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
      .png()
      .toBuffer(),
  );
  png.writeUInt32BE(width, 16);
  png.writeUInt32BE(height, 20);
  png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
  return png;
}

/** The same of a JPEG. */
async function jpegClaiming(width: number, height: number): Promise<Uint8Array> {
  const jpeg = Buffer.from(
    await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .jpeg()
      .toBuffer(),
  );
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg.writeUInt16BE(height, frame + 5);
  jpeg.writeUInt16BE(width, frame + 7);
  return jpeg;
}

describe('ImageFileDecoder', () => {
  test.each(files)('decodes $name as Pillow does', async ({ name, lossy, size, pixels }) => {
    const image = await new ImageFileDecoder().decode(join(folder, name));
    expect([image.width, image.height]).toEqual(size);
    // Decoders of lossy formats may round differently from one build to another.
    expect(worst(image.data, bytesOf(pixels))).toBeLessThanOrEqual(lossy ? 3 : 0);
  });

  test('goes by content, not by the file ending', async () => {
    const rgb = files.find(({ name }) => name === 'rgb.png')!;
    const image = await new ImageFileDecoder().decode(put('png-inside.jpg', bytesOf(rgb.bytes)));
    expect(image.data).toEqual(bytesOf(rgb.pixels));
  });

  test('decodes bytes as it decodes their file', async () => {
    const rgb = files.find(({ name }) => name === 'exif6.jpg')!;
    const decoder = new ImageFileDecoder();
    expect(await decoder.decode(bytesOf(rgb.bytes))).toEqual(await decoder.decode(join(folder, rgb.name)));
    await expect(decoder.decode(new Uint8Array(3))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('"3 bytes in memory"'),
    });
    await expect(new ImageFileDecoder({ maxBytes: 2 }).decode(new Uint8Array(3))).rejects.toThrow('limit of 2');
  });

  test.each([
    ['interlaced', 3, 'uchar'],
    ['gray and alpha of 16 bits', 2, 'ushort'],
    ['colours of 16 bits', 3, 'ushort'],
    ['colours and alpha of 16 bits', 4, 'ushort'],
  ] as const)('decodes PNG that Pillow does not write: %s', async (_, channels, depth) => {
    const [width, height] = [11, 9];
    const levels = Uint8Array.from({ length: width * height * channels }, (_each, i) => (i * 37) % 256);
    // Any low byte: only the high one counts.
    const wide = Uint16Array.from(levels, (level, i) => level * 256 + ((i * 91) % 256));
    const space = channels === 2 ? 'grey16' : depth === 'ushort' ? 'rgb16' : 'srgb';
    const png = await sharp(depth === 'ushort' ? wide : levels, { raw: { width, height, channels } })
      .pipelineColourspace(space)
      .toColourspace(space)
      .png({ progressive: true })
      .toBuffer();
    // The header says what was meant to be made.
    expect([png[24], png[28]]).toEqual([depth === 'ushort' ? 16 : 8, 1]);
    const { data } = await new ImageFileDecoder().decode(png);
    const rgb = channels === 2 ? [0, 0, 0] : [0, 1, 2];
    const expected = Array.from({ length: width * height }, (_each, i) => rgb.map((c) => levels[i * channels + c]!));
    expect([...data]).toEqual(expected.flat());
  });

  test.each([
    ['PNG', () => pngHeader(60_000, 60_000)],
    ['JPEG', () => jpegClaiming(65_000, 65_000)],
  ])('refuses a %s of some bytes that claims billions of pixels', async (_, bytes) => {
    const before = process.memoryUsage().rss;
    await expect(new ImageFileDecoder().decode(await bytes())).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(/more than the limit of 100000000/),
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  });

  test('refuses damaged files without a crash', async () => {
    const decoder = new ImageFileDecoder();
    const small = files.filter(({ bytes }) => bytes.length < 4000);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...small),
        fc.nat(),
        fc.integer({ min: 0, max: 255 }),
        async (file, place, byte) => {
          const bytes = bytesOf(file.bytes);
          bytes[place % bytes.length] = byte;
          try {
            const { width, height, data } = await decoder.decode(bytes);
            expect(data.length).toBe(width * height * 3);
          } catch (error) {
            expect(error).toMatchObject({ code: 'DATA_INVALID' });
          }
        },
      ),
      { numRuns: 150, seed: 11 },
    );
  });

  test('sees a file that has changed under the same name', async () => {
    const [rgb, gray] = ['rgb.png', 'gray.png'].map((wanted) => files.find(({ name }) => name === wanted)!);
    const decoder = new ImageFileDecoder();
    await decoder.decode(put('changes.png', bytesOf(rgb!.bytes)));
    expect((await decoder.decode(put('changes.png', bytesOf(gray!.bytes)))).data).toEqual(bytesOf(gray!.pixels));
  });

  test.each(['rgb.png', '420.jpg', 'rgb.tif', 'rgb.webp', 'palette.gif'])(
    'refuses a truncated %s by name',
    async (name) => {
      const whole = bytesOf(files.find((file) => file.name === name)!.bytes);
      const path = put(`half-${name}`, whole.subarray(0, Math.floor(whole.length * 0.6)));
      await expect(new ImageFileDecoder().decode(path)).rejects.toMatchObject({
        code: 'DATA_INVALID',
        message: expect.stringMatching(/half-.*truncated or corrupt.*take it out of the data/s),
      });
    },
  );

  test.each([
    ['empty.png', '', /the file is empty/],
    ['pointer.png', 'version https://git-lfs.github.com/spec/v1\noid', /Git LFS pointer/],
    ['page.jpg', '<!DOCTYPE html><html>', /web page/],
    ['drawing.png', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', /SVG/],
    ['noise.png', '\u0001\u0002\u0003\u0004', /no known image format/],
  ])('refuses %s and says what it is', async (name, text, reason) => {
    const refusal = new ImageFileDecoder().decode(put(name, text));
    await expect(refusal).rejects.toMatchObject({ code: 'DATA_INVALID', message: expect.stringMatching(reason) });
    await expect(refusal).rejects.toThrow(name);
  });

  test('refuses more pixels than allowed before decoding them', async () => {
    await expect(
      new ImageFileDecoder({ maxPixels: 18 * 13 - 1 }).decode(join(folder, 'rgb.png')),
    ).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('18 x 13 pixels, 234 in all, more than the limit of 233'),
    });
    await new ImageFileDecoder({ maxPixels: 18 * 13 }).decode(join(folder, 'rgb.png'));
  });

  test('refuses a folder that is named like an image', async () => {
    mkdirSync(join(folder, 'album.png'));
    await expect(new ImageFileDecoder().decode(join(folder, 'album.png'))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(/album\.png.*it is a folder/),
    });
  });

  test('refuses large files, folders and missing files', async () => {
    const decoder = new ImageFileDecoder({ maxBytes: 10 });
    await expect(decoder.decode(join(folder, 'rgb.png'))).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(decoder.decode(folder)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(decoder.decode(join(folder, 'none.png'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  test.skipIf(!sharedFolder)('decodes the shared photographs as Pillow does (needs ../shared)', async () => {
    const goldens = tensorsOf(join(sharedFolder!, 'decoded.safetensors'));
    for (const name of readdirSync(join(sharedFolder!, 'images'))) {
      const golden = goldens.get(name === 'gray16_lion.png' ? `${name}#high_byte` : name)!;
      const image = await new ImageFileDecoder().decode(join(sharedFolder!, 'images', name));
      expect([image.height, image.width, 3], name).toEqual(golden.shape);
      expect(worst(image.data, golden.bytes), name).toBeLessThanOrEqual(name.endsWith('.jpg') ? 3 : 0);
    }
  });
});
