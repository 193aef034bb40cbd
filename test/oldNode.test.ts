/** @file On a Node that is too old, the command says so instead of ending in an error of syntax. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('../packages/cli/bin/onnx-lora.js', import.meta.url));

test.each([
  ['18.20.4', true],
  ['20.9.0', true],
  ['20.19.0', false],
  ['22.1.0', false],
])('on Node %s: %s', (version, isRefused) => {
  const as = `data:text/javascript,Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`;
  const { status, stderr } = spawnSync(process.execPath, ['--import', as, program, '--version'], { encoding: 'utf8' });
  if (isRefused) {
    expect(status).toBe(2);
    expect(stderr).toBe(
      `error: onnx-lora needs Node 20.19 or newer, and this is ${version}. Install a newer one from https://nodejs.org and run it again.\n`,
    );
  } else expect(stderr).not.toContain('needs Node');
});
