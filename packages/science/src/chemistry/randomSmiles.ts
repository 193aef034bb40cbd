/** @file Randomised SMILES for training. */

import { drawSeed, Random } from '@onnx-lora/sdk/data';
import { type JsonFile, loadRdkit, type Rdkit } from './rdkit.ts';
import type { SequenceRecord } from '../data/sequenceRecord.ts';

/**
 * A randomised SMILES: the seed decides the first atom and the order of atoms; stereochemistry is kept.
 * @see Bjerrum, "SMILES enumeration as data augmentation for neural network modeling of molecules" (2017)
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
        // Keeps the order of bonds, which the handedness of an atom refers to.
        bonds: bonds.map((bond) => {
          const [a, b] = bond.atoms;
          return { ...bond, atoms: [numbers.get(a)!, numbers.get(b)!] };
        }),
      },
    ],
  };
}

/**
 * Augments training data by randomised SMILES, `times` per record; never use it for evaluation data. The same seed
 * gives the same SMILES.
 * @example
 * const data = await readSequenceData('esol.csv', { validation: 0.2 });
 * const task = sequenceRegression({ ...data, train: await withRandomSmiles(data.train, { times: 4 }) });
 * @throws OnnxLoraError `DATA_INVALID` for an invalid SMILES
 */
export async function withRandomSmiles(
  records: readonly SequenceRecord[],
  { times = 4, seed = 0 }: { readonly times?: number; readonly seed?: number } = {},
): Promise<SequenceRecord[]> {
  const rdkit = await loadRdkit();
  return records.flatMap((record, i) => [
    record,
    ...Array.from({ length: times }, (_, time) => ({
      ...record,
      id: `${record.id}#${time + 1}`,
      sequence: randomSmiles(rdkit, record.sequence, drawSeed(seed, i * times + time)),
    })),
  ]);
}
