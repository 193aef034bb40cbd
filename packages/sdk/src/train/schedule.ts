/** @file How the learning rate changes over a run. */

/** `linear` falls to 0 at the end, `cosine` along half a cosine; `constant` stays. */
export type ScheduleName = 'linear' | 'constant' | 'cosine';

const shapes: Readonly<Record<ScheduleName, (done: number) => number>> = {
  constant: () => 1,
  linear: (done) => 1 - done,
  cosine: (done) => 0.5 * (1 + Math.cos(Math.PI * done)),
};

/**
 * The factor on the learning rate at a step.
 *
 * @param step counted from 0
 * @param warmupSteps steps over which the rate first rises from 0 linearly
 */
export function scheduleFactor(name: ScheduleName, step: number, steps: number, warmupSteps = 0): number {
  if (step < warmupSteps) return (step + 1) / warmupSteps;
  return shapes[name]((step - warmupSteps) / Math.max(1, steps - warmupSteps));
}
