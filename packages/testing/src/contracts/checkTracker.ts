/** @file Checks trackers of training runs. */

import type { TrainEvent } from '@onnx-lora/sdk';
import type { TrackedRun, TrackerFactory } from '@onnx-lora/sdk/plugin';
import { call, findingsLater } from '../failures.ts';
import { inScratch } from '../scratch.ts';

/** Input of {@link checkTracker}; no settings by default. */
export type TrackerExamples = Partial<Pick<TrackedRun, 'settings'>>;

const events: { readonly [Kind in TrainEvent['type']]: Extract<TrainEvent, { readonly type: Kind }> } = {
  step: { type: 'step', step: 1, steps: 2, epoch: 0.5, loss: 1.5, lr: 1e-3, gradNorm: 0.7, samplesPerSecond: 12, secondsLeft: 1, memory: 2e8 }, // prettier-ignore
  warning: { type: 'warning', step: 1, message: 'The loss rises.' },
  badSample: { type: 'badSample', step: 1, example: 3, message: 'Cannot read "3.csv".', count: 1 },
  skipped: { type: 'skipped', step: 2, message: 'The loss is NaN.', examples: [0, 3], inARow: 1 },
  evaluation: { type: 'evaluation', step: 2, metrics: { accuracy: 0.5, loss: 1.2 }, confusion: { labels: ['a', 'b'], counts: [[1, 1], [1, 1]] }, examples: 4, seconds: 0.1, best: true }, // prettier-ignore
  checkpoint: { type: 'checkpoint', step: 2, folder: 'checkpoints/2' },
};

/**
 * Checks a tracker in a temporary folder: it accepts an event of each kind and closes, also if a resumed run ends
 * without events.
 * @example
 * assert.deepEqual(await checkTracker(jsonLines), []);
 * @returns errors of the tracker; empty if there are none
 */
export async function checkTracker(
  factory: TrackerFactory,
  { settings = {} }: TrackerExamples = {},
): Promise<string[]> {
  const follow = (folder: string, firstStep: number, told: readonly TrainEvent[], close: string): Promise<string[]> =>
    findingsLater(async () => {
      const tracker = await call('create', async () => factory.create({ folder, firstStep, settings }));
      // As in a run, promises are not awaited before the end.
      const added = told.map((event) =>
        noneLater(() => call(`add of the event "${event.type}"`, async () => tracker.add(event))),
      );
      const closed = await noneLater(() => call(close, async () => tracker.close()));
      return [...(await Promise.all(added)).flat(), ...closed];
    });
  return inScratch(async (folder) => {
    const problems = await follow(folder, 0, Object.values(events), 'close');
    return [...new Set([...problems, ...(await follow(folder, 2, [], 'close after nothing'))])];
  });
}

/** Problems of a call whose result does not matter. */
function noneLater(run: () => Promise<unknown>): Promise<string[]> {
  return findingsLater(async () => {
    await run();
    return [];
  });
}
