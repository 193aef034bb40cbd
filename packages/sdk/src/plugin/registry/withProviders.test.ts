/** @file Tests of providers that plugins bring. */

import { expect, it } from 'vitest';
import type { Runtime, Session, SessionOptions } from '../../runtime/session.ts';
import { withProviders } from './withProviders.ts';

const answering = (asked: SessionOptions[]): Runtime => ({
  createSession: (_, options = {}) => {
    asked.push(options);
    return Promise.resolve({} as Session);
  },
});

it('makes a provider once, however many models ask for it, and leaves all others to the runtime', async () => {
  const [own, brought]: [SessionOptions[], SessionOptions[]] = [[], []];
  let made = 0;
  const factory = { name: 'farm', description: '', create: () => (made++, answering(brought)) };
  const [first, second] = [withProviders(answering(own), [factory]), withProviders(answering(own), [factory])];
  expect(made).toBe(0);
  const source = { model: new Uint8Array(), inputs: [], outputs: [] } as unknown as Parameters<
    Runtime['createSession']
  >[0];
  await first.createSession(source, { provider: 'farm', threads: 2 });
  await second.createSession(source, { provider: 'farm' });
  await first.createSession(source, { provider: 'cpu' });
  await first.createSession(source);
  expect(made).toBe(1);
  // The name means something here only.
  expect(brought).toEqual([{ threads: 2 }, {}]);
  expect(own).toEqual([{ provider: 'cpu' }, {}]);
  await expect(first.createSession(source, { provider: 'fram' })).rejects.toThrow(
    'There is no provider "fram". Did you mean "farm"? Providers are auto, cpu, cuda, dml, coreml, webgpu, farm.',
  );
});
