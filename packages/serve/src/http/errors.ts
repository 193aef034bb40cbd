/** @file Converts errors to answers: a status, and JSON with a code and a message. */

import path from 'node:path';
import { type ErrorCode, OnnxLoraError } from '@onnx-lora/sdk';
import { systemFailure } from '@onnx-lora/sdk/plugin';
import { OverloadedError } from '../scheduler/overloaded.ts';

export interface ErrorBody {
  readonly error: string;
  /** Code for programs. */
  readonly code: string;
  /** The parameter at fault, if known. */
  readonly param?: string;
}

export interface FailedAnswer {
  readonly status: number;
  readonly body: ErrorBody;
  /** Seconds until a retry makes sense. */
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

/** The error for invalid input of a client. */
export function inputInvalid(message: string, options?: ErrorOptions): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', message, options);
}

/** Message for failures that are not the client's. */
const FAILED = 'The server failed. Its log says where.';

/** An error of HTTP itself, such as a too large body. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly retryAfter: number | undefined;
  readonly param: string | undefined;

  /** `code` is one of OnnxLoraError's or OpenAI's. */
  constructor(status: number, code: string, message: string, retryAfter?: number, param?: string) {
    super(message);
    this.param = param;
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/**
 * Converts an error. For failures of the server, clients get only the code; the log has the rest.
 * @param hidePaths removes local paths from a message
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

type HiddenPlace = readonly [place: string | undefined, label: string];

/**
 * Replaces local paths by labels. Bare names without a separator stay.
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
