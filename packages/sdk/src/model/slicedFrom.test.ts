import { expect, test } from 'vitest';
import { slicedFrom } from './slicedFrom.ts';

test('an output is cut from what a Slice reads, through copies; nodes in a circle end nowhere', () => {
  const node = [
    { opType: 'Slice', input: ['all', 'starts', 'ends'], output: ['some'] },
    { opType: 'Identity', input: ['some'], output: ['masks'] },
    { opType: 'Relu', input: ['masks'], output: ['other'] },
    { opType: 'Identity', input: ['b'], output: ['a'] },
    { opType: 'Identity', input: ['a'], output: ['b'] },
  ];
  const found = ['some', 'masks', 'other', 'all', 'a'].map((name) => slicedFrom({ node }, name));
  expect(found).toEqual(['all', 'all', undefined, undefined, undefined]);
});
