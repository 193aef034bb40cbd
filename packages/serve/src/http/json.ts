/** @file Parses JSON of requests, counted in pieces first so that no request blocks others for long. */

import { setImmediate as turn } from 'node:timers/promises';
import { type JsonBudget, JsonMeter } from '@onnx-lora/sdk/core';
import { decodeText } from '@onnx-lora/sdk/data';
import type { z } from 'zod';
import { HttpError } from './errors.ts';
import { checked } from './routes.ts';

/** Maximum bytes of JSON. */
const MOST_JSON = 16 * 2 ** 20;
/** Bytes counted per turn of the event loop. */
export const PIECE: number = 2 ** 20;

const USUAL: JsonBudget = { keys: 100_000, values: 500_000 };
/** Fewer keys, but more values: tensors are checked when they are converted. */
export const TENSOR_BUDGET: JsonBudget = { keys: 20_000, values: 2 ** 20 };

/**
 * Parses and checks a JSON body.
 * @throws HttpError 400 for invalid JSON, or more keys and values than the budget; 413 for more than 16 MiB
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
