/** @file A client of one server. */

import type { PredictAnswer } from '../http/predict/routes.ts';
import type { ServerStatus } from '../http/status/serverStatus.ts';
import type { ModelMetadata } from '../http/v2/schemas.ts';
import { Adapters } from './adapters.ts';
import { binaryAnswer, binaryRequest, HEADER_LENGTH, type InputTensor, type OutputTensor } from './tensors.ts';
import { Transport, type TransportOptions } from './transport.ts';

/** Selects the adapter of a request. */
export interface AskOptions {
  /** The adapter; the base by default. */
  readonly adapter?: string | undefined;
  /** Its version; the current one by default. */
  readonly version?: string | undefined;
  /** Requests with the same key get the same version of a split name. */
  readonly sticky?: string | undefined;
  /** Aborts the request, on the server too. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of an inference. */
export interface InferOptions extends AskOptions {
  /** Names of outputs; all by default. */
  readonly outputs?: readonly string[] | undefined;
  /** Priority among a tenant's requests, from 0 to 9, higher first; 5 by default. */
  readonly priority?: number | undefined;
  /** Timeout in milliseconds. */
  readonly timeout?: number | undefined;
}

/** Result of an inference. */
export interface InferAnswer {
  /** Tensors by output name. */
  readonly outputs: Readonly<Record<string, OutputTensor>>;
  /** The adapter that answered, with sha256 of its files; null for the base. */
  readonly adapter: { readonly name: string; readonly version: string; readonly digest: string } | null;
}

/** Options of a prediction. */
export type PredictOptions = AskOptions;

/** Input of a prediction: files, whose names or types tell their format, or records by column. */
export type Sources = Blob | readonly Blob[] | { readonly records: readonly Readonly<Record<string, unknown>>[] };

/** Options of a {@link Client}. */
export interface ClientOptions extends TransportOptions {
  /** Name of the model in URLs; asked from the server by default. */
  readonly model?: string | undefined;
}

/**
 * A client of one server. It connects on the first request.
 * @example
 * const client = new Client('http://127.0.0.1:8080');
 * const { predictions } = await client.predict(new File([bytes], 'cat.jpg'), { adapter: 'photos' });
 */
export class Client {
  /** The server's adapters. */
  readonly adapters: Adapters;
  readonly #transport: Transport;
  #model: Promise<string> | undefined;

  /** Creates a client. @param url `http://127.0.0.1:8080` */
  constructor(url: string, { model, ...options }: ClientOptions = {}) {
    this.#transport = new Transport(url, options);
    this.adapters = new Adapters(this.#transport);
    this.#model = model === undefined ? undefined : Promise.resolve(model);
  }

  /** Runs the model on tensors by name, in binary. @throws ServerError */
  async infer(inputs: Readonly<Record<string, InputTensor>>, options: InferOptions = {}): Promise<InferAnswer> {
    const { adapter, version, sticky, outputs, priority, timeout, signal } = options;
    const given = { sticky, priority, timeout: timeout === undefined ? undefined : Math.ceil(timeout * 1000) };
    const parameters = Object.fromEntries(
      Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    );
    const { body, header } = binaryRequest(inputs, {
      parameters,
      ...(outputs && { outputs: outputs.map((name) => ({ name })) }),
    });
    const answer = await this.#transport.send(`${await this.#path(adapter, version, signal)}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', [HEADER_LENGTH]: String(header) },
      body,
      signal,
    });
    const bytes = await answer.arrayBuffer();
    const found = binaryAnswer(bytes, Number(answer.headers.get(HEADER_LENGTH) ?? bytes.byteLength));
    const { lora, lora_digest: digest } = found.answer.parameters ?? {};
    const by = typeof lora === 'string' ? { name: lora, version: found.answer.model_version, digest: String(digest) } : null; // prettier-ignore
    return { outputs: found.outputs, adapter: by };
  }

  /** Predicts for files or records, in their order. @throws ServerError */
  predict(sources: Sources, { signal, ...query }: PredictOptions = {}): Promise<PredictAnswer> {
    if ('records' in sources) return this.#transport.post('/predict', sources, { query: { ...query }, signal });
    const form = new FormData();
    for (const file of sources instanceof Blob ? [sources] : sources) form.append('file', file);
    return this.#transport.json('/predict', { method: 'POST', query: { ...query }, body: form, signal });
  }

  /** Inputs and outputs of the model or an adapter. */
  async metadata({ adapter, version, signal }: PredictOptions = {}): Promise<ModelMetadata> {
    return this.#transport.json(await this.#path(adapter, version, signal), { signal });
  }

  /** The server's state; for admin keys. */
  status({ signal }: { readonly signal?: AbortSignal } = {}): Promise<ServerStatus> {
    return this.#transport.json('/status.json', { signal });
  }

  /** Whether the server is ready; false if unreachable. */
  async ready({ signal }: { readonly signal?: AbortSignal } = {}): Promise<boolean> {
    try {
      return (await this.#transport.send('/v2/health/ready', { signal })).ok;
    } catch (error) {
      if (signal?.aborted) throw error;
      return false;
    }
  }

  async #path(
    adapter: string | undefined,
    version: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const asked = (this.#model ??= this.adapters.list(signal && { signal }).then(({ base }) => base.name));
    // Failures are not cached.
    const model = await asked.catch((error: unknown) => {
      if (this.#model === asked) this.#model = undefined;
      throw error;
    });
    const named = encodeURIComponent(adapter === undefined ? model : `${model}:${adapter}`);
    return `/v2/models/${named}${version === undefined ? '' : `/versions/${encodeURIComponent(version)}`}`;
  }
}
