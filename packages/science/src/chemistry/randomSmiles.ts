/** @file Randomised SMILES for training. */

import { drawSeed, Random } from '@onnx-lora/sdk/data';
import { type JsonFile, loadRdkit, type Rdkit } from './rdkit.ts';
import type { SequenceRecord } from '../data/sequenceRecord.ts';

/**
 * The SMILES of a molecule written from an atom and in an order that chance decides; stereo is kept. The same seed gives the
 * same SMILES. Training on such, newly drawn each time, teaches that the way a molecule is written does not matter.
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

/**
 * The records, and each of them again in so many other ways to write its molecule: for training, never for what is measured on.
 * The same seed gives the same ways.
 * @example
 * const data = await readSequenceData('esol.csv', { validation: 0.2 });
 * const task = sequenceRegression({ ...data, train: await withRandomSmiles(data.train, { times: 4 }) });
 * @throws OnnxLoraError `DATA_INVALID` for a SMILES that is no molecule
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
