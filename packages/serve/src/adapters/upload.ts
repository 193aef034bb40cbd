/** @file Validates an uploaded adapter. */

import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { inputInvalid } from '../http/errors.ts';
import { digestOf, type FileLimits, type IncomingFile, loadBounded, receive } from './incoming.ts';
import type { Manifest } from './manifest.ts';
import { isAdapterName } from './catalog.ts';

/** Requirements on uploads. */
export interface UploadRules extends FileLimits {
  /** sha256 of the base's weights, `await model.digest()`: adapters of another base are refused. */
  readonly baseDigest?: string;
  /** Public ed25519 keys (PEM). If any, adapters must be signed with one of them. */
  readonly keys?: readonly string[];
  /** Throws for an adapter that cannot be served. */
  readonly check?: (adapter: Adapter) => unknown;
}

/** An adapter to upload. */
export interface Upload {
  /** 1 to 128 letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** Its version; the first 12 digits of its digest by default. Versions never change. */
  readonly version?: string;
  /** Its two files. */
  readonly files: AsyncIterable<IncomingFile> | Iterable<IncomingFile>;
  /** Expected hexadecimal sha256 of both files concatenated, config first. */
  readonly digest?: string;
  /** Base64 ed25519 signature of `NAME@DIGEST`, which binds it to the name. */
  readonly signature?: string;
  /** Whether it becomes current; true by default. */
  readonly activate?: boolean;
}

/** Validates an upload and returns its facts. @throws OnnxLoraError as `AdapterStore.upload` */
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

/** Parses a public key. @throws OnnxLoraError `CONFIG_INVALID` */
export function publicKey(pem: string): KeyObject {
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Reported below.
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
