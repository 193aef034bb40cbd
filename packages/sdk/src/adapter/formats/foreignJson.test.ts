/** @file Tests of how JSON is counted before it is parsed. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { JsonMeter, parseForeignJson } from './foreignJson.ts';

/** Values and members, counted in the parsed value. */
function counted(value: unknown): { values: number; keys: number } {
  const inside = typeof value === 'object' && value !== null ? Object.values(value).map(counted) : [];
  const keys = typeof value === 'object' && value !== null && !Array.isArray(value) ? inside.length : 0;
  return inside.reduce((sum, each) => ({ values: sum.values + each.values, keys: sum.keys + each.keys }), { values: 1, keys }); // prettier-ignore
}

const value = fc.jsonValue({ maxDepth: 5, stringUnit: 'grapheme' });

it('takes what its budget has room for, and no member more, wherever pieces end', () => {
  fc.assert(
    fc.property(value, fc.nat(40), fc.constantFrom(undefined, 1), (given, cut, indent) => {
      const bytes = Buffer.from(JSON.stringify(given, null, indent));
      const read = (budget: { keys?: number; values?: number }): void => {
        const meter = new JsonMeter(budget);
        meter.read(bytes.subarray(0, cut));
        meter.read(bytes.subarray(cut));
      };
      const { keys, values } = counted(given);
      // A list or an object counts once more for what it may hold.
      read({ keys, values: 2 * values });
      if (keys > 0) expect(() => read({ keys: keys - 1 })).toThrow(`more than ${keys - 1} members`);
      expect(() => read({ values: values - 1 })).toThrow(`more than ${values - 1} values`);
    }),
  );
});

it('says how deep lists may be nested, and never overflows', () => {
  expect(() => parseForeignJson('['.repeat(1e6))).toThrow('nested more than 64 deep');
  expect(parseForeignJson(`${'['.repeat(64)}${']'.repeat(64)}`)).toBeInstanceOf(Array);
});

it('counts before it parses', () => {
  expect(() => parseForeignJson('[1,2,3', { values: 2 })).toThrow('it holds more than 2 values');
  expect(() => parseForeignJson('[1,2,3', { values: 9 })).toThrow('JSON');
});
