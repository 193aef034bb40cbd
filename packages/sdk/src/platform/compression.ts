/** @file Compression in zlib's format. On a page, `browser/compression.ts` takes this file's place. */

export { deflateSync } from 'node:zlib';
