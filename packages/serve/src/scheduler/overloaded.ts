/** @file The error for an overloaded server. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/**
 * Why a request is refused: the queue is full overall or for its tenant (`queue`), it would wait too long in general
 * (`wait`) or for its client (`deadline`), memory is short (`memory`), or the server is stopping (`draining`).
 */
export type OverloadReason = 'queue' | 'wait' | 'deadline' | 'memory' | 'draining';

const reasons: Readonly<Record<OverloadReason, string>> = {
  queue: 'as many requests wait as may',
  wait: 'requests would wait for longer than they may',
  deadline: 'the deadline would pass before the request has its turn',
  memory: 'there is no memory for the request now',
  draining: 'it is about to stop and takes no more requests',
};

/** The server is overloaded; retry later. Code `OVERLOADED`. */
export class OverloadedError extends OnnxLoraError {
  /** The reason. */
  readonly reason: OverloadReason;
  /** Seconds until a retry makes sense, at least 1: HTTP's `Retry-After`. */
  readonly retryAfter: number;

  /** `wait` is the current wait in milliseconds. */
  constructor(reason: OverloadReason, wait: number) {
    const retryAfter = Math.max(1, Math.ceil(wait / 1000));
    const remedy = reason === 'draining' ? 'Ask another server' : 'Send it again later';
    super('OVERLOADED', `The server is overloaded: ${reasons[reason]}. ${remedy}, after ${retryAfter} s.`);
    this.reason = reason;
    this.retryAfter = retryAfter;
  }

  /** OnnxLoraError matches by properties, which subclasses would inherit. */
  static override [Symbol.hasInstance](value: unknown): value is OverloadedError {
    return value instanceof OnnxLoraError && value.code === 'OVERLOADED' && 'retryAfter' in value;
  }
}
