/** @file An adapter that a client brings: whether it is what it should be. */

import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { inputInvalid } from '../http/errors.ts';
import { digestOf, type FileLimits, type IncomingFile, loadBounded, receive } from './incoming.ts';
import type { Manifest } from './manifest.ts';
import { isAdapterName } from './catalog.ts';

/** What uploads must be. */
export interface UploadRules extends FileLimits {
  /** sha256 of the base's weights, `await model.digest()`: adapters that say they are of another are refused. */
  readonly baseDigest?: string;
  /** Public ed25519 keys (PEM). Where there are some, an adapter must be signed with one of them. */
  readonly keys?: readonly string[];
  /** Refuses what cannot be served, by throwing, before anybody is told that it is there. */
  readonly check?: (adapter: Adapter) => unknown;
}

/** An adapter that a client brings. */
export interface Upload {
  /** 1 to 128 letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** What it is called among those of its name; by default the first 12 digits of its digest. Versions never change. */
  readonly version?: string;
  /** Its two files. */
  readonly files: AsyncIterable<IncomingFile> | Iterable<IncomingFile>;
  /** What they must be: sha256 of both, one behind the other, the config first, in hexadecimal. */
  readonly digest?: string;
  /** ed25519 of `NAME@DIGEST`, in base64: what was signed under one name is not taken for another. */
  readonly signature?: string;
  /** Whether the name stands for it from then on; true by default. */
  readonly activate?: boolean;
}

/**
 * Writes an upload's files into a folder and looks at them.
 *
 * @returns what is noted of it
 * @throws OnnxLoraError as `AdapterStore.upload`
 */
export async function receiveUpload(
  { name, version, files, digest: said, signature }: Upload,
  folder: string,
  rules: UploadRules & { readonly trusted: readonly KeyObject[] },
): Promise<Pick<Manifest, 'digest' | 'sizes' | 'base'>> {
  for (const each of [name, version]) if (each !== undefined) requireName(each);
  const sizes = await receive(folder, files, rules);
  const digest = await digestOf(folder);
  if (said !== undefined && said.toLowerCase() !== digest) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `The digest of "${name}" is ${digest}, and not ${said}: it was damaged on its way, or is another one. Send it again.`,
    );
  }
  requireSigned(`${name}@${digest}`, signature, rules.trusted);
  const adapter = await loadBounded(folder, rules);
  const base = adapter.baseDigest;
  if (rules.baseDigest !== undefined && base !== undefined && base !== rules.baseDigest) {
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `The adapter was trained on a base with the digest ${base}, and the one here has ${rules.baseDigest}. Train it on this base.`,
    );
  }
  await rules.check?.(adapter);
  return { digest, sizes, ...(base !== undefined && { base }) };
}

/**
 * A key to check signatures with.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function publicKey(pem: string): KeyObject {
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Told below.
  }
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    'A key for signatures is no public ed25519 key in PEM. Make a pair with "openssl genpkey -algorithm ed25519", and give what "openssl pkey -pubout" makes of it.',
  );
}

/** @throws OnnxLoraError `INPUT_INVALID` */
export function requireName(name: string): void {
  if (isAdapterName(name)) return;
  throw inputInvalid(
    `${JSON.stringify(name)} is no name for an adapter or a version. Take 1 to 128 letters, digits, ".", "_" and "-".`,
  );
}

function requireSigned(words: string, signature: string | undefined, trusted: readonly KeyObject[]): void {
  if (trusted.length === 0) return;
  const bytes = Buffer.from(signature ?? '', 'base64');
  if (trusted.some((key) => verify(null, Buffer.from(words), key, bytes))) return;
  const found = signature === undefined ? 'has no signature' : 'was signed with none of the keys that are trusted here';
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${words}" ${found}. Sign these words with ed25519, and send the signature in base64.`,
  );
}
