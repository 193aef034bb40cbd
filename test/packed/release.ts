/** @file The release of RELEASING.md, as it stands there: in a clone, and to the registry of this machine. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './command.ts';

/** A published package. */
export interface Published {
  readonly name: string;
  readonly version: string;
  /** Entry points of the package: `@onnx-lora/sdk`, `@onnx-lora/sdk/core` … */
  readonly entries: readonly string[];
}

/**
 * Publishes all packages with the versions and changelogs that the changesets say.
 *
 * @param clone is made: the working tree as it is, with changes that are not committed, but for new files that git does not know
 * @throws Error if versions of packages differ, or an SBOM lacks a dependency
 */
export function release(clone: string): Published[] {
  // A fresh clone may have no author, which git asks for.
  const author = ['-c', 'user.name=release', '-c', 'user.email=release@localhost'];
  // Without changes, git fails or prints nothing, depending on its version.
  const isChanged = run('.', 'git', 'status', '--porcelain', '--untracked-files=no') !== '';
  const commit = isChanged ? run('.', 'git', ...author, 'stash', 'create').trim() : 'HEAD';
  const sha = run('.', 'git', 'rev-parse', commit).trim();
  run('.', 'git', 'clone', '--quiet', '--shared', '--no-checkout', '.', clone);
  run(clone, 'git', 'checkout', '--quiet', '-b', 'release', sha);
  for (const line of releaseCommands()) run(clone, 'bash', '-c', line);

  const published = packagesOf(clone);
  const versions = new Set(published.map(({ version }) => version));
  if (versions.size !== 1 || versions.has('0.0.0')) throw new Error(`The versions are ${[...versions].join(', ')}.`);
  checkSbom(path.join(clone, 'sbom.cdx.json'), published);
  console.log(`${published.length} packages of version ${published[0]!.version}`);
  return published;
}

/** The commands in RELEASING.md between the tests before and the push after. */
function releaseCommands(): string[] {
  const [, block] = /<!-- rehearsed -->\s*```sh\n([^`]*)```/.exec(readFileSync('RELEASING.md', 'utf8')) ?? [];
  if (block === undefined) throw new Error('RELEASING.md has no commands after "<!-- rehearsed -->".');
  return block
    .split('\n')
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '');
}

function packagesOf(clone: string): Published[] {
  return readdirSync(path.join(clone, 'packages')).map((folder) => {
    const file = path.join(clone, 'packages', folder, 'package.json');
    const { name, version, exports } = JSON.parse(readFileSync(file, 'utf8')) as {
      name: string;
      version: string;
      exports: Record<string, unknown>;
    };
    const entries = Object.keys(exports).filter((entry) => !entry.endsWith('.json'));
    return { name, version, entries: entries.map((entry) => path.posix.join(name, entry)) };
  });
}

function checkSbom(file: string, published: readonly Published[]): void {
  const { components } = JSON.parse(readFileSync(file, 'utf8')) as { components: { name: string; group?: string }[] };
  const named = new Set(components.map(({ name }) => name));
  for (const wanted of [...published.map(({ name }) => name), 'onnxruntime-node', 'sharp'])
    if (!named.has(wanted)) throw new Error(`${path.basename(file)} has no component "${wanted}".`);
}

/** Makes an empty project. */
export function emptyProject(folder: string, fields: object = {}): void {
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', ...fields }));
}
