/** @file Tests of text in columns, and of how numbers are written. */

import { expect, it } from 'vitest';
import { clock, timecode, formatTable, grouped, short } from './table.ts';

it('aligns columns', () => {
  expect(formatTable([['a', '1'], ['bb', '22']], ['left', 'right'])).toEqual(['a    1', 'bb  22']); // prettier-ignore
});

it('writes numbers', () => {
  expect([0.87349, 12, 1.5e-5, 123456.7, 0, -4.1234].map(short)).toEqual([
    '0.8735',
    '12',
    '1.5e-5',
    '123500',
    '0',
    '-4.123',
  ]);
  expect(grouped(1234567)).toBe('1,234,567');
  expect([0, 59.6, 83, 3700].map(clock)).toEqual(['0:00', '1:00', '1:23', '1:01:40']);
});

it('a place in a recording', () => {
  expect([0, 4.2, 59.999, 83.456, 3723.4].map(timecode)).toEqual([
    '0:00.00',
    '0:04.20',
    '1:00.00',
    '1:23.46',
    '1:02:03.40',
  ]);
});
