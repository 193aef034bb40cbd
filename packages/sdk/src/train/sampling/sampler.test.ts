import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../runtime/random.ts';
import { lengthOrder, ShuffledBatches, weightedOrder } from './sampler.ts';

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

  it('has as many examples in a batch as its length has room for', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 120 }),
        fc.integer(),
        (lengths, batchLength, seed) => {
          const options = { lengths, batchLength };
          const sampler = new ShuffledBatches(lengths.length, 8, seed, options);
          const first = Array.from({ length: 3 }, () => sampler.next().value);
          const other = ShuffledBatches.at(sampler.state(), lengths.length, 8, options);
          expect(other.next().value).toEqual(sampler.next().value);
          for (const batch of first) {
            const longest = Math.max(...batch.map((index) => lengths[index]!));
            expect(batch.length === 1 || longest * batch.length <= batchLength).toBe(true);
          }
          const epoch = new ShuffledBatches(lengths.length, 8, seed, options);
          const seen: number[] = [];
          while (seen.length < lengths.length) seen.push(...epoch.next().value);
          expect(new Set(seen.slice(0, lengths.length)).size).toBe(lengths.length);
        },
      ),
    );
  });

  it('refuses what is no state of this data', () => {
    const { random } = new ShuffledBatches(5, 2, 1).state();
    for (const position of [6, -1, 1.5])
      expect(() => ShuffledBatches.at({ random, position, epoch: 0 }, 5, 2)).toThrow(
        `it stands at example ${position} of 5`,
      );
    expect(() => new ShuffledBatches(0, 2, 1)).toThrow('There are no examples to train on.');
  });

  it('continues from a saved state, wherever it was taken', () => {
    fc.assert(
      fc.property(
        fc.record({
          length: fc.integer({ min: 1, max: 20 }),
          batch: fc.integer({ min: 1, max: 25 }),
          before: fc.integer({ min: 0, max: 15 }),
          seed: fc.integer(),
          how: fc.constantFrom('weights', 'lengths', 'neither'),
        }),
        ({ length, batch, before, seed, how }) => {
          const options = { [how]: Array.from({ length }, (_, i) => 1 + (i % 3)) };
          const sampler = new ShuffledBatches(length, batch, seed, options);
          for (let i = 0; i < before; i++) sampler.next();
          const state = JSON.parse(JSON.stringify(sampler.state())) as ReturnType<ShuffledBatches['state']>;
          const other = ShuffledBatches.at(state, length, batch, options);
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
    // 300 · 100 / 3 / 67 = 149 each; half an epoch's worth of that is chance: deviation √(300 · ½ · ½) = 9.
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

describe('the order of examples of several lengths', () => {
  const batchesOf = (order: readonly number[], size: number): number[][] =>
    Array.from({ length: Math.ceil(order.length / size) }, (_, i) => order.slice(i * size, (i + 1) * size));

  it("is transformers' but for the draws", () => {
    // get_length_grouped_indices of transformers 5.24.0, with torch.randperm replaced by the order that is drawn here.
    const lengths = Array.from({ length: 50 }, (_, i) => (i * 37) % 101);
    const order = lengthOrder(new Random(5), lengths, 3);
    expect(order.join(' ')).toBe(
      '30 46 32 40 26 45 23 42 1 3 33 41 38 27 16 35 13 43 7 20 39 6 36 22 8 19 2 18 37 15 4 12 31 17 14 11 49 5 24 21 29 48 34 9 28 47 25 44 10 0',
    );
  });

  it('has every example once, the longest first', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 300 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer(),
        (lengths, size, seed) => {
          const order = lengthOrder(new Random(seed), lengths, size);
          expect(order.toSorted((a, b) => a - b)).toEqual([...lengths.keys()]);
          expect(lengths[order[0]!]).toBe(Math.max(...lengths));
        },
      ),
    );
  });

  it('wastes little of a batch, and differs from epoch to epoch', () => {
    const random = new Random(9);
    const lengths = Array.from({ length: 4000 }, () => 1 + random.next() ** 2 * 20);
    const waste = (order: readonly number[]): number => {
      let [used, all] = [0, 0];
      for (const batch of batchesOf(order, 8)) {
        const each = batch.map((index) => lengths[index]!);
        used += each.reduce((sum, length) => sum + length, 0);
        all += Math.max(...each) * each.length;
      }
      return 1 - used / all;
    };
    const first = lengthOrder(random, lengths, 8);
    expect(waste(first)).toBeLessThan(0.05);
    expect(waste(random.permutation(4000))).toBeGreaterThan(0.4);
    const members = (order: readonly number[]): Set<string> =>
      new Set(batchesOf(order, 8).map((batch) => batch.toSorted((a, b) => a - b).join()));
    const second = members(lengthOrder(random, lengths, 8));
    expect([...members(first)].filter((batch) => second.has(batch))).toEqual([]);
  });
});
