import { join } from 'node:path';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { expect, test } from 'vitest';
import { dataFolder } from '../../fixtures/dataFolder.ts';
import { dataSettings } from './manifest.ts';
import type { ImageDataOptions } from './imageRecord.ts';
import { readImageData } from './readImageData.ts';

const table = settingsOf<ImageDataOptions>(dataSettings);

test('the words of the command line say how a manifest is read', async () => {
  const root = dataFolder({
    'm.csv':
      'ref,kind,who,part,a,b,words,shape,u,v,edges\n1.png,cat,p1,val,0,2.5,hi,1.png,1,2,0 0 4 4\n2.png,dog,p2,train,1,3,ho,2.png,5,6,1 2 9 8\n',
    'x/2.png': true,
  });
  const settings = {
    'columns.image': 'ref',
    'columns.label': 'kind',
    'columns.group': 'who',
    'columns.split': 'part',
    'columns.values': ['a', 'b'],
    'columns.text': 'words',
    'columns.mask': 'shape',
    'columns.x': 'u',
    'columns.y': 'v',
    'columns.box': ['edges'],
    imageFolder: join(root, 'x'),
    missingImages: 'skip',
  };
  const { train, validation } = await readImageData(join(root, 'm.csv'), table.read(settings));
  const file = join(root, 'x', '2.png');
  expect(train).toEqual([
    {
      file,
      mask: file,
      place: `${join(root, 'm.csv')}, line 3`,
      label: 'dog',
      group: 'p2',
      split: 'train',
      values: [1, 3],
      text: 'ho',
      points: [[5, 6]],
      objects: [{ box: [1, 2, 9, 8], category: 'dog' }],
    },
  ]);
  expect(validation).toBeUndefined();
});

test('columns of 0 and 1 may be named, and words that are no choice are refused', async () => {
  const root = dataFolder({ 'm.csv': 'image,a,b,c\n1.png,1,0,1', '1.png': true });
  const { train } = await readImageData(join(root, 'm.csv'), table.read({ 'columns.labels': ['b', 'c'] }));
  expect(train[0]!.labels).toEqual(['c']);
  expect(table.read({ 'columns.points': 'p' })).toEqual({ columns: { points: 'p' } });
  expect(table.read({})).toEqual({});
  expect(() => table.read({ missingImages: 'never' })).toThrow(
    'The setting missingImages must be one of fail, skip, but it is "never". Correct it.',
  );
});
