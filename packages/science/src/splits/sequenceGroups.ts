/** @file Groups that are never split: clusters, scaffolds, variants. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SplitFacts } from '@onnx-lora/sdk/data';
import { murckoScaffold, canonicalSmiles, morganFingerprint, tanimoto } from '../chemistry/molecules.ts';
import { loadRdkit, type Rdkit } from '../chemistry/rdkit.ts';
import type { Alphabet, SequenceRecord } from '../data/sequenceRecord.ts';
import { clusterSequences, LinkedSets, usualIdentity } from './similarity/clusterSequences.ts';

/** The group of each record, in order, and the grouping in words. */
export interface SequenceGroups {
  readonly groups: readonly string[];
  readonly splitBy: string;
}

interface Likeness {
  readonly alphabet?: Alphabet | undefined;
  readonly identity?: number | undefined;
}

/** Groups of identical sequences, or of identical molecules in any spelling. */
export async function duplicates(records: readonly SequenceRecord[], { alphabet }: Likeness): Promise<SequenceGroups> {
  const splitBy = 'at random; duplicates stay together';
  if (alphabet !== 'smiles') return { groups: records.map(sequenceKey), splitBy };
  const canonical = await ofMolecules(records, canonicalSmiles);
  return { groups: records.map((record, i) => sequenceKey({ ...record, sequence: canonical[i]! })), splitBy };
}

/** The groups in the data; a record without one forms its own. */
export function givenGroups(records: readonly SequenceRecord[]): SequenceGroups {
  if (records.every(({ group }) => group === undefined)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${records[0]?.where ?? 'The data'}: no groups are known, which the split is to go by. Name the column that has them (columns: { group }), or split in another way (splitBy: 'random').`,
    );
  }
  // Keeps names of groups and sequences apart.
  const groups = records.map((record) => (record.group === undefined ? sequenceKey(record) : `group ${record.group}`));
  return { groups, splitBy: 'groups stay whole' };
}

/** Bemis–Murcko scaffolds of molecules; those without rings form one group. */
export async function scaffolds(records: readonly SequenceRecord[], { alphabet }: Likeness): Promise<SequenceGroups> {
  checkMolecules(records, alphabet, 'scaffold');
  return { groups: await ofMolecules(records, murckoScaffold), splitBy: 'Bemis–Murcko scaffolds stay whole' };
}

/** Single-linkage clusters of molecules by Tanimoto similarity. */
export async function similarMolecules(
  records: readonly SequenceRecord[],
  { alphabet, identity = USUAL_SIMILARITY }: Likeness,
): Promise<SequenceGroups> {
  checkMolecules(records, alphabet, 'similarity');
  // Throws for an illegal molecule, with its record.
  const canonical = await ofMolecules(records, canonicalSmiles);
  const clusters = await clusterMolecules(canonical, identity);
  return {
    groups: clusters.map(String),
    splitBy: `molecules of Tanimoto similarity ${identity} or more stay together`,
  };
}

/** Clusters by {@link clusterSequences}; `both` joins pairs that share a cluster on either side. */
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

/** Maps molecules; errors name the record. */
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

/** Key of a sequence or pair. */
export function sequenceKey({ sequence, second }: SequenceRecord): string {
  return second === undefined ? sequence : `${sequence} ${second}`;
}

/** Facts for a split; classes or labels are spread over both sides. */
export function splitFacts(record: SequenceRecord, group: string): SplitFacts {
  const { id, labels, values } = record;
  const [first] = labels ?? [];
  return {
    // Independent of the position in the file, so the order of records does not matter.
    key: JSON.stringify([sequenceKey(record), id, labels, values]),
    file: group,
    ...(labels?.length === 1 && first !== undefined ? { label: first } : labels ? { labels } : {}),
  };
}

/** Default Tanimoto similarity within clusters. */
export const USUAL_SIMILARITY = 0.6;

/**
 * Single-linkage clusters of molecules: a Tanimoto similarity of Morgan fingerprints of at least `similarity` joins
 * two. Returns the index of the first member of each molecule's cluster. Time is quadratic in the number of molecules.
 * @throws OnnxLoraError `DATA_INVALID` for an invalid SMILES
 */
export async function clusterMolecules(
  smiles: readonly string[],
  similarity: number = USUAL_SIMILARITY,
): Promise<number[]> {
  const rdkit = await loadRdkit();
  const fingerprints = smiles.map((each) => morganFingerprint(rdkit, each));
  // Sorted by bit count: far fewer or more bits cannot be similar.
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

/** Minimum mean share of the majority letter among variants of one sequence. */
const ALIKE = 0.9;

/** True for variants of one sequence: mutations are known, or lengths are equal and majority letters exceed 90%. */
export function isOneProtein(records: readonly SequenceRecord[]): boolean {
  if (records.every(({ substitutions }) => substitutions !== undefined)) return true;
  const length = records[0]?.sequence.length ?? 0;
  if (records.some(({ sequence }) => sequence.length !== length)) return false;
  let alike = 0;
  for (let at = 0; at < length; at++) {
    const counts = new Map<string, number>();
    for (const { sequence } of records) counts.set(sequence[at]!, (counts.get(sequence[at]!) ?? 0) + 1);
    alike += Math.max(...counts.values());
  }
  return alike > ALIKE * length * records.length;
}
