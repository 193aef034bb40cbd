/** @file Reads sequences from any layout and splits them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { quotedNames } from '@onnx-lora/sdk/tasks';
import {
  type DataReader,
  withoutUndefined,
  givenRecords,
  readData,
  recordsBySplit,
  requireRecords,
} from '@onnx-lora/sdk/data';
import { checkMolecules } from '../chemistry/molecules.ts';
import { isOneProtein } from '../splits/sequenceGroups.ts';
import { similarAcrossSplits } from '../splits/similarAcrossSplits.ts';
import { splitSequences } from '../splits/splitSequences.ts';
import { alphabetsOf, SequenceSpeller } from './letters.ts';
import { readLayout } from './readLayout.ts';
import type {
  Alphabet,
  GivenSequenceRecord,
  SequenceData,
  SequenceDataOptions,
  SequenceNeed,
  SequencePart,
  SequenceRecord,
  SequenceSource,
} from './sequenceRecord.ts';
import { repeatedRecords, sharedSequences } from './sharedSequences.ts';
import { comparedWith, givenWildType, type WildType } from './wildType.ts';

/** @throws OnnxLoraError `DATA_INVALID`, naming the record and the remedy */
function checkRecordNeeds(records: readonly SequenceRecord[], needs: readonly SequenceNeed[] = []): void {
  for (const need of needs) {
    const lacking = records.find((record) => !has(record, need));
    if (!lacking) continue;
    throw new OnnxLoraError('DATA_INVALID', `${lacking.where}: ${remedies[need]}`);
  }
}

function has(record: SequenceRecord, need: SequenceNeed): boolean {
  const { labels, values, residues, second, substitutions } = record;
  if (need === 'label') return labels?.length === 1;
  const found = { labels, values, residues, second, substitutions }[need];
  return found !== undefined;
}

const HEADER = 'In FASTA, the header may say it';

const remedies: Readonly<Record<SequenceNeed, string>> = {
  label: `it has no class to learn, or several. ${HEADER}: ">id LABEL=globin"; or give a table with the columns "sequence" and "label", or a folder with a file for each class.`,
  labels: `it has no labels to learn. ${HEADER}: ">id LABEL=globin"; or give a table with the columns "sequence" and "labels".`,
  values: `it has no number to learn. ${HEADER}: ">id TARGET=0.5"; or give a table with the columns "sequence" and "value".`,
  residues:
    'it has no labels of residues. Give a table with the columns "sequence" and "residues", or a Stockholm file with "#=GR … SS" lines.',
  second: 'it has no second sequence. Give a table with the columns "sequence" and "second".',
  substitutions:
    'it is not known how it differs from a wild type. Give a table with the column "mutations" (A123G), or the wild type that sequences of its length are compared with: wildType: \'wt.fasta\', on the command line --set wildType=wt.fasta.',
};

/** Checking takes some tenths of a millisecond per molecule, a minute for hundreds of thousands. */
const MOST_MOLECULES = 50_000;

/**
 * Reads data. A path is a table (CSV, TSV, JSON, JSONL) with a column of sequences, SMILES or mutations; FASTA, FASTQ,
 * A3M or Stockholm; a list with a sequence per line; any of them gzipped; or a folder of such files, one per split or
 * per class. Your own records are checked; data from this function are taken as they are.
 * @example
 * const data = await readSequenceData('gb1.csv', { columns: { split: 'two_vs_rest' } });
 * console.log(data.train.length, data.validation?.length, data.warnings);
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming file, row, column and remedy
 */
export async function readSequenceData(
  source: SequenceSource,
  options: SequenceDataOptions = {},
): Promise<SequenceData> {
  const { alphabet: _alphabet, isChosen: _isChosen, ...data } = await readData(sequences, source, options);
  return data;
}

interface SpelledData extends SequenceData {
  readonly alphabet?: Alphabet;
  /** Whether the split keeps relatives together. */
  readonly isChosen?: boolean;
}

const sequences: DataReader<SequenceRecord, SpelledData, SequenceSource, SequenceDataOptions> = {
  noun: 'sequences',
  remedy: 'choose the groups to keep together (splitBy)',
  read: readSource,
  holdOut: async ({ train, alphabet }, fraction, { seed = 0, splitBy: by, identity, needs = [] }) => {
    // Numbers to predict are not classes, even where all are whole.
    const byClass = !needs.includes('values') || needs.includes('label') || needs.includes('labels');
    const split = await splitSequences(train, { fraction, seed, by, identity, alphabet, byClass });
    const { splitBy } = split;
    // Random splits put relatives on both sides.
    return { ...split, whole: splitBy, facts: { splitBy, isChosen: by !== 'random' } };
  },
  besides: (path) => ({ splitBy: `given as "${path}"` }),
  shared: async (parts, { train, alphabet, isChosen = false }, { identity }) => [
    ...(await sharedSequences(parts, alphabet)),
    // Variants of one protein are similar by design.
    ...(train.length > 0 && !isChosen && !isOneProtein(train)
      ? await similarAcrossSplits(parts, { alphabet, identity })
      : []),
  ],
};

