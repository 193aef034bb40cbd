/** @file An npm registry on this machine: it holds the packages of this repository, and fetches all others from npm's. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { run, useRegistry } from './command.ts';

/** The last minor version that Node 20 runs. */
const VERDACCIO = 'verdaccio@6.8';

/**
 * Starts verdaccio on a free port, for all commands that {@link run} starts from then on.
 *
 * @param folder is made, for the program and its packages
 * @returns a function that ends it
 * @throws Error with what verdaccio printed, where it does not answer within a minute
 */
export async function startRegistry(folder: string): Promise<() => void> {
  const upstream = run('.', 'npm', 'config', 'get', 'registry').trim();
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
  run(folder, 'npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', VERDACCIO);
  writeFileSync(path.join(folder, 'config.yaml'), configOf(upstream));

  const port = await freePort();
  const program = path.join(folder, 'node_modules/verdaccio/bin/verdaccio');
  const words = [program, '--config', 'config.yaml', '--listen', `127.0.0.1:${port}`];
  // Into a file: while a command runs, nobody would read a pipe.
  const log = path.join(folder, 'log.txt');
  const server = spawn(process.execPath, words, { cwd: folder, stdio: ['ignore', openSync(log, 'w'), 'inherit'] });
  try {
    await answering(server, `http://127.0.0.1:${port}/-/ping`, log);
  } catch (error) {
    server.kill();
    throw error;
  }
  useRegistry(`http://127.0.0.1:${port}/`, path.join(folder, 'npmrc'));
  return () => server.kill();
}

/** Packages of this repository are taken without a login, and never from the registry behind. */
function configOf(upstream: string): string {
  const own = { access: '$all', publish: '$anonymous', unpublish: '$anonymous' };
  return JSON.stringify({
    storage: './storage',
    max_body_size: '100mb',
    uplinks: { npm: { url: upstream, timeout: '60s' } },
    packages: { '@onnx-lora/*': own, 'create-onnx-lora-plugin': own, '**': { access: '$all', proxy: 'npm' } },
    log: { type: 'stdout', format: 'pretty', level: 'warn' },
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

async function answering(server: ChildProcess, url: string, log: string): Promise<void> {
  for (let tries = 0; tries < 240 && server.exitCode === null; tries++) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`verdaccio does not answer:\n${readFileSync(log, 'utf8')}`);
}
