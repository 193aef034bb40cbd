/** @file Servers for comparison: a plain loop over onnxruntime-node, and FastAPI with PEFT. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { type Feeds, openModel, OrtRuntime } from '@onnx-lora/sdk';
import type { Subject } from './subjects.ts';

/** A server of another kind, that takes the same requests. */
export interface OtherServer extends AsyncDisposable {
  readonly url: string;
}

interface Declared {
  readonly name: string;
  readonly datatype: 'FP32' | 'INT64';
  readonly shape: readonly number[];
  readonly parameters: { readonly binary_data_size: number };
}

/** Runs a merged model for each request, one after the other, as they come. */
export async function plainLoop(folder: string): Promise<OtherServer> {
  const model = await openModel(folder, { runtime: new OrtRuntime() });
  const session = await model.session();
  const server = http.createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      session.run(feedsOf(body, Number(request.headers['inference-header-content-length']))).then(
        ({ logits }) => response.end(JSON.stringify([...(logits!.data as Float32Array)])),
        () => response.writeHead(500).end(),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async (): Promise<void> => {
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    await session.release();
  };
  return { url, [Symbol.asyncDispose]: close };
}

function feedsOf(body: Buffer, header: number): Feeds {
  const { inputs } = JSON.parse(body.toString('utf8', 0, header)) as { inputs: readonly Declared[] };
  let at = header;
  const all = inputs.map(({ name, datatype, shape, parameters: { binary_data_size: size } }) => {
    // A copy of its own, so that the values are aligned.
    const { buffer } = Uint8Array.from(body.subarray(at, (at += size)));
    const [type, data] = datatype === 'FP32' ? ['float32', new Float32Array(buffer)] as const : ['int64', new BigInt64Array(buffer)] as const; // prettier-ignore
    return [name, { type, dims: shape, data }] as const;
  });
  return Object.fromEntries(all);
}

/** Starts the Python script, which says its port when it listens. Its adapters are `a0`, `a1` …. */
export async function fastApi(
  python: string,
  script: string,
  { config, r }: Subject,
  adapters: number,
): Promise<OtherServer> {
  const child = spawn(python, [script, JSON.stringify({ config, r, adapters })], { stdio: ['ignore', 'pipe', 'inherit'] }); // prettier-ignore
  const ended = once(child, 'exit');
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
  const port = Number(line[0]);
  if (child.exitCode !== null || !Number.isInteger(port)) throw new Error('FastAPI with PEFT did not start.');
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: stop };
}
