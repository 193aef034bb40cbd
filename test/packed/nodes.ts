/** @file The generated plugin under other versions of Node than the one that runs this. */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { requireText, run } from './command.ts';

const versions = ['20', '22', '24'];

/**
 * Runs the plugin's tests and the command with each version that npm has for this machine.
 *
 * @param plugin the folder of an installed and built plugin
 */
export function checkNodes(folder: string, plugin: string): void {
  if (!existsSync(path.join(plugin, 'dist/index.js'))) throw new Error('There is no plugin to run.');
  const own = process.versions.node.split('.')[0]!;
  for (const version of versions.filter((each) => each !== own)) {
    const place = path.join(folder, version);
    mkdirSync(place, { recursive: true });
    writeFileSync(path.join(place, 'package.json'), '{ "private": true }');
    try {
      // Its install script fetches the program for this machine, by npm.
      run(place, 'npm', 'install', '--ignore-scripts=false', '--no-audit', '--no-fund', `node@${version}`);
    } catch (error) {
      console.log(`Node ${version}: skipped, as npm has none for this machine: ${firstLine(error)}`);
      continue;
    }
    const node = path.join(place, 'node_modules/node/bin/node');
    const found = run(plugin, node, '--version').trim();
    run(plugin, node, 'node_modules/vitest/vitest.mjs', 'run');
    const command = 'node_modules/@onnx-lora/cli/bin/onnx-lora.js';
    requireText(run(plugin, node, command, 'plugins', '--plugin', path.basename(plugin)), 'cells-regression');
    console.log(`Node ${found}: the plugin's tests and the command pass`);
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n').find((line) => /error/i.test(line)) ?? '';
}
