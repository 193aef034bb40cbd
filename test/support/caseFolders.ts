/** @file Finds case folders of this repository, and of a larger collection beside it, if any. */

import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Folders that hold a `model.onnx`, by name. */
export function caseFolders(): [name: string, folder: string][] {
  const collections = [join(root, 'test/fixtures/cases'), join(root, '../shared/oracle/cases')];
  const found = collections.flatMap((collection) =>
    existsSync(collection) ? readdirSync(collection).map((name) => [name, join(collection, name)] as const) : [],
  );
  return [...new Map(found)].filter(([, folder]) => existsSync(join(folder, 'model.onnx')));
}

/** Folders of checkpoints with a `case.json`, from the root on. */
export function checkpointFolders(): string[] {
  const found = ['../shared/oracle/checkpoints', '../shared/oracle/checkpoints-real', 'packages/build/fixtures']
    .map((place) => join(root, place))
    .filter((place) => existsSync(place))
    .flatMap((place) => readdirSync(place).map((name) => [name, join(place, name)] as const))
    .filter(([, folder]) => existsSync(join(folder, 'case.json')));
  // Copies in this repository have adapters, too.
  return [...new Map(found).values()].map((folder) => relative(root, folder));
}
