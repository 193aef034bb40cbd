/** @file All files or none, and nothing of the user's is touched. */

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { writeFolder } from './writeFolder.ts';

const files = new Map([
  ['package.json', '{}'],
  ['src/index.ts', 'export {};'],
]);

async function scratch(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'create-plugin-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

test('a folder that does not exist is made, with those above it', async () => {
  const folder = await scratch();
  await writeFolder(path.join(folder, 'a/b'), files);
  expect(await readFile(path.join(folder, 'a/b/src/index.ts'), 'utf8')).toBe('export {};');
  expect(await readdir(path.join(folder, 'a'))).toEqual(['b']);
});

test('an empty folder is filled, also a new repository', async () => {
  const folder = await scratch();
  await mkdir(path.join(folder, 'x/.git'), { recursive: true });
  await writeFolder(path.join(folder, 'x'), files);
  expect((await readdir(path.join(folder, 'x'))).sort()).toEqual(['.git', 'package.json', 'src']);
});

test('a folder with something in it is refused, and stays', async () => {
  const folder = await scratch();
  await writeFile(path.join(folder, 'mine.txt'), 'mine');
  await expect(writeFolder(folder, files)).rejects.toThrow(`The folder "${folder}" is not empty: it has mine.txt.`);
  expect(await readdir(folder)).toEqual(['mine.txt']);
});

test('a file in place of the folder is refused', async () => {
  const file = path.join(await scratch(), 'file');
  await writeFile(file, '');
  await expect(writeFolder(file, files)).rejects.toThrow(`"${file}" is no folder that can be read`);
});

test('what cannot be written to the end leaves nothing behind', async () => {
  const folder = await scratch();
  const broken = new Map([...files, ['src/index.ts/under-a-file', '']]);
  await expect(writeFolder(path.join(folder, 'x'), broken)).rejects.toThrow('cannot be written');
  expect(await readdir(folder)).toEqual([]);
});
