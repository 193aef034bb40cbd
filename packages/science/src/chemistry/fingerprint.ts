/** @file Morgan fingerprints of molecules, and how similar they are. */

import type { Rdkit } from './rdkit.ts';

/** Bits by the neighbourhoods of a molecule's atoms. */
export interface Fingerprint {
  /** 32 bits each. */
  readonly words: Uint32Array;
  /** How many bits are set. */
  readonly count: number;
}

/**
 * The Morgan fingerprint of a molecule: 2,048 bits for the neighbourhoods of radius 2, known as ECFP4.
 *
 * @see Rogers and Hahn, "Extended-connectivity fingerprints" (2010)
 */
export function morganFingerprint(rdkit: Rdkit, smiles: string): Fingerprint {
  const bytes = rdkit.withMolecule(smiles, (molecule) => {
    const options = JSON.stringify({ radius: 2, nBits: 2048 });
    return Uint8Array.from(molecule.get_morgan_fp_as_uint8array(options) as Uint8Array);
  });
  const words = new Uint32Array(bytes.buffer);
  return { words, count: words.reduce((sum, word) => sum + bitsIn(word), 0) };
}

/** Tanimoto similarity: bits that both have over bits that either has; 1 where neither has any. */
export function tanimoto(a: Fingerprint, b: Fingerprint): number {
  let both = 0;
  for (let i = 0; i < a.words.length; i++) both += bitsIn(a.words[i]! & b.words[i]!);
  const either = a.count + b.count - both;
  return either === 0 ? 1 : both / either;
}

/** @see Warren, "Hacker's Delight": counting bits */
function bitsIn(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
