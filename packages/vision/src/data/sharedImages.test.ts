import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dataFolder } from '../../fixtures/dataFolder.ts';
import type { ImageRecord } from './imageRecord.ts';
import { readImageData } from './readImageData.ts';

async function sharedImages(parts: readonly ImageRecord[][], findDuplicates?: boolean): Promise<readonly string[]> {
  const [train = [], validation, test] = parts;
  const data = { root: 'x', train, ...(validation && { validation }), ...(test && { test }) };
  return (await readImageData(data, { findDuplicates })).warnings!;
}

test('tells of images and groups that are in two splits', async () => {
  const folder = dataFolder({ 'a.png': true, 'b.png': true, 'c.png': 'c', 'd.png': 'd', 'e.png': 'long' });
  const record = (name: string, group?: string) => ({
    file: join(folder, name),
    place: name,
    ...(group === undefined ? {} : { group }),
  });
  const train = [record('c.png', 'x'), record('a.png', 'y'), record('e.png')];
  expect(await sharedImages([train])).toEqual([]);
  expect(await sharedImages([train, [record('d.png', 'z'), record('none.png')]])).toEqual([]);
  const [images, groups, ...more] = await sharedImages([train, [], [record('d.png', 'x'), record('b.png')]]);
  expect(images).toMatch(/^1 image is in more than one split, such as ".*a\.png" and ".*b\.png"/);
  expect(groups).toMatch(/^1 group is in more than one split, such as "x"/);
  expect(more).toEqual([]);
  writeFileSync(join(folder, 'd.png'), 'c');
  expect(await sharedImages([train, [record('d.png')]])).toHaveLength(1);
  expect(await sharedImages([train, [record('d.png')]], false)).toEqual([]);
  // Large files are read in pieces.
  for (const name of ['c.png', 'd.png'])
    writeFileSync(join(folder, name), new Uint8Array(3 << 20).fill(name === 'c.png' ? 1 : 2));
  expect(await sharedImages([train, [record('d.png')]])).toEqual([]);
  writeFileSync(join(folder, 'd.png'), new Uint8Array(3 << 20).fill(1));
  expect(await sharedImages([train, [record('d.png')]])).toHaveLength(1);
});
