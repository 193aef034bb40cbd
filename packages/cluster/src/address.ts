/** @file The address of a Ray cluster's dashboard, and the token for it. */

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** The port of Ray's dashboard. */
const DASHBOARD = 8265;
/** The port of Ray Client, which is often taken for it. */
const CLIENT = 10_001;

/**
 * The URL of a cluster's dashboard.
 * @param address `ray://HOST[:PORT]`, `http://…` or `https://…`; the port is the dashboard's, 8265 by default
 * @throws OnnxLoraError `CONFIG_INVALID` for other addresses
 */
export function dashboardOf(address: string): URL {
  const written = address.replace(/^ray:/, 'http:');
  const url = URL.canParse(written) ? new URL(written) : undefined;
  const isKnown = url && ['http:', 'https:'].includes(url.protocol) && url.hostname !== '';
  if (!isKnown || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${address}" is no address of a Ray cluster. Write ray://HOST:PORT, with the port of its dashboard (${DASHBOARD} by default), or https://HOST where a proxy serves it.`,
    );
  }
  if (!address.startsWith('ray:')) return url;
  if (url.port === '') url.port = String(DASHBOARD);
  if (url.port === String(CLIENT)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${address}" names the port of Ray Client. Name that of the dashboard, which is ${DASHBOARD} by default.`,
    );
  }
  return url;
}

/**
 * The token that Ray's own tools would send: `RAY_AUTH_TOKEN`, the file of `RAY_AUTH_TOKEN_PATH`, or `~/.ray/auth_token`;
 * undefined without one.
 * @throws OnnxLoraError `FILE_NOT_FOUND` for a file that is named and missing
 * @see https://docs.ray.io/en/latest/ray-security/token-auth.html
 */
export function authToken(environment: Readonly<Record<string, string | undefined>> = process.env): string | undefined {
  const given = environment['RAY_AUTH_TOKEN']?.trim();
  if (given) return given;
  const named = environment['RAY_AUTH_TOKEN_PATH'];
  const file = named ?? path.join(homedir(), '.ray/auth_token');
  if (!existsSync(file)) {
    if (named === undefined) return undefined;
    throw new OnnxLoraError('FILE_NOT_FOUND', `RAY_AUTH_TOKEN_PATH names "${file}", which is not there. Correct it.`);
  }
  return readFileSync(file, 'utf8').trim() || undefined;
}
