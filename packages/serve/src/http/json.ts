/** @file JSON of requests: counted in pieces before it is parsed, so that no request holds up the others for long. */

import { setImmediate as turn } from 'node:timers/promises';
import { type JsonBudget, JsonMeter } from '@onnx-lora/sdk/core';
import { decodeText } from '@onnx-lora/sdk/data';
import type { z } from 'zod';
import { HttpError } from './errors.ts';
import { checked } from './routes.ts';

/** Bytes of JSON that are taken. */
const MOST_JSON = 16 * 2 ** 20;
/** Bytes that are counted between two turns of the event loop. */
export const PIECE: number = 2 ** 20;

/** What the JSON of a request may hold. */
const USUAL: JsonBudget = { keys: 100_000, values: 500_000 };
/** Tensors are long lists of numbers, which are checked where they become one. */
export const TENSOR_BUDGET: JsonBudget = { keys: 20_000, values: 2 ** 20 };

/**
 * The JSON of a body, as its schema has it.
 *
 * @throws HttpError 400, also for more members and values than the budget has; 413 for more than 16 MiB
 */
export async function jsonBody<T>(schema: z.ZodType<T>, body: Buffer, budget: JsonBudget = USUAL): Promise<T> {
  if (body.length > MOST_JSON) throw refused(413, `it has ${body.length} bytes, and at most ${MOST_JSON} are taken`);
  const meter = new JsonMeter(budget);
  for (let at = 0; at < body.length; at += PIECE) {
    if (at > 0) await turn();
    try {
      meter.read(body.subarray(at, at + PIECE));
    } catch (error) {
      throw refused(400, (error as Error).message);
    }
  }
  const text = decodeText(body, 'The body', 'INPUT_INVALID');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, 'INPUT_INVALID', `The body is no JSON: ${(error as Error).message}.`);
  }
  return checked(schema, value, 'The body');
}

function refused(status: number, what: string): HttpError {
  return new HttpError(
    status,
    'INPUT_INVALID',
    `The JSON cannot be read: ${what}. Send tensors as binary data, and records in several requests.`,
  );
}
