import { expect, test } from 'vitest';
import { speechDataOptions, speechDataSettings } from './dataSettings.ts';

const options = (settings: Record<string, string | number>) => speechDataOptions({ data: 'x', seed: 3, settings });

test('every setting changes an option', () => {
  const words: Record<string, string | number> = { missingAudio: 'skip', splitBy: 'speaker', evalSplit: 'test' };
  for (const { name, kind } of speechDataSettings) {
    const value = words[name] ?? (kind === 'number' ? 2 : 'any');
    expect(options({ [name]: value }), name).not.toEqual(options({}));
  }
  expect(options({ audioColumn: 'a', splitColumn: 'b' })).toMatchObject({
    columns: { audio: 'a', split: 'b' },
    seed: 3,
  });
});

test.each(['missingAudio', 'splitBy', 'evalSplit'])('%s is one of some words', (name) => {
  expect(() => options({ [name]: 'x' })).toThrow(`The setting ${name} is "x"`);
});