async function readSource(
  source: SequenceSource,
  options: SequenceDataOptions,
  beside?: SpelledData,
): Promise<SpelledData> {
  if (typeof source === 'object' && 'train' in source) return { ...source, isChosen: true };
  // Training and validation data share the wild type.
  const known = options.wildType ?? beside?.wildType;
  const wildType = known === undefined ? undefined : await givenWildType(known);
  const written =
    typeof source === 'string' ? await readLayout(source, options, wildType) : [await given(source, wildType)];
  const alphabets = alphabetsOf(written, options.alphabet);
  const speller = new SequenceSpeller(alphabets, options.illegal);
  const isMolecules = alphabets.first === 'smiles';
  const parts: SequencePart[] = [];
  for (const part of written) {
    const records = part.records.map((record) => speller.spell(record, part)).filter((record) => record !== undefined);
    const spelled = { ...part, records: records.map((record) => comparedWith(part.wildType, record)) };
    parts.push(isMolecules ? await withMolecules(spelled, options) : spelled);
  }
  const records = parts.flatMap((part) => part.records);
  requireRecords(records, source, 'sequences that can be used');
  checkRecordNeeds(records, options.needs);
  const repeated = repeatedRecords(parts);
  const split = recordsBySplit(records);
  const isDivided = (split.validation ?? split.test) !== undefined;
  const splitBy = isDivided ? parts.find((part) => part.splitBy !== undefined)?.splitBy : undefined;
  const valueNames = sameValues(parts);
  const wildTypes = new Set(parts.map((part) => part.wildType).filter((each) => each !== undefined));
  const [wild] = wildTypes.size === 1 ? wildTypes : [];
  return {
    ...split,
    ...withoutUndefined({ splitBy, valueNames, wildType: wild }),
    alphabet: alphabets.first,
    warnings: [...parts.flatMap(({ warnings }) => warnings), ...speller.warnings, ...repeated],
  };
}

async function withMolecules(part: SequencePart, { illegal }: SequenceDataOptions): Promise<SequencePart> {
  const { records, warnings } = await checkMolecules(
    part.records.slice(0, MOST_MOLECULES),
    illegal,
    part.columns?.sequence,
  );
  const others = part.records.slice(MOST_MOLECULES);
  const unseen =
    others.length > 0
      ? [`Whether SMILES are molecules was looked at in the first ${MOST_MOLECULES}; ${others.length} were not.`]
      : [];
  return { ...part, records: [...records, ...others], warnings: [...part.warnings, ...warnings, ...unseen] };
}

function sameValues(parts: readonly SequencePart[]): readonly string[] | undefined {
  const [first, ...others] = parts;
  const other = others.find(({ valueNames }) => String(valueNames) !== String(first?.valueNames));
  if (!other) return first?.valueNames;
  const place = (part: SequencePart | undefined): string =>
    `${part?.valueNames ? quotedNames(part.valueNames) : 'none'} (${part?.records[0]?.where})`;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The files have different columns of numbers to predict: ${place(first)} and ${place(other)}. Rename them, or name them: columns: { values: ['…'] }, on the command line --set columns.values=….`,
  );
}

async function given(
  source: AsyncIterable<GivenSequenceRecord> | readonly GivenSequenceRecord[],
  wildType: WildType | undefined,
): Promise<SequencePart> {
  const records = await givenRecords(source, checkedRecord);
  const count = records[0]?.values?.length ?? 0;
  const valueNames = count === 1 ? ['value'] : Array.from({ length: count }, (_, i) => `value ${i + 1}`);
  return {
    records,
    ...(count > 0 ? { valueNames } : {}),
    wildType: wildType?.sequence,
    warnings: [],
  };
}

function checkedRecord(record: Partial<GivenSequenceRecord>, number: number): SequenceRecord {
  const { sequence, id = String(number) } = record;
  const where = record.where ?? (record.id === undefined ? `record ${number}` : `record ${number} (${id})`);
  if (typeof sequence === 'string') return { ...record, sequence, id, where };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: it has no "sequence". A record names one: { sequence: 'MKTAYIAK', values: [0.5] }.`,
  );
}
