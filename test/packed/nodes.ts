/** @file The packages and the generated plugin under each version of Node that is promised. */

import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { installWords, npmInstall, requireText, run } from './command.ts';
import { emptyProject, type Published } from './release.ts';

/** The oldest that the packages take, and the newest of the others. */
const versions = ['20.19.0', '22', '24'];

/**
 * For each version that npm has for this machine, installs the packages, and runs the plugin's tests and the command. No package
 * may exclude the version.
 *
 * @param plugin the folder of an installed and built plugin
 */
export function checkNodes(folder: string, plugin: string, published: readonly Published[]): void {
  if (!existsSync(path.join(plugin, 'dist/index.js'))) throw new Error('There is no plugin to run.');
  for (const version of versions) {
    const place = path.join(folder, version);
    const users = path.join(place, 'project');
    mkdirSync(users, { recursive: true });
    emptyProject(place);
    emptyProject(users);
    try {
      // Its install script fetches the program for this machine, by npm.
      npmInstall(place, '--ignore-scripts=false', `node@${version}`);
    } catch (error) {
      console.log(`Node ${version}: skipped, as npm has none for this machine: ${firstLine(error)}`);
      continue;
    }
    const node = path.join(place, 'node_modules/node/bin/node');
    const found = run(plugin, node, '--version').trim();
    run(users, node, npmProgram(), ...installWords, ...published.map(({ name }) => name));
    run(plugin, node, 'node_modules/vitest/vitest.mjs', 'run');
    const command = 'node_modules/@onnx-lora/cli/bin/onnx-lora.js';
    requireText(run(plugin, node, command, 'plugins', '--plugin', path.basename(plugin)), 'cells-regression');
    console.log(`Node ${found}: all packages install, the plugin's tests and the command pass`);
  }
}

/** npm as a script, which any Node can run. */
function npmProgram(): string {
  return path.join(run('.', 'npm', 'root', '--global').trim(), 'npm/bin/npm-cli.js');
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n').find((line) => /error/i.test(line)) ?? '';
}
