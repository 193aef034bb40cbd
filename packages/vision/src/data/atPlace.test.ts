import { withSourceLocation, nameOfRecord } from '@onnx-lora/sdk/data';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../fixtures/dataFolder.ts';
import { ImageFileDecoder } from '../image/imageFileDecoder.ts';
import { readImageData } from './readImageData.ts';
import { maskOf } from './shapes/masks.ts';

const broken = '\u0089PNG\r\n';
const coco = JSON.stringify({ images: [{ id: 4, file_name: 'b/1.png' }], annotations: [] });

describe('an image that is corrupt', () => {
  test.each([
    ['class folders', {}, '', 'b/1.png'],
    ['a CSV file', { 'm.csv': 'image,label\nb/1.png,b\n' }, 'm.csv', 'm.csv, line 2'],
    ['a JSONL file', { 'm.jsonl': '\n{"file_name": "b/1.png"}' }, 'm.jsonl', 'm.jsonl, line 2'],
    ['a JSON list', { 'm.json': '[{"image": "b/1.png"}]' }, 'm.json', 'm.json, entry 1'],
    ['a list of paths', { 'm.txt': 'b/1.png b' }, 'm.txt', 'm.txt, line 1'],
    ['COCO', { 'm.json': coco }, 'm.json', 'm.json, image 1 (id 4)'],
  ] as const)('in %s is named, and the line that names it', async (_, manifest, path, place) => {
    const root = dataFolder({ 'b/1.png': broken, ...manifest });
    const { train } = await readImageData(join(root, path));
    const failure = withSourceLocation(train[0]!, () => new ImageFileDecoder().decode(train[0]!.file));
    await expect(failure).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(failure).rejects.toThrow(join(root, 'b/1.png'));
    await expect(failure).rejects.toThrow(join(root, place));
    expect(nameOfRecord(train[0]!)).toContain(join(root, place));
  });

  test('as a mask is named too', async () => {
    const root = dataFolder({ 'm.csv': 'image,mask\na.png,m.png', 'a.png': true, 'm.png': broken });
    const [record] = (await readImageData(join(root, 'm.csv'))).train;
    const failure = withSourceLocation(record!, () => maskOf(record!, { width: 18, height: 13 }));
    await expect(failure).rejects.toThrow(/m\.csv, line 2: .*mask ".*m\.png"/);
  });

  test('says it once, and what is no fault of the data stays as it is', async () => {
    const record = { file: 'a.png', place: 'm.csv, line 2' };
    await expect(withSourceLocation(record, () => Promise.reject(new TypeError('x')))).rejects.toThrow(TypeError);
    expect(await withSourceLocation(record, () => Promise.resolve(3))).toBe(3);
  });
});
