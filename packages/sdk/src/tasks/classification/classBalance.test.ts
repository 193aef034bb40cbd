import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { balancedWeights, classWeights } from './lossWeights.ts';

describe('class weights', () => {
  test('are those of scikit-learn and of Cui et al.', () => {
    // compute_class_weight('balanced', classes=[0, 1, 2], y=[0] * 6 + [1] * 3 + [2]).
    const balanced = [10 / 18, 10 / 9, 10 / 3];
    classWeights([6, 3, 1]).forEach((weight, i) => expect(weight).toBeCloseTo(balanced[i]!, 12));
    // In the paper's code, (1 − beta) / (1 − betaⁿ), here scaled so that all examples weigh as much as before.
    const [a, b] = classWeights([1000, 10], { beta: 0.999 });
    expect(b! / a!).toBeCloseTo((1 - 0.999 ** 1000) / (1 - 0.999 ** 10), 9);
    expect(classWeights([1000, 10], 'effective')).toEqual([a, b]);
    expect(() => classWeights([1], { beta: 1 })).toThrow(/beta of the class weights must be at least 0 and below 1/);
  });

  test('leave the sum over examples as it is', () => {
    const counts = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1 });
    const balance = fc.oneof(
      fc.constant('balanced' as const),
      fc.record({ beta: fc.double({ min: 0, max: 0.9999, noNaN: true }) }),
    );
    fc.assert(
      fc.property(counts, balance, (all, how) => {
        const weights = classWeights(all, how);
        const examples = all.reduce((sum, count) => sum + count, 0);
        expect(all.reduce((sum, count, i) => sum + count * weights[i]!, 0)).toBeCloseTo(examples, 6);
        all.forEach((count, i) => count === 0 && expect(weights[i]).toBe(1));
      }),
      { seed: 1 },
    );
  });
});

test('weights of examples give every class the same in all', () => {
  const labels = [['a'], ['a'], ['a'], ['b'], ['b'], []];
  expect(balancedWeights(labels)).toEqual([1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2, 1]);
  expect(balancedWeights([['a', 'b'], ['a'], ['a'], ['b']])).toEqual([(1 / 3 + 1 / 2) / 2, 1 / 3, 1 / 3, 1 / 2]);
});
