import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stratifiedSplit } from './splitRecords.ts';

test('every example is on one side, every class on both in its share', () => {
  const classes = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(classes, fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.integer(), (names, fraction, seed) => {
      const { kept, held } = stratifiedSplit(names, fraction, seed);
      expect([...kept, ...held].sort((x, y) => x - y)).toEqual([...names.keys()]);
      for (const name of new Set(names)) {
        const all = names.filter((each) => each === name).length;
        const share = held.filter((i) => names[i] === name).length;
        expect(share).toBe(Math.min(all - 1, Math.max(1, Math.round(all * fraction))));
      }
      expect(stratifiedSplit(names, fraction, seed)).toEqual({ kept, held });
    }),
    { seed: 1 },
  );
});

test('another seed gives another split, and no place is favoured', () => {
  const names = Array.from({ length: 20 }, () => 'a');
  const times = new Array<number>(20).fill(0);
  for (let seed = 0; seed < 2000; seed++) for (const i of stratifiedSplit(names, 0.25, seed).held) times[i]!++;
  // 500 expected, standard deviation 19.
  expect(Math.min(...times)).toBeGreaterThan(400);
  expect(Math.max(...times)).toBeLessThan(600);
});
