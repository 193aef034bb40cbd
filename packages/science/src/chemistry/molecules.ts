/** @file Canonical SMILES, fingerprints, scaffolds and validity of molecules, by RDKit. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type JsonBond, type JsonFile, type JsonMolecule, loadRdkit, type Rdkit } from './rdkit.ts';
import type { SequenceRecord } from '../data/sequenceRecord.ts';

/** @throws OnnxLoraError `DATA_INVALID` for an invalid SMILES */
export function canonicalSmiles(rdkit: Rdkit, smiles: string): string {
  return rdkit.withMolecule(smiles, (molecule) => molecule.get_smiles());
}

interface Fingerprint {
  readonly words: Uint32Array;
  readonly count: number;
}

/** The Morgan fingerprint of radius 2 with 2,048 bits: ECFP4 (Rogers and Hahn, 2010). */
export function morganFingerprint(rdkit: Rdkit, smiles: string): Fingerprint {
  const bytes = rdkit.withMolecule(smiles, (molecule) => {
    const options = JSON.stringify({ radius: 2, nBits: 2048 });
    return Uint8Array.from(molecule.get_morgan_fp_as_uint8array(options) as Uint8Array);
  });
  const words = new Uint32Array(bytes.buffer);
  return { words, count: words.reduce((sum, word) => sum + bitsIn(word), 0) };
}

/** Tanimoto similarity: common bits over bits of either; 1 if both are empty. */
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

/** Rings, linkers and atoms double-bonded to them, in each part (Bemis and Murcko, 1996; RDKit's variant). */
export function murckoScaffold(rdkit: Rdkit, smiles: string): string {
  const file = rdkit.withMolecule(smiles, (molecule) => JSON.parse(molecule.get_json()) as JsonFile);
  const scaffold = withoutSideChains(file.molecules[0]);
  if (scaffold.atoms.length === 0) return '';
  const json = JSON.stringify({ ...file, molecules: [scaffold] });
  return rdkit.withJson(json, (molecule) => molecule.get_smiles(JSON.stringify({ doIsomericSmiles: false })));
}

function withoutSideChains({ atoms, bonds = [] }: JsonMolecule): JsonMolecule {
  const kept = ringsAndLinkers(atoms.length, bonds);
  const frame = new Set(kept);
  for (const { atoms: ends, bo = 1 } of bonds) {
    // Atoms on a double bond shape the framework.
    if (bo === 2 && ends.some((atom) => frame.has(atom))) for (const atom of ends) kept.add(atom);
  }
  const hydrogens = atoms.map(({ impHs = 0 }) => impHs);
  for (const { atoms: ends, bo = 1 } of bonds) {
    if (ends.every((atom) => kept.has(atom))) continue;
    for (const atom of ends) hydrogens[atom]! += bo;
  }
  const numbers = new Map([...kept].sort((a, b) => a - b).map((atom, i) => [atom, i]));
  return {
    atoms: [...numbers.keys()].map((atom) => {
      const { stereo: _, ...plain } = atoms[atom]!;
      return { ...plain, impHs: hydrogens[atom]! };
    }),
    bonds: bonds
      .filter(({ atoms: ends }) => ends.every((atom) => kept.has(atom)))
      .map(({ atoms: [a, b], bo = 1 }) => ({ bo, atoms: [numbers.get(a)!, numbers.get(b)!] })),
  };
}

/** Prunes chain ends until rings and their linkers remain. */
function ringsAndLinkers(count: number, bonds: readonly JsonBond[]): Set<number> {
  const neighbours = Array.from({ length: count }, () => new Set<number>());
  for (const { atoms } of bonds) {
    const [a, b] = atoms;
    neighbours[a]!.add(b);
    neighbours[b]!.add(a);
  }
  const left = new Set(neighbours.keys());
  const ends = [...left].filter((atom) => neighbours[atom]!.size < 2);
  for (let atom = ends.pop(); atom !== undefined; atom = ends.pop()) {
    left.delete(atom);
    for (const next of neighbours[atom]!) {
      neighbours[next]!.delete(atom);
      if (neighbours[next]!.size === 1) ends.push(next);
    }
    neighbours[atom]!.clear();
  }
  return left;
}

/**
 * Checks that RDKit reads the records' SMILES; `skip` drops invalid ones with a warning.
 * @throws OnnxLoraError `DATA_INVALID`, naming the row of the first invalid one
 */
export async function checkMolecules(
  records: readonly SequenceRecord[],
  illegal: 'error' | 'skip' = 'error',
  column?: string,
): Promise<{ readonly records: readonly SequenceRecord[]; readonly warnings: readonly string[] }> {
  const rdkit = await loadRdkit();
  const bad: string[] = [];
  const mixed: SequenceRecord[] = [];
  const good = records.filter((record) => {
    const { sequence, where } = record;
    try {
      rdkit.withMolecule(sequence, () => undefined);
    } catch (cause) {
      if (!(cause instanceof OnnxLoraError) || cause.code !== 'DATA_INVALID') throw cause;
      const message = `${where}${column === undefined ? '' : `, column "${column}"`}: ${cause.message}`;
      if (illegal === 'error') throw new OnnxLoraError('DATA_INVALID', message, { cause });
      bad.push(message);
      return false;
    }
    if (sequence.includes('.')) mixed.push(record);
    return true;
  });
  const warnings = [
    ...(bad.length > 0 ? [`${bad.length} records are no molecules and are left out, such as ${bad[0]}`] : []),
    ...(mixed.length > 0
      ? [
          `${mixed.length} of ${records.length} molecules have several parts, such as the salt or mixture ${mixed[0]!.sequence.slice(0, 80)} (${mixed[0]!.where}). They are taken as they are; write the part that matters alone if the others do not.`,
        ]
      : []),
  ];
  return { records: good, warnings };
}
