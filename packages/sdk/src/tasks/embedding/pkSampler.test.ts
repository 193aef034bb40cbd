/** @file Tests of groups of one kind, on examples that are numbers. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PkSampler, singletonGroups } from './pkSampler.ts';

/** Each example is its own number. */
const numbers = (length: number) => ({
  length,
  get: (index: number) => Promise.resolve(index),
  nameOf: (index: number) => `${index}.png`,
});

function groupsOf(labels: readonly number[], perGroup: number, seed = 0): PkSampler<number> {
  const items = { dataset: numbers(labels.length), labels };
  return new PkSampler(items, { perGroup, isAugmented: false, seed, noun: 'images' });
}

describe('PkSampler', () => {
  test('hold examples of one kind, and each at most once in a pass', async () => {
    const labelled = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 8, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(labelled, fc.integer({ min: 2, max: 3 }), fc.nat(), async (labels, perGroup, seed) => {
        const counts = [0, 1, 2, 3].map((label) => labels.filter((each) => each === label).length);
        fc.pre(
          counts.filter((count) => count >= perGroup).length >= 2 &&
            counts.every((count) => count === 0 || count >= perGroup),
        );
        const groups = groupsOf(labels, perGroup, seed);
        expect(groups.length).toBe(counts.reduce((sum, count) => sum + Math.floor(count / perGroup), 0));
        for (const pass of [0, 1]) {
          const seen = new Set<number>();
          for (let i = 0; i < groups.length; i++) {
            const { items, label } = await groups.get(i, pass * groups.length + i);
            for (const file of items) {
              expect(labels[file]).toBe(label);
              expect(seen.has(file)).toBe(false);
              seen.add(file);
            }
          }
        }
      }),
    );
  });

  test('are others in another pass, and the same for the same draw', async () => {
    const groups = groupsOf(
      Array.from({ length: 40 }, (_, i) => i % 2),
      2,
    );
    const files = async (draw: number) => (await groups.get(3, draw)).items;
    expect(await files(5)).toEqual(await files(5));
    expect(await files(5)).not.toEqual(await files(5 + groups.length));
  });

  test('need two kinds with two images', () => {
    expect(() => groupsOf([0, 0, 1], 2)).toThrow(/3 training images show 2 kinds, and 1 of them have two images/);
  });
});

test('singleKinds name their files', async () => {
  const single = singletonGroups({ dataset: numbers(8), labels: [0, 0, 1, 1, 2, 2, 3, 3] });
  expect(single.nameOf!(7)).toBe('7.png');
  expect(await single.get(7)).toEqual({ items: [7], label: 3 });
});
