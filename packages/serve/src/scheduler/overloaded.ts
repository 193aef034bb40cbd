/** @file How requests are refused that would wait for too long. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/**
 * Why a request is refused: too much waits altogether or of its tenant (`queue`), it would wait for longer than anything may
 * (`wait`) or than its client does (`deadline`), there is no memory for it (`memory`), or the server is about to stop (`draining`).
 */
export type OverloadReason = 'queue' | 'wait' | 'deadline' | 'memory' | 'draining';

const reasons: Readonly<Record<OverloadReason, string>> = {
  queue: 'as many requests wait as may',
  wait: 'requests would wait for longer than they may',
  deadline: 'the deadline would pass before the request has its turn',
  memory: 'there is no memory for the request now',
  draining: 'it is about to stop and takes no more requests',
};

/** The server has more to do than it can; the request may be sent again. Code `OVERLOADED`. */
export class OverloadedError extends OnnxLoraError {
  /** Why. */
  readonly reason: OverloadReason;
  /** After how many seconds it is worth another try, one at least: HTTP's `Retry-After`. */
  readonly retryAfter: number;

  /** Says why, and when to try again; `wait` is in milliseconds, what a request would wait now. */
  constructor(reason: OverloadReason, wait: number) {
    const retryAfter = Math.max(1, Math.ceil(wait / 1000));
    const remedy = reason === 'draining' ? 'Ask another server' : 'Send it again later';
    super('OVERLOADED', `The server is overloaded: ${reasons[reason]}. ${remedy}, after ${retryAfter} s.`);
    this.reason = reason;
    this.retryAfter = retryAfter;
  }

  /** Errors of this kind alone: an `OnnxLoraError` is known by what it has, and its subclasses would all be one. */
  static override [Symbol.hasInstance](value: unknown): value is OverloadedError {
    return value instanceof OnnxLoraError && value.code === 'OVERLOADED' && 'retryAfter' in value;
  }
}
