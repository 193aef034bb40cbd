/** @file Tests of labels that a reader takes for the same. */

import { expect, test } from 'vitest';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { confusableHint, confusableWarnings } from './modelLabels.ts';
import { chooseHead } from './chooseHead.ts';
import { unknownLabel } from './classification.ts';

const [composed, decomposed] = ['caf\u00e9', 'cafe\u0301'];
const attach = (_: TaskModel, labels: readonly string[]) => ({ output: 'logits', labels });
const model = (labels?: readonly string[]): TaskModel => ({
  name: 'm',
  inputs: {},
  outputs: {},
  ...(labels && { config: { id2label: Object.fromEntries(labels.map((label, i) => [i, label])) } }),
});
const choose = (names: readonly string[], mode: 'auto' | 'new' = 'auto', own?: readonly string[]) =>
  chooseHead(model(own), own && { output: 'logits', outputs: own.length }, names, { root: 'd.csv', mode, attach });

test.each([
  ['the forms NFC and NFD', composed, decomposed, /"caf\\u00e9" and is "cafe\\u0301".*Unicode form \(NFC or NFD\)/],
  ['a space at the end', 'cat', 'cat ', /"cat" and is "cat "/],
  ['a space that does not break', 'sea lion', 'sea\u00a0lion', /"sea lion" and is "sea\\u00a0lion"/],
])('%s makes no two classes', (_, one, other, message) => {
  for (const mode of ['auto', 'new'] as const)
    expect(() => choose([one, other, 'tea'], mode)).toThrow(expect.objectContaining({ code: 'DATA_INVALID', message: expect.stringMatching(message) })); // prettier-ignore
  // A label that the model knows in one form is not learned again in the other.
  expect(() => choose([other, 'x', 'y'], 'auto', [one, 'tea'])).toThrow(message);
  expect(unknownLabel('d.csv, line 2', other, [one, 'tea']).message).toMatch(message);
});

test('a label of other letters is one of its own', () => {
  expect(choose(['cafe', composed, 'cafes']).labels).toEqual(['cafe', composed, 'cafes']);
  expect(confusableHint('cafe', [composed, 'tea'])).toBe('');
  expect(confusableWarnings(['cafe', composed, 'tea'])).toEqual([]);
});

test('labels that differ in capitals, or in the width of letters, are told', () => {
  const told = 'differ only in capitals or in the form of letters, and are learned as different classes. Rename them where they are meant to be one.'; // prettier-ignore
  expect(confusableWarnings(['Cat', 'cat', 'dog', '\uff21', 'a'])).toEqual([
    `The labels "Cat" and "cat" ${told}`,
    `The labels "\uff21" and "a" ${told}`,
  ]);
});
