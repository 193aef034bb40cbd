/** @file Draws molecules for reports. */

import type { Rdkit } from './rdkit.ts';

/**
 * A drawing of a molecule as SVG, of `width` by `height` pixels.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a SMILES that is no molecule
 */
export function drawMolecule(rdkit: Rdkit, smiles: string, width = 250, height = 200): string {
  return rdkit.withMolecule(smiles, (molecule) => molecule.get_svg(width, height));
}
