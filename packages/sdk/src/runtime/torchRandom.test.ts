/** @file Numbers of torch's generator, against torch 2.13. */

import { expect, test } from 'vitest';
import { TorchRandom } from './torchRandom.ts';

/** `torch.normal(0.0, 0.5, size=(n,), generator=g)`, and the `torch.rand(1)` that follows. */
test.each<[seed: number, expected: readonly number[], next: number]>([
  // prettier-ignore
  [3, [-0.038322, 0.179941, -0.391008, 0.035764, 0.523011, 0.261093, -0.083405, 0.026517, 0.202304, 0.30565, 0.380195, -0.016822, 0.498961, 0.22959, 1.218199, -0.073404, 0.242557, 0.102617, 0.169214, 0.676377], 0.3686259388923645],
  [5, [-0.24339, -0.301911, -0.279048, 0.333762, -0.098708, 0.971392, -0.700851, -0.381279, 0.315607, -0.449568, -0.278897, 0.345359], 0.9751613140106201], // prettier-ignore
  [9, [0.022364, 0.95562, -0.115515], 0.3804395794868469],
])('normal numbers of seed %d', (seed, expected, next) => {
  const random = new TorchRandom(seed);
  const found = random.normal(expected.length, 0.5);
  expected.forEach((each, i) => {
    expect(found[i]).toBeCloseTo(each, 5);
  });
  expect(random.uniform(1, 0, 1)[0]).toBe(next);
});
