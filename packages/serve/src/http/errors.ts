/** @file What a client is told of a failure: a status, and a code and a message as JSON. */

import path from 'node:path';
import { type ErrorCode, OnnxLoraError } from '@onnx-lora/sdk';
import { systemFailure } from '@onnx-lora/sdk/plugin';
import { OverloadedError } from '../scheduler/overloaded.ts';

/** The body of every answer that is a failure. */
export interface ErrorBody {
  /** For people: what failed, expected and found, and a remedy. */
  readonly error: string;
  /** For programs. */
  readonly code: string;
  /** The parameter that is to blame, where it is one of a request that names them. */
  readonly param?: string;
}

/** A failure as it is answered. */
export interface FailedAnswer {
  readonly status: number;
  readonly body: ErrorBody;
  /** Seconds after which it may be tried again. */
  readonly retryAfter?: number | undefined;
}

const statuses: Readonly<Partial<Record<ErrorCode, number>>> = {
  FILE_NOT_FOUND: 404,
  OVERLOADED: 429,
  CANCELLED: 504,
  OUT_OF_MEMORY: 503,
  PROVIDER_UNAVAILABLE: 503,
  RUNTIME_FAILED: 500,
  LOSS_NOT_FINITE: 500,
  PLUGIN_INVALID: 500,
  NO_GRADIENT: 500,
};

/** A mistake in what a client sends. */
export function inputInvalid(message: string, options?: ErrorOptions): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', message, options);
}

/** All that clients are told of a failure that is not theirs. */
const FAILED = 'The server failed. Its log says where.';

/** A refusal that is HTTP's own, such as a body that is too large. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  /** Seconds after which it may be tried again. */
  readonly retryAfter: number | undefined;
  /** The parameter that is to blame. */
  readonly param: string | undefined;

  /** `code` is in capitals, as the codes of OnnxLoraError, or one of OpenAI's. */
  constructor(status: number, code: string, message: string, retryAfter?: number, param?: string) {
    super(message);
    this.param = param;
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/**
 * What is answered. Of a failure that is no client's nothing is told but its code: the rest is for the log.
 *
 * @param hidePaths takes the places of this machine out of a message
 */
export function failedAnswer(given: unknown, hidePaths: (message: string) => string): FailedAnswer {
  const error = systemFailure(given) ?? given;
  if (error instanceof HttpError) {
    const { status, message, code, retryAfter, param } = error;
    return { status, body: { error: hidePaths(message), code, ...(param !== undefined && { param }) }, retryAfter };
  }
  if (error instanceof OnnxLoraError) {
    const status = statuses[error.code] ?? 400;
    const answer = { status, body: { error: status === 500 ? FAILED : hidePaths(error.message), code: error.code } };
    return error instanceof OverloadedError ? { ...answer, retryAfter: error.retryAfter } : answer;
  }
  const status = (error as { readonly statusCode?: unknown } | undefined)?.statusCode;
  if (typeof status === 'number' && status >= 400 && status < 500)
    return { status, body: { error: hidePaths((error as Error).message), code: 'HTTP' } };
  return { status: 500, body: { error: FAILED, code: 'INTERNAL' } };
}

/** A place on this machine, and what clients may call it. */
type HiddenPlace = readonly [place: string | undefined, label: string];

/**
 * Replaces places by what clients may call them. A place without a separator is a name, and stays.
 *
 * @example
 * hidingPaths([['/srv/models/vit', 'vit']])('"/srv/models/vit/model.onnx" is gone.'); // "vit/model.onnx" is gone.
 */
export function hidingPaths(places: readonly HiddenPlace[]): (message: string) => string {
  const known = places
    .flatMap(([place, label]) =>
      place === undefined ? [] : [place, path.resolve(place)].map((each) => [each, label] as const),
    ) // prettier-ignore
    .filter(([place]) => /[/\\]./.test(place))
    .sort(([a], [b]) => b.length - a.length);
  return (message) => known.reduce((text, [place, label]) => text.replaceAll(place, () => label), message);
}
