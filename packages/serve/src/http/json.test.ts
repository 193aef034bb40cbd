/** @file Tests of JSON of requests: how much is counted between two turns of the event loop, and what is refused before it is parsed. */

import { expect, it } from 'vitest';
import { z } from 'zod';
import { jsonBody, PIECE, TENSOR_BUDGET } from './json.ts';

it('lets others have their turn after each piece', async () => {
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const body = Buffer.from(`${' '.repeat(8 * PIECE)}{"a":1}`);
  expect(await jsonBody(z.object({ a: z.number() }), body)).toEqual({ a: 1 });
  isDone = true;
  expect(turns).toBeGreaterThanOrEqual(8);
});

it.each([
  ['values', `[${'[],'.repeat(600_000)}`, undefined],
  ['members', `{${'"a":1,'.repeat(30_000)}`, TENSOR_BUDGET],
  ['nested', '['.repeat(100), undefined],
])('too many %s are refused before they are found to be no JSON', async (what, text, budget) => {
  await expect(jsonBody(z.unknown(), Buffer.from(text), budget)).rejects.toMatchObject({
    status: 400,
    code: 'INPUT_INVALID',
    message: expect.stringMatching(`The JSON cannot be read.*${what}`),
  });
});

it('more bytes than are taken are not looked at', async () => {
  await expect(jsonBody(z.unknown(), Buffer.alloc(16 * PIECE + 1))).rejects.toMatchObject({ status: 413 });
});
