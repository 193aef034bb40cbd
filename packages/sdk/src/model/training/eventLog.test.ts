/** @file Tests of the log: order, late iterators, and that it does not grow without end. */

import { expect, it } from 'vitest';
import { EventLog } from './eventLog.ts';
import type { TrainEvent } from '../../plugin/events.ts';

const event = (step: number): TrainEvent => ({ type: 'warning', step, message: '' });

async function stepsOf(log: EventLog): Promise<number[]> {
  const steps: number[] = [];
  for await (const { step } of log) steps.push(step);
  return steps;
}

it('hands every event to every iterator, also those that wait', async () => {
  const log = new EventLog();
  log.add(event(1));
  const early = stepsOf(log);
  await Promise.resolve();
  log.add(event(2));
  log.add(event(3));
  log.end();
  expect(await early).toEqual([1, 2, 3]);
  expect(await stepsOf(log)).toEqual([1, 2, 3]);
});

it('keeps the latest of very many', async () => {
  const log = new EventLog();
  for (let step = 1; step <= 100_000; step++) log.add(event(step));
  log.end();
  const steps = await stepsOf(log);
  expect(steps.length).toBeGreaterThanOrEqual(10_000);
  expect(steps.length).toBeLessThan(20_000);
  expect(steps.at(-1)).toBe(100_000);
  expect(steps).toEqual(Array.from({ length: steps.length }, (_, i) => 100_000 - steps.length + 1 + i));
});
