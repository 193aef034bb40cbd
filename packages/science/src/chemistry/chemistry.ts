/** @file Chemistry functions on SMILES, by RDKit. */

import { canonicalSmiles, morganFingerprint, murckoScaffold, tanimoto } from './molecules.ts';
import { randomSmiles } from './randomSmiles.ts';
import { loadRdkit, type Rdkit } from './rdkit.ts';

/** Functions on molecules. All of them throw `DATA_INVALID` with RDKit's reason for an invalid SMILES. */
export interface Chemistry {
  /** RDKit's canonical SMILES with stereochemistry: the same for every spelling of a molecule. */
  canonicalSmiles(smiles: string): string;
  /** The Bemis–Murcko scaffold in RDKit's variant, as canonical SMILES without stereochemistry; empty without rings. */
  scaffold(smiles: string): string;
  /** Tanimoto similarity, 0 to 1, of Morgan fingerprints of radius 2 with 2,048 bits (ECFP4). */
  similarity(smiles: string, other: string): number;
  /** A randomised SMILES of the molecule, determined by the seed, for SMILES enumeration. */
  randomSmiles(smiles: string, seed: number): string;
  /** An SVG drawing, 250 by 200 pixels by default. */
  draw(smiles: string, width?: number, height?: number): string;
}

/**
 * Loads RDKit's WebAssembly build, which happens once.
 * @example
 * const chemistry = await openChemistry();
 * chemistry.scaffold('CC(=O)Oc1ccccc1C(=O)O'); // c1ccccc1
 */
export async function openChemistry(): Promise<Chemistry> {
  const rdkit = await loadRdkit();
  return {
    canonicalSmiles: (smiles) => canonicalSmiles(rdkit, smiles),
    scaffold: (smiles) => murckoScaffold(rdkit, smiles),
    similarity: (smiles, other) => tanimoto(morganFingerprint(rdkit, smiles), morganFingerprint(rdkit, other)),
    randomSmiles: (smiles, seed) => randomSmiles(rdkit, smiles, seed),
    draw: (smiles, width, height) => drawMolecule(rdkit, smiles, width, height),
  };
}

function drawMolecule(rdkit: Rdkit, smiles: string, width = 250, height = 200): string {
  return rdkit.withMolecule(smiles, (molecule) => molecule.get_svg(width, height));
}
