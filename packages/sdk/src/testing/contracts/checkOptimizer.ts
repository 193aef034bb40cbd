/** @file What must hold of an optimizer. */

import { isDeepStrictEqual } from 'node:util';
import { Random } from '../../runtime/random.ts';
import type { Optimizer } from '../../train/optimizers/optimizer.ts';

/** Options of {@link checkOptimizer}. */
export interface CheckOptimizerOptions {
  /** A rate at which it should get down a bowl within 200 steps; 0.01 by default. */
  readonly lr?: number;
}

const dims = [3, 4];
const STEPS = 200;

/**
 * Checks an optimizer on a bowl, ½ Σ cᵢxᵢ²: it gets down, alike each time; a zero gradient moves nothing when nothing
 * decays; and one that takes over the state of another goes on with the same bits, as a run from a checkpoint must.
 *
 * @example
 * assert.deepEqual(checkOptimizer(() => muon.create({})), []);
 *
 * @param make gives a new one, whose state is empty
 * @returns what does not hold; nothing where all does
 */
export function checkOptimizer(make: () => Optimizer, { lr = 0.01 }: CheckOptimizerOptions = {}): string[] {
  const [first, again] = [descent(make(), lr), descent(make(), lr)];
  const end = lossAt(first.value);
  const still = new Bowl();
  const settings = { lr, weightDecay: 0, dims };
  for (const _ of make().update('x', still.value, new Float32Array(still.value.length), settings));
  const { weightDecay } = make();
  return [
    ...(Number.isFinite(weightDecay) && weightDecay >= 0 ? [] : [`weightDecay is ${weightDecay}`]),
    ...(end < lossAt(new Bowl().value) / 2 ? [] : [`after ${STEPS} steps with a rate of ${lr}, the loss went from ${lossAt(new Bowl().value)} to ${end}`]), // prettier-ignore
    ...(isDeepStrictEqual(first.value, again.value) ? [] : ['the same steps end elsewhere the second time']),
    ...(isDeepStrictEqual(still.value, new Bowl().value) ? [] : ['a zero gradient moves values though nothing decays']),
    ...resumeProblems(make, lr),
  ];
}

/** Values that begin at the same random place. */
class Bowl {
  readonly value: Float32Array;

  constructor() {
    const random = new Random(3);
    this.value = Float32Array.from({ length: 12 }, () => random.uniform(-1, 1));
  }

  step(optimizer: Optimizer, lr: number): void {
    const gradient = this.value.map((x, i) => curvature(i) * x);
    for (const _ of optimizer.update('x', this.value, gradient, { lr, weightDecay: 0, dims }));
  }
}

function descent(optimizer: Optimizer, lr: number): Bowl {
  const bowl = new Bowl();
  for (let step = 0; step < STEPS; step++) bowl.step(optimizer, lr);
  return bowl;
}

function resumeProblems(make: () => Optimizer, lr: number): string[] {
  const [whole, other] = [make(), make()];
  const bowl = new Bowl();
  for (let step = 0; step < 5; step++) bowl.step(whole, lr);
  const state = new Map([...whole.state()].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]));
  other.load(state, new Map([['x', dims]]));
  const resumed = new Bowl();
  resumed.value.set(bowl.value);
  for (let step = 0; step < 5; step++) {
    bowl.step(whole, lr);
    resumed.step(other, lr);
  }
  return isDeepStrictEqual(bowl.value, resumed.value)
    ? []
    : ['one that takes over its state goes on with other bits: state() must hold all that it remembers'];
}

function curvature(i: number): number {
  return 0.5 + (i % 3);
}

function lossAt(value: Float32Array): number {
  return value.reduce((sum, x, i) => sum + 0.5 * curvature(i) * x * x, 0);
}
