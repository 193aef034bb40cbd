/** @file Finds OpenVINO's C library on this machine. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** Names `libopenvino_c`, or the folder that holds it. */
export const LIBRARY_VARIABLE = 'ONNX_LORA_OPENVINO';

const INSTALL = `Install it ("python3 -m pip install openvino", or an archive, Homebrew or apt), or name the library or its folder in ${LIBRARY_VARIABLE}`;

/** A machine, as far as the search depends on it. */
export interface Surroundings {
  /** Environment variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `process.platform`. */
  readonly platform: string;
  /** The user's home. */
  readonly home: string;
}

const here = (): Surroundings => ({ env: process.env, platform: process.platform, home: homedir() });

/**
 * The path of OpenVINO's C library: of the environment variable `ONNX_LORA_OPENVINO`, of a Python environment's wheel, or
 * of the usual places.
 * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` without one, with the command that installs it
 */
export function findLibrary(at: Surroundings = here()): string {
  const named = at.env[LIBRARY_VARIABLE];
  if (named !== undefined && named !== '') {
    const found = isFolder(named) ? libraryIn(named, at.platform) : existsSync(named) ? named : undefined;
    if (found !== undefined) return found;
    throw new OnnxLoraError(
      'PROVIDER_UNAVAILABLE',
      `${LIBRARY_VARIABLE} names "${named}", where there is no ${nameOf(at.platform)}. Correct it, or take it away.`,
    );
  }
  for (const folder of usualFolders(at)) {
    const found = libraryIn(folder, at.platform);
    if (found !== undefined) return found;
  }
  throw new OnnxLoraError('PROVIDER_UNAVAILABLE', `OpenVINO is not found on this machine. ${INSTALL}.`);
}

function nameOf(platform: string): string {
  return platform === 'win32' ? 'openvino_c.dll' : platform === 'darwin' ? 'libopenvino_c.dylib' : 'libopenvino_c.so';
}

/** The library of a folder, whose name may end in a version: `libopenvino_c.so.2641`. The newest of several. */
function libraryIn(folder: string, platform: string): string | undefined {
  const name = nameOf(platform);
  const [stem, ending] = [name.slice(0, name.lastIndexOf('.')), path.extname(name)];
  const found = entriesOf(folder).filter(
    (each) => each === name || (each.startsWith(`${stem}.`) && each.includes(ending)),
  );
  const [last] = found.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  return last === undefined ? undefined : path.join(folder, last);
}

function usualFolders({ env, platform, home }: Surroundings): string[] {
  const pythons = [env['VIRTUAL_ENV'], env['CONDA_PREFIX'], path.join(home, '.local'), '/usr/local', '/usr'].filter(
    (each) => each !== undefined,
  );
  const wheels = pythons.flatMap((root) =>
    platform === 'win32'
      ? [path.join(root, 'Lib/site-packages/openvino/libs')]
      : entriesOf(path.join(root, 'lib'))
          .filter((each) => /^python3\.\d+$/.test(each))
          .flatMap((each) =>
            ['site-packages', 'dist-packages'].map((packages) =>
              path.join(root, 'lib', each, packages, 'openvino/libs'),
            ),
          ),
  );
  const archives = [env['INTEL_OPENVINO_DIR'], '/opt/intel/openvino', 'C:\\Program Files (x86)\\Intel\\openvino']
    .filter((each) => each !== undefined)
    .flatMap((root) => ['runtime/lib/intel64', 'runtime/lib/aarch64', 'runtime/lib/arm64/Release', 'runtime/bin/intel64/Release'].map((each) => path.join(root, each))); // prettier-ignore
  const others = [env['CONDA_PREFIX'], '/opt/homebrew', '/usr/local'].flatMap((root) => (root === undefined ? [] : [path.join(root, 'lib')])); // prettier-ignore
  return [...wheels, ...archives, ...others, '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64'];
}

function isFolder(place: string): boolean {
  return statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
