import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { groupSplit, labelSetSplit, shuffled, type SplitFacts, splitRecords, stratifiedSplit } from './splitRecords.ts';

interface Example extends SplitFacts {
  readonly file: string;
}

const fractions = fc.double({ min: 0.05, max: 0.95, noNaN: true });
const labelSets = fc.array(fc.subarray(['a', 'b', 'c', 'd']), { minLength: 1, maxLength: 60 });

function record(i: number, more: Partial<Example>): Example {
  const file = more.file ?? `${String(i).padStart(4, '0')}.png`;
  return { ...more, file, key: `${file} ${i}` };
}

const split = (records: readonly Example[], fraction: number, seed: number) =>
  splitRecords(records, fraction, seed, (each) => each);

function count<T>(items: readonly T[], is: (item: T) => boolean): number {
  return items.filter(is).length;
}

describe('splitRecords', () => {
  const kinds = fc.constantFrom<(i: number, seed: number) => Partial<Example>>(
    () => ({}),
    (i) => ({ label: 'abc'[i % 3]! }),
    (i) => ({ labels: ['a', 'b', 'c'].filter((_, bit) => (i >> bit) & 1) }),
    (i) => ({ label: 'abc'[i % 3]!, group: `patient ${i % 7}` }),
    (i) => ({ file: `${i % 9}.png` }),
  );

  test('puts every record on one side, whatever the order they come in', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 50 }), kinds, fractions, fc.integer(), (length, kind, fraction, seed) => {
        const records = Array.from({ length }, (_, i) => record(i, kind(i, seed)));
        const { kept, held } = split(records, fraction, seed);
        expect(new Set([...kept, ...held])).toEqual(new Set(records));
        expect(kept.length + held.length).toBe(length);
        expect(kept.length).toBeGreaterThan(0);
        const mixed = split(shuffled(records, seed + 1), fraction, seed);
        expect(new Set(mixed.held)).toEqual(new Set(held));
        const key = ({ group, file }: Example): string => group ?? file;
        const groups = new Set(kept.map(key));
        expect(held.filter((each) => groups.has(key(each)))).toEqual([]);
      }),
      { seed: 1 },
    );
  });

  test('differs with the seed', () => {
    const records = Array.from({ length: 60 }, (_, i) => record(i, { group: `g${i % 20}` }));
    const splits = [1, 2, 3].map((seed) => JSON.stringify(split(records, 0.25, seed).held));
    expect(new Set(splits).size).toBe(3);
  });
});

describe('groupSplit', () => {
  test('comes as near to the fraction as the sizes of groups allow', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 20 }),
        fractions,
        fc.integer(),
        (sizes, fraction, seed) => {
          const examples = sizes.flatMap((size, g) =>
            Array.from({ length: size }, () => ({ group: `${g}`, labels: [] })),
          );
          const held = groupSplit(examples, fraction, seed);
          expect(held.length).toBeGreaterThan(0);
          expect(held.length).toBeLessThan(examples.length);
          // No single group could change sides and bring it nearer.
          expect(Math.abs(held.length - fraction * examples.length)).toBeLessThanOrEqual(Math.max(...sizes));
        },
      ),
      { seed: 1 },
    );
  });

  test('spreads labels by the fraction', () => {
    // Every patient has one of three diagnoses, as often as 6 : 3 : 1.
    const examples = Array.from({ length: 400 }, (_, i) => {
      const patient = i % 80;
      return { group: `${patient}`, labels: [patient % 10 < 6 ? 'a' : patient % 10 < 9 ? 'b' : 'c'] };
    });
    for (const seed of [1, 2, 3]) {
      const held = groupSplit(examples, 0.25, seed);
      const of = (label: string): number => count(held, (i) => examples[i]!.labels[0] === label);
      expect([of('a'), of('b'), of('c')]).toEqual([60, 30, 10]);
    }
  });

  test('needs two groups', () => {
    expect(
      groupSplit(
        [
          { group: 'a', labels: [] },
          { group: 'a', labels: [] },
        ],
        0.5,
        1,
      ),
    ).toEqual([]);
  });
});

describe('labelSetSplit', () => {
  test('puts every example on one side, again and again the same', () => {
    fc.assert(
      fc.property(labelSets, fractions, fc.integer(), (labels, fraction, seed) => {
        const held = labelSetSplit(labels, fraction, seed);
        expect([...labels.keys()].filter((i) => held.includes(i))).toEqual(held);
        expect(labelSetSplit(labels, fraction, seed)).toEqual(held);
      }),
      { seed: 1 },
    );
  });

  test('gives every label its share, where a draw at random does not', () => {
    const random = fc.sample(fc.array(fc.integer({ min: 0, max: 999 }), { minLength: 8, maxLength: 8 }), {
      numRuns: 500,
      seed: 7,
    });
    // Label i is on about one in 3 · 2^i examples, whatever the others.
    const labels = random.map((draws) => draws.flatMap((draw, i) => (draw < 333 / 2 ** i ? [`l${i}`] : [])));
    const off = (held: readonly number[]): number =>
      Math.max(
        ...Array.from({ length: 8 }, (_, i) => {
          const has = (set: readonly string[]): boolean => set.includes(`l${i}`);
          return Math.abs(count(held, (at) => has(labels[at]!)) - 0.2 * count(labels, has));
        }),
      );
    for (const seed of [1, 2, 3]) {
      const held = labelSetSplit(labels, 0.2, seed);
      expect(Math.abs(held.length - 100)).toBeLessThanOrEqual(2);
      expect(off(held)).toBeLessThan(2);
      expect(off(shuffled([...labels.keys()], seed).slice(0, 100))).toBeGreaterThan(2);
    }
  });
});

test('an example is held out once, every class on both in its share', () => {
  const classes = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(classes, fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.integer(), (names, fraction, seed) => {
      const held = stratifiedSplit(names, fraction, seed);
      expect([...names.keys()].filter((i) => held.includes(i))).toEqual(held);
      for (const name of new Set(names)) {
        const all = names.filter((each) => each === name).length;
        const share = held.filter((i) => names[i] === name).length;
        expect(share).toBe(Math.min(all - 1, Math.max(1, Math.round(all * fraction))));
      }
      expect(stratifiedSplit(names, fraction, seed)).toEqual(held);
    }),
    { seed: 1 },
  );
});

test('another seed gives another split, and no place is favoured', () => {
  const names = Array.from({ length: 20 }, () => 'a');
  const times = new Array<number>(20).fill(0);
  for (let seed = 0; seed < 2000; seed++) for (const i of stratifiedSplit(names, 0.25, seed)) times[i]!++;
  // 500 expected, standard deviation 19.
  expect(Math.min(...times)).toBeGreaterThan(400);
  expect(Math.max(...times)).toBeLessThan(600);
});
