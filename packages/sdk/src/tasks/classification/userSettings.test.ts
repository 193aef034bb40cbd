/** @file Settings of the ready parts of tasks that users get wrong: told at once, as theirs. */

import { expect, it, test } from 'vitest';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { retrievalLoss } from '../embedding/retrieval.ts';
import { regressionParts } from '../regression/regressionParts.ts';
import { type Examples, RecordDataset } from '../examples.ts';
import { classification, unknownLabel } from './classification.ts';
import { labelling, labelVector } from './labelling.ts';

const model = { name: 'm', inputs: {}, outputs: {} } as unknown as TaskModel;
const records = ['a', 'b'];
const files: Examples<{ readonly file: string }, string> = {
  noun: 'files',
  one: 'file',
  root: 'files.csv',
  open: async () => ({
    data: { train: records },
    known: (label) => ({ place: label, labels: [label] }),
    own: { output: 'logits', outputs: 2 },
    dataset: (own, targets) =>
      new RecordDataset(own, targets, { nameOf: (name) => name, load: async (file) => ({ file }) }),
    feeds: () => ({}),
  }),
};
const classes = (options: object): Promise<unknown> => classification('classes', files, options).prepare(model);
const tags = (options: object): Promise<unknown> => labelling('tags', files, options).prepare(model);

it.each<[string, () => Promise<unknown>, string]>([
  ['labelSmoothing 3', () => classes({ labelSmoothing: 3 }), 'labelSmoothing must be a number of at least 0 and not above 1, but it is 3. How much of a label is spread over all classes, 0 to 1.'],
  ['labelSmoothing as text', () => classes({ labelSmoothing: '0.1' }), 'labelSmoothing must be a number of at least 0, but it is "0.1". How much of a label is spread over all classes, 0 to 1.'],
  ['classWeights even', () => classes({ classWeights: 'even' }), 'classWeights must be one of balanced, effective, but it is "even". balanced: rare classes count as much as frequent ones; effective: nearly so.'],
  ['threshold 1', () => tags({ threshold: 1 }), 'threshold must be a number, or tuned, but it is 1. Probability between 0 and 1 from which a label is given (0.5), or tuned.'],
  ['perGroup NaN', async () => retrievalLoss({ perGroup: NaN }), 'perGroup must be a whole number of at least 2, but it is NaN. Examples of one kind that are trained on together; 2 by default.'],
  ['threshold best', () => tags({ threshold: 'best' }), 'threshold must be a number, or tuned, but it is "best". Probability between 0 and 1 from which a label is given (0.5), or tuned.'],
  ['posWeights even', () => tags({ posWeights: 'even' }), 'posWeights must be one of balanced, but it is "even". balanced: rare labels count as much as frequent ones.'],
  ['loss mae', async () => regressionParts({ head: { output: 'y', labels: ['y'] }, targets: [[1]], loss: 'mae' as 'mse' }), 'loss must be one of mse, huber, but it is "mae". Did you mean "mse"? mse (default), or huber, which minds outliers less.'],
  ['temperature 0', async () => retrievalLoss({ temperature: 0 }), 'temperature must be a number above 0, but it is 0. Divisor of cosines; 0.1 by default.'],
  ['margin -1', async () => retrievalLoss({ loss: 'triplet', margin: -1 }), 'margin must be a number of at least 0, but it is -1. Margin of triplets; 0.2 by default.'],
])('%s', async (_, make, message) => {
  await expect(make()).rejects.toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID', message }));
}); // prettier-ignore

test('what is in range is taken', async () => {
  for (const labelSmoothing of [0, 0.1, 1]) expect(await classes({ labelSmoothing })).toHaveProperty('loss');
  expect(await tags({ threshold: 0.3, posWeights: 'balanced' })).toHaveProperty('loss');
});

test('the error for an unknown class fits examples of all splits', () => {
  expect(unknownLabel('a.csv, line 7', 'c', ['a', 'b']).message).toBe(
    'a.csv, line 7 has the class "c", but the learned ones are "a", "b". Rename it, or remove it.',
  );
  expect(() => labelVector(['c'], ['a', 'b'], 'a.csv, line 7')).toThrow(
    'a.csv, line 7 has the label "c", but the learned ones are "a", "b". Rename it, or remove it.',
  );
});
