/** @file Paths of files. On a page, `browser/path.ts` takes this file's place. */

export { basename, dirname, extname, isAbsolute, join, normalize, relative, resolve, sep } from 'node:path';
