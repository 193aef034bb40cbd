/** @file Runs the commands of a user outside of this repository. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** npm's own variables and Node's options would lead back to this workspace. */
const env: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(npm_(?!config_userconfig$)|NODE_OPTIONS$|NODE_PATH$|INIT_CWD$)/i.test(name),
  ),
);

/**
 * Makes npm install from a registry, and publish to it as anybody: npm asks for a token even where the registry does not.
 *
 * @param settings npm's settings of the user in place of the real ones, which it repeats
 */
export function useRegistry(url: string, settings: string): void {
  const real = run('.', 'npm', 'config', 'get', 'userconfig').trim();
  const token = `${url.replace(/^https?:/, '')}:_authToken=anybody`;
  writeFileSync(settings, [existsSync(real) ? readFileSync(real, 'utf8') : '', `registry=${url}`, token].join('\n'));
  env['npm_config_userconfig'] = settings;
  // Another rehearsal's packages of the same version are in the usual one.
  env['npm_config_cache'] = `${settings}-cache`;
}

/**
 * Output of a command.
 *
 * @throws Error with all its output, if it fails
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

/** Installs packages, or those that package.json names. Fails where one is not for this version of Node. */
export function npmInstall(cwd: string, ...packages: readonly string[]): void {
  run(cwd, 'npm', ...installWords, ...packages);
}

/** ONNX Runtime's install script would download CUDA libraries. */
export const installWords: readonly string[] = [
  'install',
  '--ignore-scripts',
  '--engine-strict',
  '--no-audit',
  '--no-fund',
];

/**
 * Refuses a text without the expected parts.
 *
 * @throws Error that shows the text
 */
export function requireText(text: string, wanted: string): void {
  if (!text.includes(wanted)) throw new Error(`"${wanted}" is not in:\n${text}`);
}
