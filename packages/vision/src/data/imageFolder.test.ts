import { symlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../fixtures/dataFolder.ts';
import { readClassFolders, readImageFolder } from './imageFolder.ts';

describe('readImageFolder', () => {
  test('reads class folders in an order that depends on names alone', async () => {
    const root = dataFolder({
      'b/2.png': true,
      'b/10.PNG': true,
      'b/.hidden.png': true,
      'b/notes.txt': 'x',
      '.git/x.png': true,
      'B/a.jpeg': true,
      'ä/a.webp': true,
      'a/x.png': true,
      'labels.csv': 'x',
    });
    const { train, validation } = await readImageFolder(root);
    expect(train.classes).toEqual(['B', 'a', 'b', 'ä']);
    expect(train.files.map(({ file, className }) => [relative(root, file), className])).toEqual([
      [join('B', 'a.jpeg'), 'B'],
      [join('a', 'x.png'), 'a'],
      [join('b', '10.PNG'), 'b'],
      [join('b', '2.png'), 'b'],
      [join('ä', 'a.webp'), 'ä'],
    ]);
    expect(validation).toBeUndefined();
  });

  test.each([
    [['test'], 'test'],
    [['test', 'val'], 'val'],
    [['test', 'val', 'validation'], 'validation'],
  ])('of %j takes %s for validation', async (present, expected) => {
    const splits = Object.fromEntries(present.map((name) => [`${name}/a/1.png`, true as const]));
    const root = dataFolder({ 'train/a/1.png': true, 'train/b/1.png': true, ...splits });
    const { train, validation } = await readImageFolder(root);
    expect(train.classes).toEqual(['a', 'b']);
    expect(validation!.root).toBe(join(root, expected));
    expect(validation!.files).toHaveLength(1);
  });

  test('takes a folder named train that holds images for a class', async () => {
    const { train } = await readImageFolder(dataFolder({ 'train/1.png': true, 'tram/1.png': true }));
    expect(train.classes).toEqual(['train', 'tram']);
  });

  test('follows links to folders', async () => {
    const root = dataFolder({ 'data/a/1.png': true, 'elsewhere/1.png': true });
    symlinkSync(join(root, 'elsewhere'), join(root, 'data', 'b'), 'dir');
    expect((await readClassFolders(join(root, 'data'))).classes).toEqual(['a', 'b']);
  });

  test.each([
    ['no class folders', { 'x.png': true }, /has no class folders.*cat.*dog/],
    ['an empty folder', {}, /has no class folders/],
    ['an empty class', { 'a/1.png': true, 'leer/': null }, /class folder ".*leer" has no images: it is empty/],
    [
      'a class of other files',
      { 'a/1.png': true, 'b/1.bmp': 'BM' },
      /b" has no images: it holds "1.bmp", and known endings are .jpg/,
    ],
    ['nested classes', { 'a/1.png': true, 'b/c/1.png': true }, /b" has no images: it holds the folders "c"/],
    ['one class', { 'a/1.png': true }, /one class only, "a"/],
    ['a split alone', { 'test/a/1.png': true, 'test/b/1.png': true }, /holds only "test", and no "train"/],
    [
      'an empty class in validation',
      { 'train/a/1.png': true, 'train/b/1.png': true, 'val/a': null },
      /a" has no images/,
    ],
  ] as const)('refuses %s', async (_, content, reason) => {
    await expect(readImageFolder(dataFolder(content))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(reason),
    });
  });

  test('refuses a path that does not exist, and a file', async () => {
    const root = dataFolder({ 'x.png': true });
    await expect(readImageFolder(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(readImageFolder(join(root, 'x.png'))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('it is a file'),
    });
  });
});
