/** @file Which plugins a call loads: those that it needs, known by words that the plugins bring indeed. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadPlugins } from '@onnx-lora/sdk';
import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { expect, it } from 'vitest';
import { temporaryFolder, vit } from '../../fixtures/call.ts';
import { allOwnPlugins, domains, ownPlugins } from './own.ts';

const named = async (command: string, model: unknown, task?: string, adapts = false): Promise<string[]> =>
  (await ownPlugins({ command, model, task, adapts })).map(({ name }) => name.replace('@onnx-lora/', ''));

const all = ['vision', 'speech', 'science', 'text', 'methods', 'build'];

/** A folder of a model of this type. */
function typed(type: string, files: readonly string[] = []): string {
  const folder = temporaryFolder();
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ model_type: type }));
  for (const each of files) mkdirSync(path.join(folder, each));
  return folder;
}

it('knows each domain by what its plugins bring', async () => {
  for (const { plugins, modelTypes, tasks } of domains) {
    const brought = loadPlugins(await Promise.all(plugins.map((load) => load())));
    expect([...modelTypes].sort()).toEqual(
      [...new Set(brought.families.flatMap((family) => (family as DescribedFamily).modelTypes))].sort(),
    );
    expect([...tasks].sort()).toEqual(brought.tasks.map(({ name }) => name).sort());
  }
  // A type in two of them would be taken for one of the first.
  const types = domains.flatMap(({ modelTypes }) => modelTypes);
  expect(new Set(types).size).toBe(types.length);
  expect((await allOwnPlugins()).map(({ name }) => name.replace('@onnx-lora/', ''))).toEqual(all);
});

it('loads the domain of a model that says what it is, and all where that is not enough', async () => {
  expect(await named('serve', vit)).toEqual(['vision']);
  expect(await named('serve', vit, undefined, true)).toEqual(['vision', 'methods']);
  expect(await named('inspect', typed('whisper', ['onnx']))).toEqual(['speech']);
  expect(await named('predict', typed('bert'))).toEqual(['science', 'text', 'build']);
  expect(await named('predict', vit, 'image-embedding')).toEqual(['vision']);
  expect(await named('predict', vit, 'speech-recognition')).toEqual(all);
  expect(await named('predict', vit, 'of-a-plugin')).toEqual(all);
  expect(await named('predict', typed('of-a-plugin'))).toEqual(all);
  expect(await named('predict', temporaryFolder())).toEqual(all);
  expect(await named('predict', 'org/name')).toEqual(all);
  expect(await named('train', vit)).toEqual(all);
});

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
  cpSync(vit, path.join(folder, 'vit'), { recursive: true });
  const server = spawn(
    process.execPath,
    ['--import', path.join(folder, 'register.mjs'), program, 'serve', path.join(folder, 'vit'), '--port', '0'],
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
  for (const part of ['sharp', '@grpc', 'yaml', '@huggingface/tokenizers', 'hyparquet', 'wavefile'])
    expect(has(`/node_modules/${part}/`)).toBe(false);
  expect(has('/cli/dist/commands/train.js')).toBe(false);
});
