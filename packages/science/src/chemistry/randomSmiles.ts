/** @file Other ways to write a molecule, for training. */

import { Random } from '@onnx-lora/sdk/core';
import type { JsonFile, Rdkit } from './rdkit.ts';

/**
 * The SMILES of a molecule written from an atom and in an order that chance decides; stereo is kept. The same seed gives the
 * same SMILES. Training on such, newly drawn each time, teaches that the way a molecule is written does not matter.
 *
 * @see Bjerrum, "SMILES enumeration as data augmentation for neural network modeling of molecules" (2017)
 * @throws OnnxLoraError `DATA_INVALID` for a SMILES that is no molecule
 */
export function randomSmiles(rdkit: Rdkit, smiles: string, seed: number): string {
  const random = new Random(seed);
  return rdkit.withMolecule(smiles, (molecule) => {
    if (/[/\\]/.test(molecule.get_smiles())) {
      // RDKit's JSON loses the geometry of double bonds: here only the first atom is drawn.
      const rootedAtAtom = random.index(molecule.get_num_atoms());
      return molecule.get_smiles(JSON.stringify({ rootedAtAtom, canonical: false }));
    }
    const json = JSON.stringify(renumbered(JSON.parse(molecule.get_json()) as JsonFile, random));
    // Without "canonical", atoms are written in the order of their numbers.
    return rdkit.withJson(json, (each) => each.get_smiles(JSON.stringify({ canonical: false })));
  });
}

function renumbered({ molecules: [{ atoms, bonds = [] }], ...file }: JsonFile, random: Random): JsonFile {
  const order = random.permutation(atoms.length);
  const numbers = new Map(order.map((atom, number) => [atom, number]));
  return {
    ...file,
    molecules: [
      {
        atoms: order.map((atom) => atoms[atom]!),
        // Bonds keep their order, which is what the handedness of an atom refers to.
        bonds: bonds.map((bond) => {
          const [a, b] = bond.atoms;
          return { ...bond, atoms: [numbers.get(a)!, numbers.get(b)!] };
        }),
      },
    ],
  };
}
