/** @file Tests of what the server answers, and of what it keeps to itself. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { expect, onTestFinished, test, vi } from 'vitest';
import { adapterServer, HttpError, type ServerParts } from './adapterServer.ts';
import { RequestBatcher } from './requestBatcher.ts';

type Answer = ConstructorParameters<typeof RequestBatcher>[0];
const named: Answer = (rows) => Promise.resolve(rows.map(({ adapter }) => ({ label: adapter })));

/** Asks a server: `[status, body]`. */
async function served(
  answer: Answer,
  parts: Partial<ServerParts> = {},
): Promise<(path: string, body?: string) => Promise<[number, unknown]>> {
  const server = adapterServer({
    batcher: new RequestBatcher(answer, 4),
    preprocess: () => Promise.resolve(float32([0], [1])),
    maxBytes: 10,
    maxOpen: 2,
    patience: 5000,
    ...parts,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  return async (path, body = 'image') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body });
    return [response.status, await response.json()];
  };
}

test('the path names the adapter; without one the base answers', async () => {
  const ask = await served(named);
  expect(await ask('/turned')).toEqual([200, { label: 'turned' }]);
  expect(await ask('/')).toEqual([200, { label: null }]);
});

test('a request that is too large is refused', async () => {
  expect(await (await served(named))('/turned', 'eleven byte')).toEqual([413, expect.anything()]);
});

test.each([
  [404, new HttpError(404, 'There is no such adapter.')],
  [400, new OnnxLoraError('DATA_INVALID', 'This is no image.')],
  [503, new OnnxLoraError('OVERLOADED', 'Too many wait.')],
  [504, new OnnxLoraError('CANCELLED', 'It took too long.')],
])('the client is told with %i', async (status, error) => {
  expect(await (await served(() => Promise.reject(error)))('/turned')).toEqual([status, { error: error.message }]);
});

test('our own mistakes are logged, and not told', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  onTestFinished(() => log.mockRestore());
  const error = new OnnxLoraError('FILE_INVALID', '"/secret/place" is damaged.');
  const [status, body] = await (await served(() => Promise.reject(error)))('/turned');
  expect([status, JSON.stringify(body).includes('secret')]).toEqual([500, false]);
  expect(log).toHaveBeenCalledWith(error);
});

test('one request more than may be open is refused, and later ones are taken', async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let arrived = 0;
  const preprocess = (): Promise<Tensor> => {
    arrived++;
    return Promise.resolve(float32([0], [1]));
  };
  const ask = await served((rows) => held.then(() => named(rows)), { preprocess });
  const open = [ask('/a'), ask('/b')];
  await vi.waitUntil(() => arrived === 2);
  expect(await ask('/c')).toEqual([503, expect.anything()]);
  release();
  expect((await Promise.all(open)).map(([status]) => status)).toEqual([200, 200]);
  expect(await ask('/d')).toEqual([200, { label: 'd' }]);
});

test('an answer that takes too long is given up', async () => {
  let calls = 0;
  const slow: Answer = async (rows) => {
    if (calls++ === 0) await new Promise((resolve) => setTimeout(resolve, 300));
    return named(rows);
  };
  const ask = await served(slow, { patience: 100 });
  const answers = await Promise.all([ask('/a'), ask('/b')]);
  expect(answers.map(([status]) => status).sort((a, b) => a - b)).toEqual([200, 504]);
});
