/** @file The certificate of a server that speaks HTTPS. */

import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** Files of a certificate. */
export interface TlsSettings {
  /** PEM, with those that lead to it. */
  readonly cert: string;
  /** PEM of its private key. */
  readonly key: string;
}

/** A certificate and its key, in PEM. */
export type Certificate = Readonly<Record<'cert' | 'key', string>>;

/**
 * Reads a certificate and its key.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for files that are none, or do not belong together
 */
export async function certificate({ cert, key }: TlsSettings): Promise<Certificate> {
  try {
    const found = { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
    createSecureContext(found);
    return found;
  } catch (cause) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${cert}" and "${key}" are no certificate and its key: ${(cause as Error).message}. Name two PEM files.`,
      { cause },
    );
  }
}
