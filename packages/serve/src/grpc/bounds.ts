/** @file Bounds the decoded size of a message: few bytes on the wire may become an object each. */

import { HttpError } from '../http/errors.ts';
import type { Nested } from './protocol.ts';

/** Maximum nested messages. */
const MOST_MESSAGES = 10_000;
/** Maximum bytes besides raw tensors. */
const MOST_BYTES = 4 * 2 ** 20;

/** Field of raw tensors; they are not decoded. */
const RAW = 7;

/**
 * Scans a message's fields before decoding.
 * @param nested fields that are messages
 * @throws HttpError 400 for an invalid message, 413 for too many nested messages or too much besides raw tensors
 */
export function requireBounded(message: Buffer, nested: Nested): void {
  let left = MOST_MESSAGES;
  let beside = message.length;
  const walk = (start: number, end: number, inside: Nested, isTop: boolean): void => {
    let at = start;
    const varint = (): number => {
      let value = 0;
      for (let i = 0; i < 10; i++) {
        if (at >= end) throw broken();
        const byte = message[at++]!;
        value += (byte & 0x7f) * 2 ** (7 * i);
        if (byte < 0x80) return value;
      }
      throw broken();
    };
    while (at < end) {
      const tag = varint();
      const field = Math.floor(tag / 8);
      const wire = tag % 8;
      if (field === 0) throw broken();
      if (wire === 0) varint();
      else if (wire === 1) at += 8;
      else if (wire === 5) at += 4;
      else if (wire === 2) {
        const size = varint();
        if (size > end - at) throw broken();
        const within = nestedOf(inside, field);
        if (within && --left < 0)
          throw tooLarge(`more than ${MOST_MESSAGES} tensors and parameters. Send fewer at a time`);
        if (isTop && field === RAW) beside -= size;
        else if (within) walk(at, at + size, within, false);
        at += size;
      } else throw broken();
      if (at > end) throw broken();
    }
  };
  walk(0, message.length, nested, true);
  if (beside > MOST_BYTES)
    throw tooLarge(`more than ${MOST_BYTES} bytes beside raw tensors. Send values as raw_input_contents`);
}

function nestedOf(inside: Nested, field: number): Nested | undefined {
  return Object.hasOwn(inside, field) ? inside[field] : undefined;
}

function broken(): HttpError {
  return new HttpError(
    400,
    'INPUT_INVALID',
    'The bytes are no message of the protocol. Send what its proto file says.',
  );
}

function tooLarge(what: string): HttpError {
  return new HttpError(413, 'INPUT_INVALID', `The message has ${what}.`);
}
