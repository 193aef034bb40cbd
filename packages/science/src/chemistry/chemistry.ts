/** @file RDKit's molecules for programs. */

import { canonicalSmiles, morganFingerprint, murckoScaffold, tanimoto } from './molecules.ts';
import { randomSmiles } from './randomSmiles.ts';
import { loadRdkit, type Rdkit } from './rdkit.ts';

/** What is found of molecules. All of it throws `DATA_INVALID` for a SMILES that is no molecule, with RDKit's reason. */
export interface Chemistry {
  /** RDKit's canonical SMILES, with stereo: the same for all ways to write one molecule. */
  canonicalSmiles(smiles: string): string;
  /** The Bemis–Murcko scaffold as canonical SMILES without stereo, as RDKit has it; empty for a molecule without rings. */
  scaffold(smiles: string): string;
  /** Tanimoto similarity of Morgan fingerprints of radius 2 and 2,048 bits (ECFP4): 1 for the same neighbourhoods, 0 for no common ones. */
  similarity(smiles: string, other: string): number;
  /** The molecule written from an atom and in an order that the seed decides. Training on such is known as SMILES enumeration. */
  randomSmiles(smiles: string, seed: number): string;
  /** A drawing as SVG, 250 by 200 pixels by default. */
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

/**
 * A drawing of a molecule as SVG, of `width` by `height` pixels.
 * @throws OnnxLoraError `DATA_INVALID` for a SMILES that is no molecule
 */
function drawMolecule(rdkit: Rdkit, smiles: string, width = 250, height = 200): string {
  return rdkit.withMolecule(smiles, (molecule) => molecule.get_svg(width, height));
}
