/** @file Packs every package of the workspace. */

import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './command.ts';

/** A packed package. */
export interface Tarball {
  readonly name: string;
  /** The packed file. */
  readonly file: string;
  /** What programs import: `@onnx-lora/sdk`, `@onnx-lora/sdk/core` … */
  readonly entries: readonly string[];
}

/** Packs all packages into a folder, as `npm publish` would. They must be built. */
export function packAll(folder: string): Tarball[] {
  mkdirSync(folder, { recursive: true });
  const printed = run(process.cwd(), 'npm', 'pack', '--workspaces', '--json', '--pack-destination', folder);
  const packed = JSON.parse(printed) as { name: string; filename: string; size: number; unpackedSize: number }[];
  return packed.map(({ name, filename, size, unpackedSize }) => {
    console.log(`${name}: ${megabytes(size)} packed, ${megabytes(unpackedSize)} installed`);
    return { name, file: path.join(folder, filename), entries: entriesOf(name) };
  });
}

function entriesOf(name: string): string[] {
  const file = path.join('packages', name.split('/').at(-1)!, 'package.json');
  const { exports } = JSON.parse(readFileSync(file, 'utf8')) as { exports: Record<string, unknown> };
  return Object.keys(exports)
    .filter((entry) => !entry.endsWith('.json'))
    .map((entry) => path.posix.join(name, entry));
}

/** `1.66 MB` */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}
