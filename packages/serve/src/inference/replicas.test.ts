/** @file Which of several sessions runs a batch. */

import type { AdapterSession, BoundFeeds } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { Replicas } from './replicas.ts';

it('runs go where least is running, and to the first where something was bound', async () => {
  const ran: string[] = [];
  const ends: (() => void)[] = [];
  const session = (name: string): AdapterSession => {
    const run = async (): Promise<object> => {
      ran.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (name === 'b') throw new Error('failed');
      return {};
    };
    return { run } as unknown as AdapterSession;
  };
  const replicas = new Replicas([session('a'), session('b'), session('c')]);
  const runs = [{}, {}, { bound: [{} as BoundFeeds] }, {}].map((options) => replicas.run({}, options));
  expect(ran).toEqual(['a', 'b', 'a', 'c']);
  ends[1]!();
  await expect(runs[1]).rejects.toThrow('failed');
  void replicas.run({}, {});
  expect(ran.at(-1)).toBe('b');
});
