/** @file The bag-of-words baseline, compared with scikit-learn. */

import { readFileSync } from 'node:fs';
import { matrix } from '@onnx-lora/sdk/plugin';
import { describe, expect, it, test } from 'vitest';
import { bagOfWords, tfidf } from './bagOfWords.ts';
import { fitLinear, linearAnswers } from './linearModel.ts';

const golden = JSON.parse(readFileSync(new URL('../fixtures/words.json', import.meta.url), 'utf8')) as {
  readonly texts: string[];
  readonly classes: number[];
  readonly features: number;
  readonly first: number[];
} & Record<`${'classes' | 'label' | 'numbers'} C=${number}`, number[]>;
const { texts, classes } = golden;
const own = texts.filter((_, i) => i % 2 === 0);
const held = texts.filter((_, i) => i % 2 === 1);
const truths = classes.filter((_, i) => i % 2 === 0);
const oneHot = matrix(own.length, 3, truths.flatMap((truth) => [0, 1, 2].map((each) => Number(each === truth)))); // prettier-ignore
const ofOne = (value: (i: number) => number) =>
  matrix(
    own.length,
    1,
    Float64Array.from(own, (_, i) => value(i)),
  );

test('words and pairs of words are weighted as by TfidfVectorizer', () => {
  const { columns, rows } = tfidf(own)(own);
  expect(columns).toBe(golden.features);
  [...rows[0]!.values].sort((a, b) => a - b).forEach((value, i) => expect(value).toBeCloseTo(golden.first[i]!, 8));
});

test('where only some terms are kept, they are those of the most texts', () => {
  const { rows } = tfidf(
    ['a cat saw it', 'the cat is here', 'the dog saw me', 'the cat saw that'],
    2,
  )(['cat saw it', 'dog']);
  expect(rows.map(({ at }) => at.length)).toEqual([2, 0]);
});

describe.each([1, 100])('C = %d', (c) => {
  const features = tfidf(own);
  const answers = (targets: ReturnType<typeof matrix>, kind: Parameters<typeof fitLinear>[2]): Float64Array =>
    linearAnswers(fitLinear(features(own), targets, kind, c), features(held)).data as Float64Array;
  const expectAlike = (found: ArrayLike<number>, wanted: readonly number[] | undefined, digits: number): void => {
    expect(found).toHaveLength(wanted!.length);
    wanted!.forEach((value, i) => expect(found[i]).toBeCloseTo(value, digits));
  };

  it('gives the probabilities of LogisticRegression for classes', () =>
    expectAlike(answers(oneHot, 'classes'), golden[`classes C=${c}`], 4));

  it('gives those of two classes for a label', () =>
    expectAlike(answers(ofOne((i) => Number(truths[i] === 1)), 'labels'), golden[`label C=${c}`], 4)); // prettier-ignore

  it('gives the numbers of Ridge', () =>
    expectAlike(answers(ofOne((i) => own[i]!.length), 'numbers'), golden[`numbers C=${c}`], 3)); // prettier-ignore
});

it('chooses the penalty by texts of its own', () => {
  const { answers, chosen, method } = bagOfWords({ train: own, validation: held }, oneHot, 'classes', 0);
  expect([method, chosen]).toEqual(['logistic regression on words (tf-idf)', expect.stringMatching(/^C = 10?0?$/)]);
  const wanted = golden[`classes C=${Number(chosen.slice(4)) as 1}`];
  if (wanted !== undefined) Array.from(answers.data).forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 4));
  expect(answers.rows).toBe(held.length);
});
