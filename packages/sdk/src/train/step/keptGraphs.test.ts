import { expect, test } from 'vitest';
import { KeptGraphs } from './keptGraphs.ts';

test('those used longest ago go first, and the last always stays', async () => {
  const released: string[] = [];
  const graphs = new KeptGraphs(100);
  const load = async (name: string, bytes: number): Promise<void> => {
    await graphs.makeRoom(bytes);
    graphs.add(name, { bytes, release: () => Promise.resolve(void released.push(name)) });
  };
  await load('a', 40);
  await load('b', 40);
  expect(graphs.use('a')).toBeDefined();
  await load('c', 40);
  expect(released).toEqual(['b']);
  expect(graphs.use('b')).toBeUndefined();
  expect(graphs.use('a')).toBe(graphs.last);
  await load('d', 400);
  expect(released).toEqual(['b', 'c', 'a']);
  expect(graphs.last?.bytes).toBe(400);
  await load('e', 40);
  expect(released).toEqual(['b', 'c', 'a', 'd']);
  await graphs.release();
  expect(released).toEqual(['b', 'c', 'a', 'd', 'e']);
  expect(graphs.last).toBeUndefined();
});
