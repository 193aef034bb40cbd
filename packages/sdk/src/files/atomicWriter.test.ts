/** @file Tests of files that are written piece by piece. */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { AtomicWriter } from './atomicWriter.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'onnx-lora-growing-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('the old file stays until the new one is whole', async () => {
  const root = folder();
  const path = join(root, 'deep', 'x.txt');
  const first = await AtomicWriter.create(path);
  await first.append('one ');
  await first.append(Buffer.from('two'));
  expect(first.size).toBe(7);
  expect(readdirSync(join(root, 'deep'))).not.toContain('x.txt');
  await first.patch(Buffer.from('ONE'), 0);
  const pieces = [];
  for await (const piece of first.content()) pieces.push(piece);
  expect(Buffer.concat(pieces).toString()).toBe('ONE two');
  await first.append(', three');
  await first.finish();
  expect(readFileSync(path, 'utf8')).toBe('ONE two, three');

  const second = await AtomicWriter.create(path);
  await second.append('other');
  expect(readFileSync(path, 'utf8')).toBe('ONE two, three');
  await second.abort();
  await second.abort();
  expect(readdirSync(join(root, 'deep'))).toEqual(['x.txt']);
});

test('pieces larger than what is gathered keep their order', async () => {
  const path = join(folder(), 'x.bin');
  const file = await AtomicWriter.create(path);
  const pieces = Array.from({ length: 40 }, (_, i) => Buffer.alloc(100_000 + i, i));
  for (const piece of pieces) await file.append(piece);
  await file.finish();
  expect(readFileSync(path).equals(Buffer.concat(pieces))).toBe(true);
});

test('says where it could not write', async () => {
  const root = folder();
  writeFileSync(join(root, 'file'), '');
  await expect(AtomicWriter.create(join(root, 'file', 'x'))).rejects.toMatchObject({
    code: 'FILE_INVALID',
    message: expect.stringContaining('could not be written'),
  });
  const file = await AtomicWriter.create(join(root, 'folder'));
  await file.append('x');
  mkdirSync(join(root, 'folder'));
  await expect(file.finish()).rejects.toMatchObject({ code: 'FILE_INVALID' });
  expect(readdirSync(root).sort()).toEqual(['file', 'folder']);
});
