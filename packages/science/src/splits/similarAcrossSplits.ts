/** @file Finds held-out sequences similar to training sequences. */

import type { Alphabet, SequenceRecord } from '../data/sequenceRecord.ts';
import { morganFingerprint, tanimoto } from '../chemistry/molecules.ts';
import { loadRdkit } from '../chemistry/rdkit.ts';
import { lettersIn, usualIdentity } from './similarity/clusterSequences.ts';
import { SimilarSequences } from './similarity/similarSequences.ts';
import { USUAL_SIMILARITY } from './sequenceGroups.ts';

/** Similarity threshold and alphabet. */
export interface SimilarityOptions {
  /** Sequence identity, or Tanimoto similarity of molecules; by default that of clusters. */
  readonly identity?: number | undefined;
  /** `protein` by default. */
  readonly alphabet?: Alphabet | undefined;
}

/** A held-out record and a similar training record. */
export interface SimilarRecords {
  /** The held-out record. */
  readonly held: SequenceRecord;
  /** The training record. */
  readonly kept: SequenceRecord;
}

/** Held-out records with a similar training record. Omits identical ones, which are reported as duplicates. */
export async function similarRecords(
  kept: readonly SequenceRecord[],
  held: readonly SequenceRecord[],
  { alphabet = 'protein', identity }: SimilarityOptions = {},
): Promise<SimilarRecords[]> {
  const trained = new Map(kept.map((record) => [record.sequence, record]));
  const find =
    alphabet === 'smiles'
      ? await likeMolecule([...trained.values()], identity ?? USUAL_SIMILARITY)
      : likeSequence([...trained.values()], alphabet, identity ?? usualIdentity(alphabet));
  const found: SimilarRecords[] = [];
  for (const record of held) {
    const like = trained.has(record.sequence) ? undefined : find(record);
    if (like) found.push({ held: record, kept: like });
  }
  return found;
}

/** Maximum training letters that are clustered or searched by default. */
export const MOST_LETTERS = 12_000_000;
/** Maximum training molecules that are searched by default. */
const MOST_MOLECULES = 50_000;
/** Sample size of held-out records. */
const MOST_HELD = 2000;

/** Warns of held-out records similar to those of the first split, the training data; large parts are sampled. */
export async function similarAcrossSplits(
  [kept = [], ...parts]: readonly (readonly SequenceRecord[])[],
  options: SimilarityOptions = {},
): Promise<string[]> {
  const { alphabet = 'protein' } = options;
  const isMolecules = alphabet === 'smiles';
  const letters = lettersIn(kept.map(({ sequence }) => sequence));
  if (isMolecules ? kept.length > MOST_MOLECULES : letters > MOST_LETTERS) {
    return [
      'There is too much to train on to look for relatives of what is held out. Cluster the data before, and name the column of clusters (columns: { group }).',
    ];
  }
  const all = parts.flat();
  const step = Math.ceil(all.length / MOST_HELD);
  const held = all.filter((_, i) => i % step === 0);
  const found = await similarRecords(kept, held, options);
  if (found.length === 0) return [];
  const identity = options.identity ?? (isMolecules ? USUAL_SIMILARITY : usualIdentity(alphabet));
  const what = isMolecules
    ? `molecules have one of Tanimoto similarity ${identity} or more`
    : `sequences have a relative of ${Math.round(100 * identity)}% identity or more`;
  const [first] = found as [SimilarRecords];
  const share = Math.round((100 * found.length) / held.length);
  const sampled = held.length < all.length ? `; a sample of ${all.length}` : '';
  return [
    `${found.length} of ${held.length} held-out ${what} among those that are trained on (${share}%${sampled}), such as ${first.held.id} (${first.held.where}) and ${first.kept.id} (${first.kept.where}). Figures on them say little about new ones. A split of your own keeps such together: validation: 0.2, splitBy: '${isMolecules ? 'similarity' : 'cluster'}'; on the command line --validation 0.2 --set splitBy=${isMolecules ? 'similarity' : 'cluster'}.`,
  ];
}

type Find = (record: SequenceRecord) => SequenceRecord | undefined;

function likeSequence(
  records: readonly SequenceRecord[],
  alphabet: Exclude<Alphabet, 'smiles'>,
  identity: number,
): Find {
  const known = new SimilarSequences(alphabet, identity, lettersIn(records.map(({ sequence }) => sequence)));
  for (const { sequence } of records) known.add(known.codes(sequence));
  return ({ sequence }) => {
    for (const { number } of known.like(known.codes(sequence))) return records[number];
    return undefined;
  };
}

async function likeMolecule(records: readonly SequenceRecord[], similarity: number): Promise<Find> {
  const rdkit = await loadRdkit();
  const fingerprints = records.map(({ sequence }) => morganFingerprint(rdkit, sequence));
  return ({ sequence }) => {
    const own = morganFingerprint(rdkit, sequence);
    const at = fingerprints.findIndex((each) => tanimoto(own, each) >= similarity);
    return records[at];
  };
}
