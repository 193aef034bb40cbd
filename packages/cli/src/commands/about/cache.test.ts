/** @file `onnx-lora cache` lists what is kept, and removes what no process uses. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PreparedCache } from '@onnx-lora/sdk/core';
import { afterAll, expect, it, vi } from 'vitest';
import { call, callJson } from '../../../fixtures/call.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-cache-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('lists entries, and clears those that are not in use', async () => {
  vi.stubEnv('XDG_CACHE_HOME', folder);
  vi.stubEnv('ONNX_LORA_CACHE_MB', '3');
  const root = path.join(folder, 'onnx-lora', 'prepared');
  expect(await callJson('cache')).toEqual({ folder: root, maxBytes: 3e6, entries: [], removed: [] });
  await new PreparedCache().use(['a'], 'nf4 weights of models/qwen2', async (write) => write(new Uint8Array(8192)));
  const { stdout } = await call(['cache', '--clear']);
  expect(stdout.split('\n').slice(0, 2)).toEqual(['Removed 0 (0 B).', `${root}: 8.2 kB of at most 3.0 MB`]);
  expect(stdout).toMatch(/nf4 weights of models\/qwen2\s+8\.2 kB\s+\d{4}-\d\d-\d\d \d\d:\d\d, in use/);
  vi.stubEnv('ONNX_LORA_CACHE_MB', 'much');
  const { stderr } = await call(['cache']);
  expect(stderr).toContain('ONNX_LORA_CACHE_MB is "much", but must be a whole number of megabytes');
});
