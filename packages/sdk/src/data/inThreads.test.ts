/** @file Tests of examples that are prepared in other threads. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import type { Tensor } from '../runtime/tensor.ts';
import { inThreads } from './inThreads.ts';
import type { Dataset } from '../plugin/dataset.ts';

const module = new URL('../../fixtures/prepare.mjs', import.meta.url);

function listed<T>(items: readonly T[]): Dataset<T> {
  return { length: items.length, get: (index) => Promise.resolve(items[index]!), nameOf: (index) => `item-${index}` };
}

function threaded<Out>(items: readonly unknown[], name: string, threads = 2) {
  const dataset = inThreads<unknown, Out>(listed(items), { module, name, threads });
  onTestFinished(() => dataset.release());
  return dataset;
}

it('calls the export in another thread, with the example', async () => {
  expect(await threaded<object>([0], 'where').get(0)).toMatchObject({ isMainThread: false });
  const counted = threaded<Tensor>([3, 5], 'count');
  expect(counted).toMatchObject({ length: 2 });
  expect(counted.nameOf!(1)).toBe('item-1');
  expect(await counted.get(1)).toEqual({ type: 'float32', dims: [5], data: Float32Array.of(0, 1, 2, 3, 4) });
});

it('leaves this thread free, and uses several at once', async () => {
  const dataset = threaded<number>([300, 300], 'busy');
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  await Promise.all([dataset.get(0), dataset.get(1)]);
  clearInterval(timer);
  // In this thread there would be none.
  expect(turns).toBeGreaterThan(5);
});

it('says which example failed', async () => {
  await expect(threaded(['a', 'b'], 'fails').get(1)).rejects.toMatchObject({
    code: 'DATA_INVALID',
    message: 'Example item-1 cannot be prepared: "b" is broken.',
  });
  await expect(threaded(['a'], 'nothing').get(0)).rejects.toThrow(/nothing/);
  expect(() => threaded(['a'], 'busy', 0)).toThrow('threads must be a whole number of at least 1, but it is 0.');
});

it('does not keep the process alive', async () => {
  const program = `
    const { Tinypool } = await import('tinypool');
    const pool = new Tinypool({ filename: ${JSON.stringify(module.pathname)}, name: 'busy', minThreads: 0, maxThreads: 1, idleTimeout: 30000, execArgv: [] });
    console.log(await pool.run(1));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: import.meta.dirname,
    timeout: 20_000,
  });
  expect(stdout).toBe('1\n');
});
