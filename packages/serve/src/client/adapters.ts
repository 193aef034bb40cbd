/** @file Adapters of a server: what there is, and for keys that may change it, what there is to be. */

import type { Share } from '../adapters/manifest.ts';
import type { AdapterListing } from '../http/admin/about.ts';
import type { StoredVersion } from '../adapters/catalog.ts';
import type { Transport } from './transport.ts';

/** The two files of an adapter, as PEFT writes them. */
export interface AdapterFiles {
  /** `adapter_config.json`. */
  readonly config: Blob;
  /** `adapter_model.safetensors`. */
  readonly weights: Blob;
}

/** How an adapter is brought. */
export interface UploadOptions {
  /** By default the beginning of its digest. */
  readonly version?: string | undefined;
  /** sha256 of the config and the weights, one behind the other, which the server compares. */
  readonly digest?: string | undefined;
  /** ed25519 of `NAME@DIGEST`, in base64. */
  readonly signature?: string | undefined;
  /** Whether the name stands for it from then on; true by default. */
  readonly activate?: boolean | undefined;
  /** Ends the request; what is on the disk by then stays. */
  readonly signal?: AbortSignal | undefined;
}

/** How long a change is waited for, and which version it is of. */
export interface AdapterChange {
  /** Which version; the one that the name stands for, or all where it is deleted, without. */
  readonly version?: string | undefined;
  /** Ends the request. */
  readonly signal?: AbortSignal | undefined;
}

/** The adapters of a server. */
export class Adapters {
  readonly #transport: Transport;

  /** Made by a client. */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The base, and those of its adapters that the key may use. */
  list({ signal }: { readonly signal?: AbortSignal } = {}): Promise<AdapterListing> {
    return this.#transport.json('/adapters', { signal });
  }

  /** Brings a version of an adapter. When this resolves, it is on the server's disk. */
  upload(name: string, { config, weights }: AdapterFiles, options: UploadOptions = {}): Promise<StoredVersion> {
    const { signal, ...query } = options;
    const form = new FormData();
    form.append('file', config, 'adapter_config.json');
    form.append('file', weights, 'adapter_model.safetensors');
    return this.#transport.json(at(name), { method: 'PUT', query, body: form, signal });
  }

  /** Deletes an adapter, or one version of it. Requests on their way still end. */
  async delete(name: string, { version, signal }: AdapterChange = {}): Promise<void> {
    await this.#transport.json(at(name), { method: 'DELETE', query: { version }, signal });
  }

  /** Has the name stand for this version. */
  async activate(name: string, version: string, { signal }: Omit<AdapterChange, 'version'> = {}): Promise<void> {
    await this.#transport.post(`${at(name)}/activate`, { version }, { signal });
  }

  /** Splits the requests for a name between versions, or between adapters; null ends that. */
  async split(
    name: string,
    shares: readonly Share[] | null,
    { signal }: Omit<AdapterChange, 'version'> = {},
  ): Promise<void> {
    await this.#transport.post(`${at(name)}/split`, { shares }, { signal });
  }

  /** Has a name stand for another adapter: a split with one share. */
  alias(name: string, target: string, { version, signal }: AdapterChange = {}): Promise<void> {
    return this.split(name, [{ name: target, version, weight: 1 }], signal && { signal });
  }

  /** Keeps it in memory, so that it cannot be deleted, or no longer. */
  async pin(name: string, pinned = true, { version, signal }: AdapterChange = {}): Promise<void> {
    await this.#transport.post(`${at(name)}/pin`, { pinned, version }, { signal });
  }

  /** Loads it before it is first asked for. */
  async load(name: string, { version, signal }: AdapterChange = {}): Promise<void> {
    await this.#transport.json(`${at(name)}/load`, { method: 'POST', query: { version }, signal });
  }
}

function at(name: string): string {
  return `/adapters/${encodeURIComponent(name)}`;
}
