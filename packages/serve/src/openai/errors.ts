/** @file Refusals as OpenAI's clients read them. */

import { type ErrorBody, HttpError } from '../http/errors.ts';

/** The body of a failure on OpenAI's routes. */
export interface OpenAiError {
  readonly error: {
    readonly message: string;
    /** The kind, by which clients choose their own error. */
    readonly type: string;
    /** The parameter that is to blame, where it is one. */
    readonly param: string | null;
    readonly code: string;
  };
}

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  429: 'rate_limit_error',
};

/** A failure in the form of OpenAI's. */
export function openAiError(status: number, { error: message, code, param }: ErrorBody): OpenAiError {
  const type = types[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
  return { error: { message, type, param: param ?? null, code } };
}

/** A refusal of a parameter; 400. */
export function refusedParameter(param: string, message: string, code = 'INPUT_INVALID'): HttpError {
  return new HttpError(400, code, message, undefined, param);
}
