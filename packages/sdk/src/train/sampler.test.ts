import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../runtime/random.ts';
import { ShuffledBatches } from './sampler.ts';
import { weightedOrder } from './weightedOrder.ts';

describe('random numbers', () => {
  it('go on from a saved state', () => {
    const random = new Random(4);
    for (let i = 0; i < 9; i++) random.next();
    const state = JSON.parse(JSON.stringify(random.state())) as number[];
    const other = Random.at(state);
    expect(Array.from({ length: 20 }, () => other.next())).toEqual(Array.from({ length: 20 }, () => random.next()));
  });
});

describe('the order of examples', () => {
  it('has each example once in an epoch, and another order in the next', () => {
    const sampler = new ShuffledBatches(12, 4, 1);
    const epochs = Array.from({ length: 2 }, () => Array.from({ length: 3 }, () => sampler.next().value).flat());
    for (const epoch of epochs)
      expect(epoch.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
  });

  it('refuses what is no state of this data', () => {
    const { random } = new ShuffledBatches(5, 2, 1).state();
    for (const position of [6, -1, 1.5])
      expect(() => ShuffledBatches.at({ random, position, epoch: 0 }, 5, 2)).toThrow(
        `it stands at example ${position} of 5`,
      );
    expect(() => new ShuffledBatches(0, 2, 1)).toThrow('There are no examples to train on.');
  });

  it('goes on from a saved state, wherever it was taken', () => {
    fc.assert(
      fc.property(
        fc.record({
          length: fc.integer({ min: 1, max: 20 }),
          batch: fc.integer({ min: 1, max: 25 }),
          before: fc.integer({ min: 0, max: 15 }),
          seed: fc.integer(),
          isWeighted: fc.boolean(),
        }),
        ({ length, batch, before, seed, isWeighted }) => {
          const weights = isWeighted ? Array.from({ length }, (_, i) => 1 + (i % 3)) : undefined;
          const sampler = new ShuffledBatches(length, batch, seed, weights);
          for (let i = 0; i < before; i++) sampler.next();
          const state = JSON.parse(JSON.stringify(sampler.state())) as ReturnType<ShuffledBatches['state']>;
          const other = ShuffledBatches.at(state, length, batch, weights);
          expect(other.state()).toEqual(sampler.state());
          for (let i = 0; i < 10; i++) {
            const { value } = sampler.next();
            expect(value).toHaveLength(batch);
            expect(other.next().value).toEqual(value);
          }
          expect(other.state()).toEqual(sampler.state());
        },
      ),
    );
  });
});

describe('the order of weighted examples', () => {
  const weights = fc
    .array(fc.oneof(fc.constant(0), fc.constant(1), fc.double({ min: 0.01, max: 10, noNaN: true })), { minLength: 1 })
    .filter((all) => all.some((weight) => weight > 0));

  it('has each as often as its weight says, up or down to a whole number', () => {
    fc.assert(
      fc.property(weights, fc.integer(), (all, seed) => {
        const order = weightedOrder(new Random(seed), all);
        expect(order).toHaveLength(all.length);
        const total = all.reduce((sum, weight) => sum + weight, 0);
        all.forEach((weight, i) => {
          const times = order.filter((index) => index === i).length;
          const expected = (all.length * weight) / total;
          expect(times).toBeGreaterThanOrEqual(Math.floor(expected - 1e-9));
          expect(times).toBeLessThanOrEqual(Math.ceil(expected + 1e-9));
        });
      }),
      { seed: 1 },
    );
  });

  it('has classes evenly in every epoch, and over epochs all of their examples', () => {
    // 3 of one class, 30 of another, 67 of a third.
    const classes = Array.from({ length: 100 }, (_, i) => (i < 3 ? 0 : i < 33 ? 1 : 2));
    const sizes = [3, 30, 67];
    const all = classes.map((name) => 1 / sizes[name]!);
    const times = new Array<number>(100).fill(0);
    const random = new Random(2);
    for (let epoch = 0; epoch < 300; epoch++) {
      const order = weightedOrder(random, all);
      for (const index of order) times[index]!++;
      for (const name of [0, 1, 2]) {
        const count = order.filter((index) => classes[index] === name).length;
        expect([33, 34]).toContain(count);
      }
    }
    // 300 · 100 / 3 / 67 = 149 each, of which half an epoch's worth is chance: deviation √(300 · ½ · ½) = 9.
    for (let i = 33; i < 100; i++) expect(Math.abs(times[i]! - 149.3)).toBeLessThan(40);
  });

  it('has no place that is favoured', () => {
    const first = new Array<number>(10).fill(0);
    const random = new Random(3);
    for (let i = 0; i < 2000; i++) first[weightedOrder(random, new Array<number>(10).fill(1))[0]!]!++;
    // 200 expected, deviation 13.
    expect(Math.min(...first)).toBeGreaterThan(130);
    expect(Math.max(...first)).toBeLessThan(270);
  });
});
