/** @file The file system, as the SDK uses it. On a page, `browser/files.ts` takes this file's place. */

export {
  type BigIntStats,
  closeSync,
  copyFileSync,
  createReadStream,
  type Dirent,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
export { type FileHandle, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';

/** Resolves once a path's changes outlive the process: at once, since they are on the disk. */
export const kept: (where: string) => Promise<void> = () => Promise.resolve();
