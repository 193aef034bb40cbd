/** @file WebAssembly text as wabt compiles it, for tests of the programs that packages ship. */

import { readFileSync } from 'node:fs';
import wabt from 'wabt';

/** The module that `wat2wasm` makes of a file, in base64. */
export async function compiledWat(file: URL): Promise<string> {
  const compiler = await wabt();
  const program = compiler.parseWat(file.pathname, readFileSync(file, 'utf8'), { simd: true });
  try {
    return Buffer.from(program.toBinary({}).buffer).toString('base64');
  } finally {
    program.destroy();
  }
}
