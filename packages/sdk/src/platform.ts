/**
 * @file `@onnx-lora/sdk/platform`: files, paths, bytes and checksums, as Node has them, and on a page as the page has them.
 * Domain packages that import it in place of Node's modules run on both.
 */

export { concatBytes, fromBase64, mostText, toBase64, toHex, utf8 } from './platform/bytes.ts';
export { deflateSync } from './platform/compression.ts';
export { crc32, type Hash, sha256 } from './platform/hash.ts';
export {
  createReadStream,
  existsSync,
  type FileHandle,
  open,
  readdir,
  readdirSync,
  readFile,
  readFileSync,
  stat,
  statSync,
} from './platform/files.ts';
export { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from './platform/path.ts';
export * as path from './platform/path.ts';
