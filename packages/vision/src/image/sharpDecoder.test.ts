import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesOf, fixture, sharedFolder, tensorsOf, worst } from '../../fixtures/goldens.ts';
import { SharpDecoder } from './sharpDecoder.ts';

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

describe('SharpDecoder', () => {
  test.each(files)('decodes $name as Pillow does', async ({ name, lossy, size, pixels }) => {
    const image = await new SharpDecoder().decode(join(folder, name));
    expect([image.width, image.height]).toEqual(size);
    // Decoders of lossy formats may round differently from one build to another.
    expect(worst(image.data, bytesOf(pixels))).toBeLessThanOrEqual(lossy ? 3 : 0);
  });

  test('goes by content, not by the file ending', async () => {
    const rgb = files.find(({ name }) => name === 'rgb.png')!;
    const image = await new SharpDecoder().decode(put('png-inside.jpg', bytesOf(rgb.bytes)));
    expect(image.data).toEqual(bytesOf(rgb.pixels));
  });

  test('sees a file that has changed under the same name', async () => {
    const [rgb, gray] = ['rgb.png', 'gray.png'].map((wanted) => files.find(({ name }) => name === wanted)!);
    const decoder = new SharpDecoder();
    await decoder.decode(put('changes.png', bytesOf(rgb!.bytes)));
    expect((await decoder.decode(put('changes.png', bytesOf(gray!.bytes)))).data).toEqual(bytesOf(gray!.pixels));
  });

  test.each(['rgb.png', '420.jpg', 'rgb.tif', 'rgb.webp', 'palette.gif'])(
    'refuses a truncated %s by name',
    async (name) => {
      const whole = bytesOf(files.find((file) => file.name === name)!.bytes);
      const path = put(`half-${name}`, whole.subarray(0, Math.floor(whole.length * 0.6)));
      await expect(new SharpDecoder().decode(path)).rejects.toMatchObject({
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
    const refusal = new SharpDecoder().decode(put(name, text));
    await expect(refusal).rejects.toMatchObject({ code: 'DATA_INVALID', message: expect.stringMatching(reason) });
    await expect(refusal).rejects.toThrow(name);
  });

  test('refuses more pixels than allowed before decoding them', async () => {
    await expect(new SharpDecoder({ maxPixels: 18 * 13 - 1 }).decode(join(folder, 'rgb.png'))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('18 x 13 pixels, 234 in all, more than the limit of 233'),
    });
    await new SharpDecoder({ maxPixels: 18 * 13 }).decode(join(folder, 'rgb.png'));
  });

  test('refuses large files, folders and missing files', async () => {
    const decoder = new SharpDecoder({ maxBytes: 10 });
    await expect(decoder.decode(join(folder, 'rgb.png'))).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(decoder.decode(folder)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(decoder.decode(join(folder, 'none.png'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  test.skipIf(!sharedFolder)('decodes the shared photographs as Pillow does (needs ../shared)', async () => {
    const goldens = tensorsOf(join(sharedFolder!, 'decoded.safetensors'));
    for (const name of readdirSync(join(sharedFolder!, 'images'))) {
      const golden = goldens.get(name === 'gray16_lion.png' ? `${name}#high_byte` : name)!;
      const image = await new SharpDecoder().decode(join(sharedFolder!, 'images', name));
      expect([image.height, image.width, 3], name).toEqual(golden.shape);
      expect(worst(image.data, golden.bytes), name).toBeLessThanOrEqual(name.endsWith('.jpg') ? 3 : 0);
    }
  });
});
