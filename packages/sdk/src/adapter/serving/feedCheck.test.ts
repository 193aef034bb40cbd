/** @file Feeds are held against what a graph declares: what fits, and what is said of what does not. */

import { expect, it } from 'vitest';
import { BoundFeeds } from '../../runtime/boundFeeds.ts';
import { type Feeds, float32, int64, type Tensor } from '../../runtime/tensor.ts';
import { FeedCheck, feedError, tensorFault } from './feedCheck.ts';

const check = new FeedCheck(
  new Map([
    ['motion', { type: 'float32', shape: ['batch', 6, 128] }],
    ['scale', { type: 'float32', shape: [] }],
    ['words', { shape: undefined }],
    ['ids', { type: 'int64', shape: ['batch', '?1'] }],
  ] as const),
);
const zeros = (...dims: number[]): Tensor => float32(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);
const right = { motion: zeros(2, 6, 128), scale: zeros(), words: zeros(3), ids: int64([1, 2], [2, 1]) };

function told(change: Record<string, unknown>, bound: readonly BoundFeeds[] = []): string | undefined {
  const feeds = { ...right, ...change } as Feeds;
  const fault = check.fault(feeds, bound);
  if (!fault) return undefined;
  const error = feedError('models/x', fault, check, { feeds, bound });
  expect(error.code).toBe('INPUT_INVALID');
  return error.message;
}

it.each<[string, Record<string, unknown>]>([
  ['what is declared', {}],
  ['another batch, also an empty one', { motion: zeros(0, 6, 128), ids: int64([], [7, 0]) }],
  ['one value of rank 1 for a scalar, as ONNX Runtime does', { scale: zeros(1) }],
  ['undefined for nothing', { more: undefined }],
])('takes %s', (_, change) => {
  expect(told(change)).toBeUndefined();
});

it.each<[string, Record<string, unknown>, string]>([
  ['turned sizes', { motion: zeros(32, 128, 6) }, '"models/x" takes motion as float32 [batch, 6, 128], but it is float32 [32, 128, 6].'],
  ['another rank', { motion: zeros(6, 128) }, '"models/x" takes motion as float32 [batch, 6, 128], but it is float32 [6, 128].'],
  ['another type', { ids: zeros(2, 1) }, '"models/x" takes ids as int64 [batch, ?], but it is float32 [2, 1].'],
  ['several values for a scalar', { scale: zeros(2) }, '"models/x" takes scale as float32 [], but it is float32 [2].'],
  ['too little data', { motion: { type: 'float32', dims: [1, 6, 128], data: new Float32Array(5) } }, '"models/x" takes motion as float32 [batch, 6, 128], but it is float32 [1, 6, 128] with 5 values in place of 768.'],
  ['bare data', { motion: new Float32Array(768) }, '"models/x" takes motion as float32 [batch, 6, 128], but it is a Float32Array and no tensor: make it one, as float32(data, dims), int64 and tensor do.'],
  ['null', { words: null }, '"models/x" takes words as a tensor, but it is null and no tensor: make it one, as float32(data, dims), int64 and tensor do.'],
  ['a promise', { words: Promise.resolve(right.words) }, '"models/x" takes words as a tensor, but it is a promise: await it.'],
  ['one too many', { motoin: zeros(1) }, '"models/x" has no input "motoin". Did you mean "motion"? It takes motion, scale, words, ids. Leave out what it does not take.'],
  ['one too few', { ids: undefined }, '"models/x" needs the input "ids". It takes motion, scale, words, ids; given were motion, scale, words, ids.'],
])('refuses %s', (_, change, message) => {
  expect(told(change)).toBe(message);
}); // prettier-ignore

it('names what is missing before all else', () => {
  for (const feeds of [{}, { motoin: 1 } as unknown as Feeds, undefined as unknown as Feeds])
    expect(check.fault(feeds)).toEqual({ kind: 'missing', input: 'motion' });
});

it('counts what is bound as given, and does not ask for it', () => {
  const bound = [new BoundFeeds(['motion', 'words'], () => undefined)];
  expect(told({ motion: undefined, words: undefined }, bound)).toBeUndefined();
  expect(told({ motion: undefined, scale: undefined }, bound)).toMatch(
    /^"models\/x" needs the input "scale". It takes scale, ids;/,
  );
  expect(check.fault({ scale: zeros() }, [], false)).toBeUndefined();
});

it('says what is no tensor of any kind', () => {
  expect(tensorFault(zeros(2))).toBeUndefined();
  expect(tensorFault([1, 2])).toMatch(/^an array and no tensor/);
  expect(tensorFault('x')).toMatch(/^a string and no tensor/);
  expect(tensorFault({ type: 'float32', dims: [-1, -1], data: new Float32Array(1) })).toBe('float32 [-1, -1]');
});
