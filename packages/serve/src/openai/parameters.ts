/** @file Parameters of OpenAI's routes: which are taken, which ask for nothing here, and which are refused. One table for each route. */

import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type ErrorBody, HttpError } from '../http/errors.ts';
import { jsonBody } from '../http/json.ts';

/**
 * What becomes of a parameter that is not taken: `ignored` has no effect on answers, such as `user`; a list holds the values that
 * ask for nothing, such as the default. Any other value is refused, and so is a parameter that is in no table.
 */
export type OtherParameters = Readonly<Record<string, 'ignored' | readonly unknown[]>>;

/** What has no effect on answers, on any route: names for OpenAI's own records and caches. */
export const ignoredParameters: OtherParameters = {
  user: 'ignored',
  metadata: 'ignored',
  safety_identifier: 'ignored',
  prompt_cache_key: 'ignored',
  prompt_cache_retention: 'ignored',
  service_tier: 'ignored',
  // Nothing is stored.
  store: [false],
};

/**
 * Values by the schema of what is taken. Null is the same as nothing.
 *
 * @param place what they are parameters of, for messages: `messages.0.`
 * @throws HttpError 400 that names the parameter
 */
export function takenOf<Shape extends z.ZodRawShape>(
  taken: z.ZodObject<Shape>,
  others: OtherParameters,
  values: Readonly<Record<string, unknown>>,
  place = '',
): z.output<z.ZodObject<Shape>> {
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined) continue;
    const param = `${place}${name}`;
    if (Object.hasOwn(taken.shape, name)) given[name] = value;
    else if (!Object.hasOwn(others, name))
      throw refusedParameter(param, `There is no parameter "${param}" here. Leave it out.`, 'unknown_parameter');
    else {
      const nothing = others[name]!;
      if (nothing === 'ignored' || nothing.some((each) => isDeepStrictEqual(each, value))) continue;
      const remedy = nothing.length === 0 ? 'Leave it out' : `Leave it out, or send ${nothing.map((each) => JSON.stringify(each)).join(' or ')}`; // prettier-ignore
      throw refusedParameter(
        param,
        `The parameter "${param}" is not supported here. ${remedy}.`,
        'unsupported_parameter',
      );
    }
  }
  const { data, error } = taken.safeParse(given);
  if (!error) return data;
  const [{ path, message }] = error.issues as [z.core.$ZodIssue];
  const param = `${place}${path.join('.')}`;
  throw refusedParameter(param, `"${param}" is not as it should be: ${message}.`);
}

/**
 * The parameters of a request's JSON.
 *
 * @throws HttpError as {@link takenOf} and `jsonBody`
 */
export async function parametersOf<Shape extends z.ZodRawShape>(
  taken: z.ZodObject<Shape>,
  others: OtherParameters,
  body: Buffer,
): Promise<z.output<z.ZodObject<Shape>>> {
  return takenOf(taken, others, await jsonBody(z.record(z.string(), z.unknown()), body));
}

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
