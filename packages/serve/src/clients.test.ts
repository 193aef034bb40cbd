/** @file Tests with clients that others wrote, where they are installed: ONNX_LORA_PYTHON names an interpreter that has them. */

import { spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { rowsOf, smallServer } from '../fixtures/smallServer.ts';

const python = process.env['ONNX_LORA_PYTHON'] ?? 'python3';
const has = (module: string): boolean => spawnSync(python, ['-c', `import ${module}`]).status === 0;

/** Answers that our Python client received. */
async function told(script: string, words: readonly string[], rows: readonly (readonly number[])[]): Promise<Told> {
  const file = fileURLToPath(new URL(`../fixtures/${script}`, import.meta.url));
  const child = spawn(python, [file, ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(rows));
  return JSON.parse(await text(child.stdout)) as Told;
}

interface Told extends Readonly<Record<string, unknown>> {
  readonly values: Readonly<Record<string, readonly number[]>>;
}

const expectClose = (found: readonly number[], expected: readonly number[]): void => {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
};

const rows = rowsOf(3, 2);

it.skipIf(!has('tritonclient.http'))(
  "Triton's client infers with JSON and with bytes, by parameter and by name",
  async () => {
    const { server, expected } = await smallServer();
    const { values, ...facts } = await told('triton_client.py', [new URL(server.url).host, server.model, 'a1'], rows);
    const index = ['net', 'net:a0', 'net:a1', 'net:a2'];
    expect(facts).toEqual({ live: true, ready: true, model: true, none: false, index, server: 'onnx-lora', id: '7' });
    for (const name of ['json', 'binary', 'by name', 'all']) expectClose(values[name]!, await expected(rows, 'a1'));
    expectClose(values['base']!, await expected(rows, null));
  },
);

it.skipIf(!has('kserve'))("KServe's client infers with JSON and with bytes", async () => {
  const { server, expected } = await smallServer();
  const { values, ...facts } = await told('kserve_client.py', [server.url, server.model, 'a1'], rows);
  expect(facts).toEqual({ live: true, ready: true, model: true });
  for (const name of ['json', 'binary']) expectClose(values[name]!, await expected(rows, 'a1'));
});

it.skipIf(!has('tritonclient.grpc'))("Triton's client infers by gRPC, by parameter and by name", async () => {
  const { server, expected } = await smallServer({ grpc: { port: 0 } });
  const { values, ...facts } = await told('triton_grpc_client.py', [server.grpcUrl!, server.model, 'a1'], rows);
  expect(facts).toEqual({
    live: true,
    ready: true,
    model: true,
    none: false,
    index: ['net', 'net:a0', 'net:a1', 'net:a2'],
    server: 'onnx-lora',
    config: 32,
    computed: 6,
    id: '7',
    failure: ['StatusCode.NOT_FOUND', expect.stringContaining('"none"') as unknown],
    loading: 'StatusCode.PERMISSION_DENIED',
  });
  for (const name of ['by parameter', 'by name']) expectClose(values[name]!, await expected(rows, 'a1'));
  expectClose(values['base']!, await expected(rows, null));
});

it.skipIf(!has('kserve'))("KServe's client infers by gRPC with values and with bytes", async () => {
  const { server, expected } = await smallServer({ grpc: { port: 0 } });
  const { values, ...facts } = await told('kserve_grpc_client.py', [server.grpcUrl!, server.model, 'a1'], rows);
  expect(facts).toEqual({ live: true, ready: true, model: true });
  for (const name of ['contents', 'bytes']) expectClose(values[name]!, await expected(rows, 'a1'));
});
