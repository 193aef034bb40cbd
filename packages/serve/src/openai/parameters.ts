/** @file Parameters of OpenAI's routes: accepted, ignored or refused; and errors in OpenAI's format. */

import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type ErrorBody, HttpError } from '../http/errors.ts';
import { jsonBody } from '../http/json.ts';

/**
 * Handling of unsupported parameters: `ignored` ones do not affect answers, such as `user`; a list holds values without
 * effect, such as the default. Other values and parameters are refused.
 */
export type OtherParameters = Readonly<Record<string, 'ignored' | readonly unknown[]>>;

/** Parameters without effect on any route. */
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
 * Checks values by the schema of accepted parameters. Null means absent.
 * @param place prefix in messages: `messages.0.`
 * @throws HttpError 400, naming the parameter
 */
export function checkedParameters<Shape extends z.ZodRawShape>(
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

/** Parses a request's parameters. @throws HttpError as {@link checkedParameters} and `jsonBody` */
export async function parametersOf<Shape extends z.ZodRawShape>(
  taken: z.ZodObject<Shape>,
  others: OtherParameters,
  body: Buffer,
): Promise<z.output<z.ZodObject<Shape>>> {
  return checkedParameters(taken, others, await jsonBody(z.record(z.string(), z.unknown()), body));
}

/** A failure in OpenAI's format. */
export interface OpenAiError {
  readonly error: {
    readonly message: string;
    /** The type, from which clients choose their exception. */
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  429: 'rate_limit_error',
};

/** Converts a failure to OpenAI's format. */
export function openAiError(status: number, { error: message, code, param }: ErrorBody): OpenAiError {
  const type = types[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
  return { error: { message, type, param: param ?? null, code } };
}

/** The error 400 for a parameter. */
export function refusedParameter(param: string, message: string, code = 'INPUT_INVALID'): HttpError {
  return new HttpError(400, code, message, undefined, param);
}
