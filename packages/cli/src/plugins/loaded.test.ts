/** @file Modules that the built command loads: only those that a call needs. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder, vit } from '../../fixtures/call.ts';

/** Writes the name of each module that is loaded. */
const hooks = `
import { appendFileSync } from 'node:fs';
export async function load(url, context, next) {
  appendFileSync(process.env.MODULES, url + '\\n');
  return next(url, context);
}`;

it('serves pictures without the code for sounds, texts, gRPC and training', async () => {
  const folder = temporaryFolder();
  const list = path.join(folder, 'modules.txt');
  writeFileSync(path.join(folder, 'hooks.mjs'), hooks);
  writeFileSync(
    path.join(folder, 'register.mjs'),
    "import { register } from 'node:module';\nregister('./hooks.mjs', import.meta.url);",
  );
  const program = fileURLToPath(new URL('../../bin/onnx-lora.js', import.meta.url));
  const server = spawn(
    process.execPath,
    ['--import', path.join(folder, 'register.mjs'), program, 'serve', vit, '--port', '0'],
    { env: { ...process.env, MODULES: list }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  await Promise.race([once(server.stdout, 'data'), once(server.stderr, 'data')]);
  server.kill('SIGTERM');
  expect(await once(server, 'exit')).toEqual([0, null]);
  const loaded = readFileSync(list, 'utf8').split('\n');
  const has = (part: string): boolean => loaded.some((url) => url.includes(part));
  expect(has('/packages/vision/')).toBe(true);
  for (const part of ['speech', 'science', 'text', 'sequences', 'methods', 'build'])
    expect(has(`/packages/${part}/`)).toBe(false);
  for (const part of ['sharp', '@grpc', 'yaml', '@huggingface/tokenizers', '@opentelemetry', 'hyparquet', 'wavefile'])
    expect(has(`/node_modules/${part}/`)).toBe(false);
  expect(has('/cli/dist/commands/train.js')).toBe(false);
});
