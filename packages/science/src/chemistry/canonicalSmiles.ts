/** @file The one SMILES of a molecule, however it was written. */

import type { Rdkit } from './rdkit.ts';

/**
 * RDKit's canonical SMILES, with stereo: the same for all ways to write one molecule.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a SMILES that is no molecule
 */
export function canonicalSmiles(rdkit: Rdkit, smiles: string): string {
  return rdkit.withMolecule(smiles, (molecule) => molecule.get_smiles());
}
