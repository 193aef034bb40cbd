/** @file A Ray cluster of several nodes on this machine, in processes of its own. */

import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const root = path.join(import.meta.dirname, '../..');
const sources = path.join(root, 'packages/cluster/python');

/** A Python with Ray: that of `ONNX_LORA_RAY`, or the machine's; undefined, with a word why, without one. */
export const rayPython: string | undefined = (() => {
  const python = process.env['ONNX_LORA_RAY'] ?? 'python3';
  const { status } = spawnSync(python, ['-c', 'import importlib.util as u, sys; sys.exit(u.find_spec("ray") is None)']);
  if (status === 0) return python;
  console.warn(`"${python}" has no Ray: tests on a cluster are skipped. ONNX_LORA_RAY names a Python that has it.`);
  return undefined;
})();

/** A running cluster. */
export interface RayCluster extends AsyncDisposable {
  /** The value of `--on`. */
  readonly address: string;
  /** The environment of its nodes. */
  readonly env: NodeJS.ProcessEnv;
  /** Kills a node, which another one replaces. */
  kill(): Promise<void>;
}

/** Starts a head without processors, and other nodes with so many each. */
export async function startRay({ nodes, cpus }: { nodes: number; cpus: number }): Promise<RayCluster> {
  // Short, as the paths of its sockets have 107 letters at most.
  const folder = mkdtempSync(path.join(tmpdir(), 'ray-'));
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(path.join(root, 'packages/cli/bin/onnx-lora.js'), path.join(bin, 'onnx-lora'));
  const python = spawnSync(rayPython!, ['-c', 'import sys; print(sys.executable)']).stdout.toString().trim();
  writeFileSync(path.join(bin, 'python3'), `#!/bin/sh\nexec "${python}" "$@"\n`);
  chmodSync(path.join(bin, 'python3'), 0o755);
  const env = {
    ...process.env,
    PATH: [bin, path.dirname(process.execPath), process.env['PATH']].join(path.delimiter),
    PYTHONPATH: sources,
    ONNX_LORA_THREADS: '1',
    // With 0 or 1, bash would take a job for a remote shell, and have ~/.bashrc change the PATH.
    SHLVL: '5',
  };
  const words = [path.join(sources, 'tests/loopback.py'), folder, String(nodes), String(cpus)];
  const child = spawn(python, words, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<{ readonly dashboard?: string }> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`The cluster has ended: ${stderr}`);
    return JSON.parse(value) as { dashboard?: string };
  };
  const { dashboard } = await next();
  return {
    address: `ray://${dashboard}`,
    env,
    kill: async () => {
      child.stdin.write('kill\n');
      await next();
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await ended;
      if (existsSync(folder)) rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 500 });
    },
  };
}
