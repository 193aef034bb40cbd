/** @file Tests of the error class. */

import { expect, it } from 'vitest';
import { OnnxLoraError } from './errors.ts';

it('an error knows its section in the documentation', () => {
  expect(new OnnxLoraError('TARGET_NOT_FOUND', 'x').docs).toBe('reference/errors#target-not-found');
});
