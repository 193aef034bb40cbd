/**
 * @file `@onnx-lora/sdk/platform`: files, paths, bytes and checksums, as Node has them, and on a page as the page has them.
 * Domain packages that import it in place of Node's modules run on both.
 */

export { concatBytes, fromBase64, latin1, mostText, toBase64, toHex, utf8 } from './platform/bytes.ts';
export { deflateSync, gunzipped } from './platform/compression.ts';
export { crc32, type Hash, sha256 } from './platform/hash.ts';
export {
  copyFileSync,
  createReadStream,
  existsSync,
  type FileHandle,
  mkdirSync,
  open,
  readdir,
  readdirSync,
  readFile,
  readFileSync,
  realpathSync,
  stat,
  statSync,
  writeFileSync,
} from './platform/files.ts';
export { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from './platform/path.ts';
export { isDeepStrictEqual } from './platform/system.ts';
export * as path from './platform/path.ts';
