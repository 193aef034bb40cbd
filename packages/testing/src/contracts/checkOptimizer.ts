/** @file Checks optimizers. */

import { isDeepStrictEqual } from 'node:util';
import { type Optimizer, OptimizerMemory } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { call, findings } from '../failures.ts';

/** Options of {@link checkOptimizer}. */
export interface CheckOptimizerOptions {
  /** Learning rate that should halve the loss within 200 steps; 0.01 by default. */
  readonly lr?: number;
}

const dims = [3, 4];
const STEPS = 200;

/**
 * Checks an optimizer on a quadratic, ½ Σ cᵢxᵢ²: it descends, reproducibly; a zero gradient without weight decay
 * changes nothing; and restored state continues with the same bits, as a resumed run must.
 * @example
 * assert.deepEqual(checkOptimizer(() => muon.create({})), []);
 * @param make makes an optimizer with empty state
 * @returns the problems found, including errors; empty if there are none
 */
export function checkOptimizer(make: () => Optimizer, { lr = 0.01 }: CheckOptimizerOptions = {}): string[] {
  const create = (): OptimizerMemory => new OptimizerMemory(call('create', make));
  const problems = [...findings(() => descentProblems(create, lr)), ...findings(() => resumeProblems(create, lr))];
  // Both may fail for the same reason.
  return [...new Set(problems)];
}

function descentProblems(make: () => OptimizerMemory, lr: number): string[] {
  const { weightDecay } = make().optimizer;
  const [first, again] = [descent(make(), lr), descent(make(), lr)];
  const [begin, end] = [lossAt(new Bowl().value), lossAt(first.value)];
  const still = new Bowl();
  still.step(make(), lr, () => 0);
  return [
    ...(Number.isFinite(weightDecay) && weightDecay >= 0 ? [] : [`weightDecay is ${weightDecay}`]),
    ...(end < begin / 2 ? [] : [`after ${STEPS} steps with a rate of ${lr}, the loss went from ${begin} to ${end}`]),
    ...(isDeepStrictEqual(first.value, again.value) ? [] : ['the same steps end elsewhere the second time']),
    ...(isDeepStrictEqual(still.value, new Bowl().value) ? [] : ['a zero gradient moves values though nothing decays']),
  ];
}

/** Values that start at the same random point. */
class Bowl {
  readonly value: Float32Array;

  constructor() {
    const random = new Random(3);
    this.value = Float32Array.from({ length: 12 }, () => random.uniform(-1, 1));
  }

  step(
    optimizer: OptimizerMemory,
    lr: number,
    slope: (x: number, i: number) => number = (x, i) => curvature(i) * x,
  ): void {
    const gradient = this.value.map(slope);
    call('update', () => {
      for (const _ of optimizer.update('x', this.value, gradient, { lr, weightDecay: 0, dims }));
    });
  }
}

function descent(optimizer: OptimizerMemory, lr: number): Bowl {
  const bowl = new Bowl();
  for (let step = 0; step < STEPS; step++) bowl.step(optimizer, lr);
  return bowl;
}

function resumeProblems(make: () => OptimizerMemory, lr: number): string[] {
  const [whole, other] = [make(), make()];
  const bowl = new Bowl();
  for (let step = 0; step < 5; step++) bowl.step(whole, lr);
  other.load(whole.state(), new Map([['x', dims]]));
  const resumed = new Bowl();
  resumed.value.set(bowl.value);
  for (let step = 0; step < 5; step++) {
    bowl.step(whole, lr);
    resumed.step(other, lr);
  }
  return isDeepStrictEqual(bowl.value, resumed.value)
    ? []
    : [
        'one that takes over its state continues with other bits: all that it remembers must be in the arrays of init()',
      ];
}

function curvature(i: number): number {
  return 0.5 + (i % 3);
}

function lossAt(value: Float32Array): number {
  return value.reduce((sum, x, i) => sum + 0.5 * curvature(i) * x * x, 0);
}
