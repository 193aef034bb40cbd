/** @file Whose a request is, and how long its answer is of use. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { RequestOwner } from '../inference/request.ts';
import type { Caller } from '../operation/access.ts';
import type { Parameters } from './v2/schemas.ts';

/** The usual priority, between 0 and 9. */
const USUAL_PRIORITY = 5;

/**
 * The owner of a request.
 *
 * @param parameters `priority` from 0 to 9, higher first; `timeout` in microseconds, as Triton's clients send it
 * @throws OnnxLoraError `INPUT_INVALID`
 */
export function ownerOf({ tenant }: Caller, parameters: Parameters, signal: AbortSignal): RequestOwner {
  const { priority = USUAL_PRIORITY, timeout } = parameters;
  if (typeof priority !== 'number' || !Number.isInteger(priority) || priority < 0 || priority > 9)
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The priority is ${JSON.stringify(priority)}. Give a whole number from 0 to 9.`,
    );
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0))
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The timeout is ${JSON.stringify(timeout)}. Give microseconds, 0 for none.`,
    );
  const deadline = timeout ? { deadline: performance.now() + timeout / 1000 } : {};
  return { tenant, priority, signal, ...deadline };
}
