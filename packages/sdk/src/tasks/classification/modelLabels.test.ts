import type { TaskModel } from '../../plugin/taskModel.ts';
import { describe, expect, test } from 'vitest';
import { labelsOrNumbers, matchLabels } from './modelLabels.ts';

function model(...labels: string[]): TaskModel {
  const id2label = Object.fromEntries(labels.map((label, id) => [id, label]));
  return { name: 'm', inputs: {}, outputs: {}, ...(labels.length > 0 && { config: { id2label } }) };
}

describe('matchLabels', () => {
  test('keeps the order of the model', () => {
    expect(matchLabels(model('dog', 'cat'), ['cat', 'dog'], 2, 'data')).toEqual(['dog', 'cat']);
    const eleven = Array.from({ length: 11 }, (_, i) => `c${i}`);
    expect(matchLabels(model(...eleven), ['c10', 'c2'], 11, 'data')).toEqual(eleven);
  });

  test('takes the names of the folders where the model has none', () => {
    expect(matchLabels(model('LABEL_0', 'LABEL_1'), ['a', 'b'], 2, 'data')).toEqual(['a', 'b']);
    expect(matchLabels(model(), ['a', 'b'], 2, 'data')).toEqual(['a', 'b']);
  });

  test.each([
    [model('0', '1'), ['one', 'zero'], 2, /Rename them after.*head: 'new'/],
    [
      model('cat', 'dog'),
      ['cats', 'dog'],
      2,
      /classes \(2\): "cats", "dog".*classes \(2\): "cat", "dog".*Not among them: "cats"\. Did you mean "cat"/,
    ],
    [model('cat', 'dog'), ['a', 'b', 'c'], 2, /teach it these 3 classes/],
    [model('LABEL_0', 'LABEL_1'), ['a', 'b', 'c'], 2, /data's classes \(3\).*classes \(2\): "LABEL_0", "LABEL_1"/],
    [model(), ['a', 'b', 'c'], 2, /these 3 classes/],
    [model('crane', 'crane', 'ox'), ['crane', 'ox'], 3, /could mean class 0 or 1/],
  ])('refuses what does not fit (%#)', (m, folders, classes, reason) => {
    expect(() => matchLabels(m, folders, classes, 'data')).toThrowError(
      expect.objectContaining({ code: 'DATA_INVALID', message: expect.stringMatching(reason) }),
    );
  });
});

describe('labelsOrNumbers', () => {
  test('checks id2label', () => {
    expect(labelsOrNumbers(model(), 3)).toEqual(['0', '1', '2']);
    expect(() => labelsOrNumbers(model('a', 'b'), 3)).toThrow(/names 2 classes.*3 outputs/);
    for (const id2label of [{ 1: 'a', 2: 'b' }, { 0: 1 }, 'x', {}, []]) {
      expect(() => labelsOrNumbers({ ...model(), config: { id2label } }, 1)).toThrowError(
        expect.objectContaining({ code: 'CONFIG_INVALID' }),
      );
    }
  });
});
