/** @file Reads the server's TLS certificate. */

import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** Files of a certificate and its key. */
export interface TlsSettings {
  /** PEM file of the certificate chain. */
  readonly cert: string;
  /** PEM file of the private key. */
  readonly key: string;
}

/** A certificate chain and its key in PEM. */
export type Certificate = Readonly<Record<'cert' | 'key', string>>;

/** Reads a certificate and its key. @throws OnnxLoraError `CONFIG_INVALID` for invalid files or a wrong key */
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
