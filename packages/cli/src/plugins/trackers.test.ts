/** @file Tests of what becomes of trackers that fail. */

import type { StepEvent, Tracker, TrackerFactory } from '@onnx-lora/sdk/plugin';
import { expect, it } from 'vitest';
import { Trackers } from './trackers.ts';

const run = { folder: '', firstStep: 0, settings: {} };
const event = { type: 'step', step: 1 } as StepEvent;

function factory(name: string, create: () => Tracker): TrackerFactory {
  return { name, description: '', create };
}

it('a promise that is rejected becomes one warning', async () => {
  const warnings: string[] = [];
  let closed = 0;
  const away = factory('away', () => ({
    add: () => Promise.reject(new Error('no connection')),
    close: () => void closed++,
  }));
  const trackers = await Trackers.begin(['away'], { trackers: [away] }, run, (each) => warnings.push(each));
  trackers.add(event);
  trackers.add(event);
  await new Promise(setImmediate);
  trackers.add(event);
  await trackers.close();
  expect(warnings).toEqual(['the tracker "away" failed and gets no more events:  no connection']);
  expect(closed).toBe(0);
});

it('closes those that were made where a later one refuses', async () => {
  let closed = 0;
  const first = factory('first', () => ({ add: () => {}, close: () => void closed++ }));
  const second = factory('second', () => {
    throw new Error('no key');
  });
  const begun = Trackers.begin(['first', 'second'], { trackers: [first, second] }, run, () => {});
  await expect(begun).rejects.toThrow('no key');
  expect(closed).toBe(1);
});
