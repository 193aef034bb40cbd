/** @file The client's part for adapters: listing, and changes for admin keys. */

import type { Share } from '../adapters/manifest.ts';
import type { AdapterListing } from '../http/admin/about.ts';
import type { StoredVersion } from '../adapters/catalog.ts';
import type { Transport } from './transport.ts';

/** An adapter's two PEFT files. */
export interface AdapterFiles {
  /** `adapter_config.json`. */
  readonly config: Blob;
  /** `adapter_model.safetensors`. */
  readonly weights: Blob;
}

/** Options of an upload. */
export interface UploadOptions {
  /** The version; the start of the digest by default. */
  readonly version?: string | undefined;
  /** sha256 of config and weights concatenated, which the server checks. */
  readonly digest?: string | undefined;
  /** Base64 ed25519 signature of `NAME@DIGEST`. */
  readonly signature?: string | undefined;
  /** Whether it becomes current; true by default. */
  readonly activate?: boolean | undefined;
  /** Aborts the request; what is stored by then stays. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of a change. */
export interface AdapterChange {
  /** The version; the current one by default, or all for a deletion. */
  readonly version?: string | undefined;
  /** Aborts the request. */
  readonly signal?: AbortSignal | undefined;
}

/** The adapters of a server. */
export class Adapters {
  readonly #transport: Transport;

  /** Created by a client. */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Lists the base and the adapters that the key may use. */
  list({ signal }: { readonly signal?: AbortSignal } = {}): Promise<AdapterListing> {
    return this.#transport.json('/adapters', { signal });
  }

  /** Uploads a version of an adapter; it is on the server's disk when this resolves. */
  upload(name: string, { config, weights }: AdapterFiles, options: UploadOptions = {}): Promise<StoredVersion> {
    const { signal, ...query } = options;
    const form = new FormData();
    form.append('file', config, 'adapter_config.json');
    form.append('file', weights, 'adapter_model.safetensors');
    return this.#transport.json(at(name), { method: 'PUT', query, body: form, signal });
  }

  /** Deletes an adapter or a version. Running requests still finish. */
  async delete(name: string, { version, signal }: AdapterChange = {}): Promise<void> {
    await this.#transport.json(at(name), { method: 'DELETE', query: { version }, signal });
  }

  /** Makes a version current. */
  async activate(name: string, version: string, { signal }: Omit<AdapterChange, 'version'> = {}): Promise<void> {
    await this.#transport.post(`${at(name)}/activate`, { version }, { signal });
  }

  /** Splits a name's requests between versions or adapters; null ends the split. */
  async split(
    name: string,
    shares: readonly Share[] | null,
    { signal }: Omit<AdapterChange, 'version'> = {},
  ): Promise<void> {
    await this.#transport.post(`${at(name)}/split`, { shares }, { signal });
  }

  /** Defines an alias of an adapter: a split with one share. */
  alias(name: string, target: string, { version, signal }: AdapterChange = {}): Promise<void> {
    return this.split(name, [{ name: target, version, weight: 1 }], signal && { signal });
  }

  /** Pins it in memory and against deletion, or unpins it. */
  async pin(name: string, pinned = true, { version, signal }: AdapterChange = {}): Promise<void> {
    await this.#transport.post(`${at(name)}/pin`, { pinned, version }, { signal });
  }

  /** Loads it before its first request. */
  async load(name: string, { version, signal }: AdapterChange = {}): Promise<void> {
    await this.#transport.json(`${at(name)}/load`, { method: 'POST', query: { version }, signal });
  }
}

function at(name: string): string {
  return `/adapters/${encodeURIComponent(name)}`;
}
