/** @file Puts similar molecules together. */

import { morganFingerprint, tanimoto } from '../chemistry/molecules.ts';
import { loadRdkit } from '../chemistry/rdkit.ts';
import { LinkedSets } from './linkedSets.ts';

/** The Tanimoto similarity from which molecules belong together where nobody says it. */
export const USUAL_SIMILARITY = 0.6;

/**
 * Clusters of molecules by single linkage: molecules whose Morgan fingerprints have a Tanimoto similarity of at least
 * `similarity` are in one cluster, and so no pair of such is in two. Of each molecule, the number of the first of its cluster.
 * All are compared with all, which takes time with the square of their number.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a SMILES that is no molecule
 */
export async function clusterMolecules(
  smiles: readonly string[],
  similarity: number = USUAL_SIMILARITY,
): Promise<number[]> {
  const rdkit = await loadRdkit();
  const fingerprints = smiles.map((each) => morganFingerprint(rdkit, each));
  // By how many bits they have: those with far fewer or more cannot be similar.
  const order = [...fingerprints.keys()].sort((a, b) => fingerprints[a]!.count - fingerprints[b]!.count);
  const sets = new LinkedSets(fingerprints.length);
  for (const [at, i] of order.entries()) {
    const one = fingerprints[i]!;
    for (let before = at - 1; before >= 0; before--) {
      const j = order[before]!;
      const other = fingerprints[j]!;
      if (other.count < similarity * one.count) break;
      if (sets.first(i) !== sets.first(j) && tanimoto(one, other) >= similarity) sets.link(i, j);
    }
  }
  return fingerprints.map((_, i) => sets.first(i));
}
