/** @file Bemis–Murcko scaffolds: a molecule's rings and what links them. */

import type { JsonBond, JsonFile, JsonMolecule, Rdkit } from './rdkit.ts';

/**
 * The scaffold of a molecule as canonical SMILES without stereo: its rings, the chains between them, and atoms bound to either
 * by a double bond; all other side chains are cut off. Empty for a molecule without rings. Of several parts, as in salts, each
 * keeps its own; a part without rings vanishes.
 *
 * @see Bemis and Murcko, "The properties of known drugs. 1. Molecular frameworks" (1996); double bonds as RDKit has them
 */
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
    // What hangs on a double bond decides on the shape of the frame.
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

/** Atoms that are left when ends of chains are taken away for as long as there are any. */
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
