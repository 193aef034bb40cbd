/** @file Splits sequences by clusters, scaffolds, groups or at random. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { quotedNames } from '@onnx-lora/sdk/tasks';
import { fairHoldOut, type RecordSplit, type SplitFacts, splitRecords } from '@onnx-lora/sdk/data';
import type { Alphabet, SequenceRecord, SequenceSplitBy } from '../data/sequenceRecord.ts';
import {
  duplicates,
  givenGroups,
  isOneProtein,
  scaffolds,
  sequenceClusters,
  type SequenceGroups,
  sequenceKey,
  similarMolecules,
  splitFacts,
} from './sequenceGroups.ts';
import { lettersIn } from './similarity/clusterSequences.ts';
import { MOST_LETTERS, similarAcrossSplits } from './similarAcrossSplits.ts';

/** Class size from which both sides should have members. */
const ENOUGH = 10;

/** Classes that are only held out, and large ones that are only trained on. */
function classesOnOneSide({ kept, held }: RecordSplit<SequenceRecord>): {
  readonly trained: readonly string[];
  readonly measured: readonly string[];
} {
  const [inKept, inHeld] = [classCounts(kept), classCounts(held)];
  return {
    trained: [...inKept].flatMap(([name, count]) => (count >= ENOUGH && !inHeld.has(name) ? [name] : [])).sort(),
    measured: [...inHeld.keys()].filter((name) => !inKept.has(name)).sort(),
  };
}

function oneSideWarnings(split: RecordSplit<SequenceRecord>): string[] {
  if (split.held.length === 0) return [];
  const { trained, measured } = classesOnOneSide(split);
  const remedy =
    "because what stays whole has all of them. Split in another way (splitBy: 'random') to have each on both sides.";
  return [
    ...(measured.length > 0 ? [`Nothing of ${quotedNames(measured)} is trained on, ${remedy}`] : []),
    ...(trained.length > 0 ? [`Nothing of ${quotedNames(trained)} is held out, ${remedy}`] : []),
  ];
}

