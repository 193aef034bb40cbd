/** @file Runs the commands of a user who has never seen this repository. */

import { spawnSync } from 'node:child_process';

/** npm's own variables and Node's options would lead back to this workspace. */
const env: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|NODE_PATH$|INIT_CWD$)/i.test(name)),
);

/**
 * What a command prints.
 *
 * @throws Error with all that it printed, where it fails
 */
export function run(cwd: string, command: string, ...words: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, words, {
    cwd,
    env: { ...env, NO_COLOR: '1' },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    // npm and npx are scripts there.
    shell: process.platform === 'win32',
  });
  if (status === 0) return stdout;
  throw new Error(`${[command, ...words].join(' ')} fails in ${cwd}:\n${error?.message ?? ''}${stdout}${stderr}`);
}

/** Installs packages, or what package.json names. */
export function npmInstall(cwd: string, ...packages: readonly string[]): void {
  // ONNX Runtime's install script would download CUDA libraries.
  run(cwd, 'npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', ...packages);
}

/**
 * Refuses a text that does not have what it should.
 *
 * @throws Error that shows the text
 */
export function requireText(text: string, wanted: string): void {
  if (!text.includes(wanted)) throw new Error(`"${wanted}" is not in:\n${text}`);
}
