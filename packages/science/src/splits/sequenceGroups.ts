/** @file What stays whole when sequences are divided. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { canonicalSmiles, murckoScaffold } from '../chemistry/molecules.ts';
import { loadRdkit, type Rdkit } from '../chemistry/rdkit.ts';
import type { Alphabet, SequenceRecord } from '../data/sequenceRecord.ts';
import { clusterSequences, usualIdentity } from './likeness/clusterSequences.ts';
import { clusterMolecules, USUAL_SIMILARITY } from './moleculeClusters.ts';
import { LinkedSets } from './linkedSets.ts';
import { sequenceKey } from './splitFacts.ts';

/** The group of each record, in their order, and what that is in words. */
export interface SequenceGroups {
  readonly groups: readonly string[];
  readonly splitBy: string;
}

/** How likeness is told. */
interface Likeness {
  readonly alphabet?: Alphabet | undefined;
  readonly identity?: number | undefined;
}

/** Nothing but records of the same sequence, or of the same molecule however it is written. */
export async function duplicates(records: readonly SequenceRecord[], { alphabet }: Likeness): Promise<SequenceGroups> {
  const splitBy = 'at random; duplicates stay together';
  if (alphabet !== 'smiles') return { groups: records.map(sequenceKey), splitBy };
  const canonical = await ofMolecules(records, canonicalSmiles);
  return { groups: records.map((record, i) => sequenceKey({ ...record, sequence: canonical[i]! })), splitBy };
}

/** The groups that the data say; a record without one is a group by itself. */
export function givenGroups(records: readonly SequenceRecord[]): SequenceGroups {
  if (records.every(({ group }) => group === undefined)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${records[0]?.where ?? 'The data'}: no groups are known, which the split is to go by. Name the column that has them (columns: { group }), or split in another way (splitBy: 'random').`,
    );
  }
  // Names of groups and sequences are kept apart.
  const groups = records.map((record) => (record.group === undefined ? sequenceKey(record) : `group ${record.group}`));
  return { groups, splitBy: 'groups stay whole' };
}

/** Bemis–Murcko scaffolds of molecules; those without rings are one group. */
export async function scaffolds(records: readonly SequenceRecord[], { alphabet }: Likeness): Promise<SequenceGroups> {
  checkMolecules(records, alphabet, 'scaffold');
  return { groups: await ofMolecules(records, murckoScaffold), splitBy: 'Bemis–Murcko scaffolds stay whole' };
}

/** Molecules by single linkage of their Tanimoto similarities. */
export async function similarMolecules(
  records: readonly SequenceRecord[],
  { alphabet, identity = USUAL_SIMILARITY }: Likeness,
): Promise<SequenceGroups> {
  checkMolecules(records, alphabet, 'similarity');
  // An illegal molecule is named with its record here.
  const canonical = await ofMolecules(records, canonicalSmiles);
  const clusters = await clusterMolecules(canonical, identity);
  return {
    groups: clusters.map(String),
    splitBy: `molecules of Tanimoto similarity ${identity} or more stay together`,
  };
}

/**
 * Clusters of like sequences, by what `like` says of {@link clusterSequences}. Of pairs, those that share a cluster on either side
 * stay together where `sides` is `both`.
 */
export function sequenceClusters(
  records: readonly SequenceRecord[],
  likeness: Likeness,
  like: 'representative' | 'member',
  sides: 'both' | 'first',
): SequenceGroups {
  const { alphabet = 'protein', identity = usualIdentity(alphabet) } = likeness;
  if (alphabet === 'smiles') {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${records[0]?.where ?? 'The data'}: molecules have no clusters by sequence identity. Split them by scaffold or similarity (splitBy: 'scaffold').`,
    );
  }
  const firsts = records.map(({ sequence }) => sequence);
  const seconds = sides === 'both' ? records.map(({ second, sequence }) => second ?? sequence) : [];
  const clusters = clusterSequences([...firsts, ...seconds], { identity, like, alphabet });
  const sets = new LinkedSets(clusters.length);
  clusters.forEach((cluster, i) => sets.link(cluster, i));
  seconds.forEach((_, i) => sets.link(i, records.length + i));
  const percent = `${Math.round(100 * identity)}% identity`;
  const of = sides === 'both' ? ' of both sequences of a pair' : '';
  return {
    groups: records.map((_, i) => String(sets.first(i))),
    splitBy:
      like === 'member'
        ? `clusters of at least ${percent}${of} stay whole`
        : `sequences of at least ${percent} to the longest of their cluster stay together`,
  };
}

function checkMolecules([first]: readonly SequenceRecord[], alphabet: Alphabet | undefined, by: string): void {
  if (alphabet === 'smiles') return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${first?.where ?? 'The data'}: only molecules can be split by ${by}, but these are ${alphabet ?? 'protein'} sequences. Split them by cluster (splitBy: 'cluster'), or say that they are SMILES (alphabet: 'smiles').`,
  );
}

/** What is found of each molecule; an error names the record. */
async function ofMolecules(
  records: readonly SequenceRecord[],
  find: (rdkit: Rdkit, smiles: string) => string,
): Promise<string[]> {
  const rdkit = await loadRdkit();
  return records.map(({ sequence, where }) => {
    try {
      return find(rdkit, sequence);
    } catch (cause) {
      if (cause instanceof OnnxLoraError) throw new OnnxLoraError(cause.code, `${where}: ${cause.message}`, { cause });
      throw cause;
    }
  });
}
