/** @file The gRPC server. */

import { experimental, Server, ServerCredentials } from '@grpc/grpc-js';
import { type BodyBudget, type HttpLimits, MAX_BODY_BYTES, REQUEST_TIMEOUT } from '../http/bodies.ts';
import type { Service } from '../http/service.ts';
import type { Certificate } from '../operation/tls.ts';
import { addCalls } from './calls.ts';
import { interceptorOf } from './interceptor.ts';

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type Listener = Parameters<Provider['addIdentityCertificateListener']>[0];

/** Milliseconds until an idle connection is closed. */
const IDLE = 300_000;
/** Concurrent calls per connection. */
const MOST_CALLS = 1000;

export class GrpcApp {
  readonly #server: Server;
  readonly #listeners = new Set<Listener>();
  #certificate: Certificate | undefined;

  constructor(
    service: Service,
    certificate: Certificate | undefined,
    bodies: BodyBudget,
    { maxBodyBytes = MAX_BODY_BYTES, requestTimeout = REQUEST_TIMEOUT }: HttpLimits,
  ) {
    this.#certificate = certificate;
    const door = interceptorOf(service, bodies, requestTimeout);
    this.#server = new Server({
      'grpc.max_receive_message_length': maxBodyBytes,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': MOST_CALLS,
      'grpc.max_connection_idle_ms': IDLE,
      interceptors: [door.interceptor],
    });
    addCalls(this.#server, service, door);
  }

  /** Listens, and returns the address for clients. */
  async listen(host: string, port: number): Promise<string> {
    const name = host.includes(':') ? `[${host}]` : host;
    const bound = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`${name}:${port}`, this.#credentials(), (error, found) =>
        error ? reject(error) : resolve(found),
      );
    });
    return `${name}:${bound}`;
  }

  /** Replaces the certificate for new connections. */
  renew(certificate: Certificate): void {
    this.#certificate = certificate;
    for (const listener of this.#listeners) this.#tell(listener);
  }

  /** Stops accepting calls, and waits for running ones. */
  close(): Promise<void> {
    return new Promise((resolve) => this.#server.tryShutdown(() => resolve()));
  }

  closeNow(): void {
    this.#server.forceShutdown();
  }

  #credentials(): ServerCredentials {
    if (!this.#certificate) return ServerCredentials.createInsecure();
    const provider: Provider = {
      // No client certificates; the library confuses the order of its two providers, so one serves as both.
      addCaCertificateListener: (listener) =>
        process.nextTick(listener, { caCertificate: Buffer.from(this.#certificate!.cert) }),
      removeCaCertificateListener: () => undefined,
      addIdentityCertificateListener: (listener) => {
        this.#listeners.add(listener);
        process.nextTick(() => this.#tell(listener));
      },
      removeIdentityCertificateListener: (listener) => void this.#listeners.delete(listener),
    };
    return experimental.createCertificateProviderServerCredentials(provider, provider, false);
  }

  #tell(listener: Listener): void {
    const { cert, key } = this.#certificate!;
    listener({ certificate: Buffer.from(cert), privateKey: Buffer.from(key) });
  }
}
