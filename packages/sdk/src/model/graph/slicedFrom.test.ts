import { expect, test } from 'vitest';
import { logitsOf, slicedFrom } from './innerValues.ts';

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

test('an output is made of the scores that a Softmax, LogSoftmax or Sigmoid reads, through copies', () => {
  const node = [
    { opType: 'Softmax', input: ['scores'], output: ['copied'] },
    { opType: 'Identity', input: ['copied'], output: ['probabilities'] },
    { opType: 'LogSoftmax', input: ['other'], output: ['logs'] },
    { opType: 'Sigmoid', input: ['each'], output: ['shares'] },
    { opType: 'ArgMax', input: ['probabilities'], output: ['class'] },
  ];
  const found = ['probabilities', 'logs', 'shares', 'class', 'scores'].map((name) => logitsOf({ node }, name));
  expect(found).toEqual(['scores', 'other', 'each', undefined, undefined]);
});
