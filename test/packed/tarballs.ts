/** @file Packs every package of the workspace. */

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { run } from './command.ts';

/** A packed package. */
export interface Tarball {
  readonly name: string;
  /** The packed file. */
  readonly file: string;
}

/** Packs all packages into a folder, as `npm publish` would. They must be built. */
export function packAll(folder: string): Tarball[] {
  mkdirSync(folder, { recursive: true });
  const printed = run(process.cwd(), 'npm', 'pack', '--workspaces', '--json', '--pack-destination', folder);
  const packed = JSON.parse(printed) as { name: string; filename: string; size: number; unpackedSize: number }[];
  return packed.map(({ name, filename, size, unpackedSize }) => {
    console.log(`${name}: ${megabytes(size)} packed, ${megabytes(unpackedSize)} installed`);
    return { name, file: path.join(folder, filename) };
  });
}

/** `1.66 MB` */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}
