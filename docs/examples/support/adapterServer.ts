/** @file An HTTP server over one loaded model: the bytes of an image in, an answer out, by the adapter that the path names. */

import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type ErrorCode, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Prediction } from '@onnx-lora/sdk/tasks';
import type { RequestBatcher } from './requestBatcher.ts';

/** Parts of a server. */
export interface ServerParts {
  readonly batcher: RequestBatcher;
  /** From the bytes of an image to what the model is fed, without a batch dimension. */
  readonly preprocess: (image: Uint8Array) => Promise<Tensor>;
  /** Bytes of the largest request. */
  readonly maxBytes: number;
  /** Requests that are open at once. One more is refused. */
  readonly maxOpen: number;
  /** Milliseconds after which an answer is given up. */
  readonly patience: number;
}

/** A client's mistake, or a notice for it. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The client's view of the SDK's errors. The rest is our fault, and its message stays here. */
const statuses: Partial<Record<ErrorCode, number>> = { DATA_INVALID: 400, OVERLOADED: 503, CANCELLED: 504 };

/** `POST /<adapter>` with an image answers as that adapter does, `POST /` as the base does. */
export function adapterServer(parts: ServerParts): Server {
  let open = 0;
  return createServer((request, response) => {
    const send = (status: number, body: object): void => {
      const headers = { 'content-type': 'application/json', ...(status === 503 ? { 'retry-after': '1' } : {}) };
      response.writeHead(status, headers).end(JSON.stringify(body));
    };
    if (open >= parts.maxOpen) {
      send(503, { error: 'Too many requests are open. Try again in a second.' });
      return;
    }
    open++;
    const hungUp = new AbortController();
    response.on('close', () => {
      open--;
      hungUp.abort();
    });
    answer(parts, request, AbortSignal.any([hungUp.signal, AbortSignal.timeout(parts.patience)])).then(
      (body) => send(200, body),
      (error: Error) => {
        const status =
          error instanceof HttpError ? error.status : error instanceof OnnxLoraError && statuses[error.code];
        if (!status) console.error(error);
        send(status || 500, { error: status ? error.message : 'Something went wrong here.' });
      },
    );
  });
}

async function answer(parts: ServerParts, request: IncomingMessage, signal: AbortSignal): Promise<Prediction> {
  const image = await parts.preprocess(await bodyOf(request, parts.maxBytes));
  const name = new URL(request.url ?? '/', 'http://localhost').pathname.slice(1);
  return parts.batcher.ask({ image, adapter: name === '' ? null : name, signal });
}

async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new HttpError(413, `An image may have ${maxBytes} bytes. Send a smaller one.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