function classCounts(records: readonly SequenceRecord[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of records.flatMap(({ labels = [] }) => labels)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** Options of {@link splitSequences}. */
export interface SequenceSplitOptions {
  /** Share to hold out. */
  readonly fraction: number;
  /** Seed of the split; 0 by default. */
  readonly seed?: number | undefined;
  /** Split strategy; the default is that of {@link SequenceDataOptions.splitBy}. */
  readonly by?: SequenceSplitBy | undefined;
  /** Threshold of `cluster` and `similarity`, as {@link SequenceDataOptions.identity}. */
  readonly identity?: number | undefined;
  /** `protein` by default. */
  readonly alphabet?: Alphabet | undefined;
  /** Spreads classes over both sides, if they are the target; true by default. */
  readonly byClass?: boolean | undefined;
}

/** Kept and held-out records, and how they were chosen. */
export interface SequenceSplit extends RecordSplit<SequenceRecord> {
  /** In words: `clusters of at least 30% identity stay whole`. */
  readonly splitBy: string;
  /** Warnings, such as about held-out sequences that are similar to kept ones. */
  readonly warnings: readonly string[];
}

/**
 * Holds out about `fraction` of the records, of every class its share; duplicates stay together. The same seed gives
 * the same split in any order of records; nothing is held out where no split is possible.
 * @example
 * const { kept, held, splitBy } = await splitSequences(records, { fraction: 0.2, by: 'cluster', identity: 0.3 });
 * @throws OnnxLoraError `DATA_INVALID` for records without the field that the strategy needs
 */
export async function splitSequences(
  records: readonly SequenceRecord[],
  options: SequenceSplitOptions,
): Promise<SequenceSplit> {
  const by = options.by ?? usualWay(records, options.alphabet);
  const split = await splitBy[by](records, options);
  if (options.by !== undefined || by === 'random' || isFair(split, options)) return withClassWarnings(split, options);
  const instead = await splitBy.random(records, options);
  return withClassWarnings({ ...instead, warnings: [unfair, ...instead.warnings] }, options);
}

const unfair =
  'The split is at random, because no fair part can be held out: groups, or sequences that are like one another, are too large, or classes have one alone. The metrics then say little about sequences unlike the training data.';

/** True if the held-out part has about the right size and, unless the user chose `by`, some of every class. */
function isFair(split: RecordSplit<SequenceRecord>, { fraction, by, byClass = true }: SequenceSplitOptions): boolean {
  if (!fairHoldOut(split, fraction)) return false;
  return by !== undefined || !byClass || Object.values(classesOnOneSide(split)).every(({ length }) => length === 0);
}

function withClassWarnings(split: SequenceSplit, { byClass = true }: SequenceSplitOptions): SequenceSplit {
  if (!byClass) return split;
  return { ...split, warnings: [...split.warnings, ...oneSideWarnings(split)] };
}

type Way = (
  records: readonly SequenceRecord[],
  options: SequenceSplitOptions,
) => SequenceSplit | Promise<SequenceSplit>;

const splitBy: Readonly<Record<SequenceSplitBy, Way>> = {
  random: async (records, options) => splitByGroups(records, await duplicates(records, options), options),
  group: (records, options) => splitByGroups(records, givenGroups(records), options),
  mutations: (records, { fraction, seed = 0 }) => {
    const { least, isWhole, ...split } = mutationSplit(records, fraction, seed);
    const count = least === 1 ? '1 mutation' : `${least} mutations`;
    const words = isWhole
      ? `variants of ${count} and more are held out`
      : `variants of more than ${count} are held out, and some of those with ${least}`;
    return { ...split, splitBy: split.held.length > 0 ? words : 'nothing is held out', warnings: [] };
  },
  cluster: splitByClusters,
  scaffold: async (records, options) => splitByGroups(records, await scaffolds(records, options), options),
  similarity: async (records, options) => splitByGroups(records, await similarMolecules(records, options), options),
};

/** The strictest usual strategy that fits the data. */
function usualWay(records: readonly SequenceRecord[], alphabet: Alphabet | undefined): SequenceSplitBy {
  if (new Set(records.map(({ group }) => group)).size > 1) return 'group';
  if (alphabet === 'smiles') return 'scaffold';
  // Clustering more takes too long for a default.
  const isMany = lettersIn(records.map(({ sequence }) => sequence)) > MOST_LETTERS;
  return isMany || isOneProtein(records) ? 'random' : 'cluster';
}

/**
 * Single-linkage clusters, so that no two clusters have similar members. If their chains leave no fair part, clusters
 * around representatives, with a warning about the remaining similarities.
 */
async function splitByClusters(
  records: readonly SequenceRecord[],
  options: SequenceSplitOptions,
): Promise<SequenceSplit> {
  const { alphabet, identity } = options;
  const arePairs = alphabet !== 'smiles' && records.some(({ second }) => second !== undefined && LETTERS.test(second));
  const clusters = (like: 'representative' | 'member', sides: 'both' | 'first'): SequenceSplit =>
    splitByGroups(records, sequenceClusters(records, options, like, sides), options);
  if (arePairs) {
    const split = clusters('member', 'both');
    if (isFair(split, options)) return split;
  }
  const pairs = arePairs
    ? ['Pairs are linked by their second sequences so that no fair part could be held out: only first ones are new.']
    : [];
  const strict = clusters('member', 'first');
  if (isFair(strict, options)) return { ...strict, warnings: pairs };
  const loose = clusters('representative', 'first');
  const alike = await similarAcrossSplits([loose.kept, loose.held], { alphabet, identity });
  return { ...loose, warnings: [...pairs, ...alike] };
}

/** Residues or bases, unlike SMILES. */
const LETTERS = /^[A-Za-z*.-]+$/;

function splitByGroups(
  records: readonly SequenceRecord[],
  { groups, splitBy: words }: SequenceGroups,
  { fraction, seed = 0, byClass = true }: SequenceSplitOptions,
): SequenceSplit {
  const groupOf = new Map(records.map((record, i) => [record, groups[i]!]));
  const split = splitRecords(records, fraction, seed, (record) => {
    const { label, labels, ...facts } = splitFacts(record, groupOf.get(record)!);
    return byClass ? { ...facts, label, labels } : facts;
  });
  return { ...split, splitBy: words, warnings: [] };
}

/**
 * Holds out the variants with most mutations, about `fraction` of all records; at the boundary, a random part of those
 * with as many mutations. Duplicates stay together.
 * @returns the split, the fewest mutations of a held-out variant, and whether all variants with as many are held out
 * @throws OnnxLoraError `DATA_INVALID`, naming a record without mutations
 */
function mutationSplit(
  records: readonly SequenceRecord[],
  fraction: number,
  seed: number,
): RecordSplit<SequenceRecord> & { readonly least: number; readonly isWhole: boolean } {
  const byCount = new Map<number, SequenceRecord[]>();
  for (const record of records) {
    if (!record.substitutions) throw noMutations(record);
    const { length } = record.substitutions;
    const level = byCount.get(length);
    if (level) level.push(record);
    else byCount.set(length, [record]);
  }
  const held = new Set<SequenceRecord>();
  let least = Infinity;
  for (const [count, level] of [...byCount].sort(([a], [b]) => b - a)) {
    const missing = Math.round(fraction * records.length) - held.size;
    if (missing <= 0) break;
    const isWhole = level.length <= missing && count > Math.min(...byCount.keys());
    const chosen = isWhole ? level : splitRecords(level, missing / level.length, seed, factsOf).held;
    if (chosen.length > 0) least = count;
    for (const record of chosen) held.add(record);
  }
  const kept = records.filter((each) => !held.has(each));
  const isWhole = kept.every(({ substitutions }) => substitutions!.length < least);
  return { kept, held: records.filter((each) => held.has(each)), least, isWhole };
}

const factsOf = (record: SequenceRecord): SplitFacts => splitFacts(record, sequenceKey(record));

function noMutations({ where }: SequenceRecord): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${where}: no mutations are known of this sequence, which a split by mutations needs of each. Name the column that has them, such as "A123G:C130D", and the wild type, or split in another way (splitBy: 'random').`,
  );
}
