import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dataFolder } from '../../fixtures/dataFolder.ts';
import { dataOptions, dataSettings } from './dataSettings.ts';
import { readImageData } from './readImageData.ts';

test('the words of the command line say how a manifest is read', async () => {
  const root = dataFolder({
    'm.csv': 'ref,kind,who,part,a,b,words,shape\n1.png,cat,p1,val,0,2.5,hi,1.png\n2.png,dog,p2,train,1,3,ho,2.png\n',
    'x/2.png': true,
  });
  const settings = {
    imageColumn: 'ref',
    labelColumn: 'kind',
    groupColumn: 'who',
    splitColumn: 'part',
    valueColumns: ['a', 'b'],
    textColumn: 'words',
    maskColumn: 'shape',
    imageFolder: join(root, 'x'),
    missingImages: 'skip',
  };
  const { train, validation } = await readImageData(join(root, 'm.csv'), dataOptions(settings));
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
    },
  ]);
  expect(validation).toBeUndefined();
  expect(Object.keys(settings).filter((name) => !dataSettings.some((setting) => setting.name === name))).toEqual([]);
});

test('columns of 0 and 1 may be named, and words that are no choice are refused', async () => {
  const root = dataFolder({ 'm.csv': 'image,a,b,c\n1.png,1,0,1', '1.png': true });
  const { train } = await readImageData(join(root, 'm.csv'), dataOptions({ labelColumns: ['b', 'c'] }));
  expect(train[0]!.labels).toEqual(['c']);
  expect(dataOptions()).toEqual({});
  expect(() => dataOptions({ missingImages: 'never' })).toThrow(/missingImages is "never". It can be fail or skip/);
});
