/** @file `serve`: serves a model and its adapters over HTTP and gRPC in any Node program. */

import path from 'node:path';
import type { Server as TlsServer } from 'node:tls';
import { type Model, OnnxLoraError } from '@onnx-lora/sdk';
import type { Scope } from '@onnx-lora/sdk/composition';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import type { Variants } from './inference/variants.ts';
import { toStderr } from './operation/log.ts';
import { type ServeSettings, serveSettings } from './operation/settings.ts';
import { type Certificate, certificate } from './operation/tls.ts';
import { BODIES, CEILING, type ServeOptions, SERVICE, serverScope, STATE } from './services.ts';

/** A running server. */
export interface Server extends AsyncDisposable {
  /** Its URL: `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Its gRPC address, if any: `127.0.0.1:8081`. */
  readonly grpcUrl?: string;
  /** Name of the model in URLs. */
  readonly model: string;
  /**
   * Replaces keys and certificate; other settings stay. Running requests continue.
   * @throws OnnxLoraError `CONFIG_INVALID`, `FILE_NOT_FOUND`; without any change
   */
  reload(settings: Pick<ServeSettings, 'keys' | 'tls'>): Promise<void>;
  /** Stops accepting requests, finishes running ones, and releases the model. */
  close(): Promise<void>;
}

/**
 * Serves a model with any number of adapters.
 * @example
 * const model = await openModel('models/vit', { plugins: [visionPlugin] });
 * await using server = await serve(model, { adapters: 'runs' });
 * console.log(server.url);
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid setting or used address; `FILE_INVALID` for a store that
 *   another process has; as `model.session`
 */
export async function serve(
  model: Model,
  { catalog, onLog = toStderr, replaced = [], ...given }: ServeOptions = {},
): Promise<Server> {
  const settings = serveSettings(given, 'serve');
  const { name = nameOf(model), tls } = settings;
  const pair = tls && (await certificate(tls));
  const scope = serverScope(model, { ...settings, ...withoutUndefined({ catalog }) }, { name, onLog, replaced });
  try {
    return await started(scope, settings, { name, pair });
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}

/** Starts the server of a scope, which it disposes when closed. */
async function started(
  scope: Scope,
  { port = 8080, host = '127.0.0.1', grpc, tls, drainTimeout = 30_000, maxBodyBytes, maxUploadBytes, requestTimeout }: ServeSettings, // prettier-ignore
  { name, pair }: { readonly name: string; readonly pair: Certificate | undefined },
): Promise<Server> {
  const service = await scope.get(SERVICE);
  const bodies = await scope.get(BODIES);
  const state = await scope.get(STATE);
  const limits = withoutUndefined({ maxBodyBytes, maxUploadBytes, requestTimeout });
  // The model loads in a worker while this thread loads the HTTP server; gRPC loads only if used.
  const warm = warmUp(service.variants);
  warm.catch(() => undefined);
  const { httpApp } = await import('./http/app.ts');
  const app = httpApp(service, pair, bodies, limits);
  const calls = grpc && new (await import('./grpc/app.ts')).GrpcApp(service, pair, bodies, limits);
  const close = async (): Promise<void> => {
    state.isReady = false;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort();
      app.server.closeAllConnections();
      calls?.closeNow();
    }, drainTimeout);
    // Connections may become idle after the first sweep.
    const sweep = setInterval(() => app.server.closeIdleConnections(), 100);
    // Multi-step work, such as a chat, is accepted until it is answered.
    await Promise.all([app.close(), calls?.close()]);
    await service.scheduler.drain(late.signal);
    clearTimeout(timer);
    clearInterval(sweep);
    await scope[Symbol.asyncDispose]();
  };
  try {
    await warm;
    (await scope.get(CEILING))?.requireRoom();
    const url = await app.listen({ port, host }).catch((cause: unknown) => {
      throw cannotListen(`${host}:${port}`, cause);
    });
    const at = grpc && { host, ...withoutUndefined(grpc) };
    const grpcUrl = at && (await calls!.listen(at.host, at.port).catch((cause: unknown) => {
      throw cannotListen(`${at.host}:${at.port}`, cause);
    })); // prettier-ignore
    state.isReady = true;
    let closing: Promise<void> | undefined;
    const closed = (): Promise<void> => (closing ??= close());
    const reload = async (changed: Pick<ServeSettings, 'keys' | 'tls'>): Promise<void> => {
      const { keys: others = [], tls: other } = serveSettings(changed, 'serve');
      const renewed = tls && other && (await certificate(other));
      if (renewed) {
        (app.server as unknown as TlsServer).setSecureContext(renewed);
        calls?.renew(renewed);
      }
      service.access.replace(others);
    };
    return { url, ...withoutUndefined({ grpcUrl }), model: name, reload, close: closed, [Symbol.asyncDispose]: closed };
  } catch (error) {
    calls?.closeNow();
    await app.close();
    throw error;
  }
}
function cannotListen(where: string, cause: unknown): OnnxLoraError {
  const why = (cause as Error).message;
  return new OnnxLoraError('CONFIG_INVALID', `${where} cannot be listened on: ${why}. Name another port.`, { cause });
}

/** Loads what the first request needs. A base without a predictor may have adapters with one. */
async function warmUp(variants: Variants): Promise<void> {
  const base = await variants.get(null);
  try {
    await base.predictor();
  } catch (error) {
    if (!(error instanceof OnnxLoraError)) throw error;
    await base.session();
  }
}

function nameOf({ name }: Model): string {
  return path
    .basename(name, '.onnx')
    .replaceAll(/[^\w.-]/g, '-')
    .slice(0, 128);
}
