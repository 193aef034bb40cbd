import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../runtime/random.ts';
import { ShuffledBatches } from './sampler.ts';

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
        }),
        ({ length, batch, before, seed }) => {
          const sampler = new ShuffledBatches(length, batch, seed);
          for (let i = 0; i < before; i++) sampler.next();
          const state = JSON.parse(JSON.stringify(sampler.state())) as ReturnType<ShuffledBatches['state']>;
          const other = ShuffledBatches.at(state, length, batch);
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
