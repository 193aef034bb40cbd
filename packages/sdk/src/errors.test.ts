/** @file Tests of the error class. */

import { expect, it, vi } from 'vitest';
import { OnnxLoraError } from './errors.ts';

it('an error knows its section in the documentation', () => {
  expect(new OnnxLoraError('TARGET_NOT_FOUND', 'x').docs).toBe('reference/errors#target-not-found');
});

it('errors of another copy of the SDK are such errors too, and no others', async () => {
  vi.resetModules();
  const other = await import('./errors.ts');
  expect(other.OnnxLoraError).not.toBe(OnnxLoraError);
  const error = new other.OnnxLoraError('DATA_INVALID', 'x');
  expect(Object.getPrototypeOf(error)).not.toBe(OnnxLoraError.prototype);
  expect(error).toBeInstanceOf(OnnxLoraError);
  for (const each of [
    new Error('x'),
    Object.assign(new Error('x'), { code: 'ENOENT' }),
    { name: 'OnnxLoraError' },
    null,
  ])
    expect(each instanceof OnnxLoraError).toBe(false);
});
