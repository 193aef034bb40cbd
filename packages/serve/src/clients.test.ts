/** @file Tests with clients that others wrote, where they are installed: ONNX_LORA_PYTHON names an interpreter that has them. */

import { spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { rowsOf, smallServer } from '../fixtures/smallServer.ts';

const python = process.env['ONNX_LORA_PYTHON'] ?? 'python3';
const hasTriton = spawnSync(python, ['-c', 'import tritonclient.http']).status === 0;

it.skipIf(!hasTriton)("Triton's client infers with JSON and with bytes, by parameter and by name", async () => {
  const { server, expected } = await smallServer();
  const rows = rowsOf(3, 2);
  const script = fileURLToPath(new URL('../fixtures/triton_client.py', import.meta.url));
  const child = spawn(python, [script, new URL(server.url).host, server.model, 'a1'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(rows));
  const { values, ...told } = JSON.parse(await text(child.stdout)) as { values: Record<string, number[]> };
  expect(told).toEqual({ live: true, ready: true, model: true, none: false, server: 'onnx-lora', id: '7' });
  const adapted = await expected(rows, 'a1');
  for (const name of ['json', 'binary', 'by name', 'all'])
    values[name]!.forEach((value, i) => expect(value).toBeCloseTo(adapted[i]!, 4));
  const base = await expected(rows, null);
  values['base']!.forEach((value, i) => expect(value).toBeCloseTo(base[i]!, 4));
  expect(Object.values(values).map(({ length }) => length)).toEqual([9, 9, 9, 9, 9]);
});
