/** @file Reads texts and their targets from any layout, and divides them into splits. */

import { path } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  classFolders,
  type DataReader,
  withoutUndefined,
  type FolderEntries,
  givenRecords,
  isExample,
  linesOf,
  openTable,
  readData,
  readFolders,
  readSplits,
  readText,
  recordsBySplit,
  requireRecords,
  splitManifests,
  splitRecords,
  type Table,
  wholeTable,
} from '@onnx-lora/sdk/data';
import {
  foldOf,
  openBytes,
  readAnyTable,
  type SequenceData,
  type SequenceRecord,
  splitWarnings,
  type TargetKind,
} from '@onnx-lora/sequences';
import {
  findColumns,
  type GivenText,
  recordOf,
  type TextDataOptions,
  type TextSource,
  textTasksOf,
} from './textColumns.ts';
import { formatOf, recordOfLine } from './streamTexts.ts';
import { heldOutElsewhere, isFolder, sharedWarnings } from './tableReader.ts';

type Options = TextDataOptions & {
  readonly wanted?: TargetKind | undefined;
  /** The default group of a record; splits never divide a group. */
  readonly groupOf?: ((record: SequenceRecord) => string) | undefined;
};

/** Files that hold one text each, and their maximum bytes; longer ones are books. */
const files = { noun: 'texts', endings: ['.txt', '.md'] } as const;
const MOST_BYTES = 4 * 2 ** 20;

/**
 * Reads texts. A path is a table (CSV, TSV, JSON, JSONL) with a column of texts; a list with one text per line; a
 * folder of such files, one per split; or a folder of text files per class. A caller's texts are checked; a result of
 * this function is returned as it is. A held-out fraction keeps texts together that differ in case and blanks alone.
 * @param wanted the target that every record needs
 * @param groupOf the group of records without one; splits never divide a group
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` with file, row, column and remedy
 */
export function readTextData(
  source: TextSource,
  options: TextDataOptions = {},
  wanted?: TargetKind,
  groupOf?: (record: SequenceRecord) => string,
): Promise<SequenceData> {
  return readData<SequenceRecord, SequenceData, TextSource, Options>(texts, source, { ...options, wanted, groupOf });
}

const texts: DataReader<SequenceRecord, SequenceData, TextSource, Options> = {
  noun: 'texts',
  remedy: 'choose what is not divided (columns.group)',
  read: readSource,
  holdOut: ({ train }, fraction, { seed = 0, wanted, groupOf }) => {
    const hasGroups = groupOf !== undefined || train.some(({ group }) => group !== undefined);
    const split = splitRecords(train, fraction, seed, (record) => {
      const { labels, group = groupOf?.(record) } = record;
      // A regression target is no class to stratify by.
      const classes = wanted === 'values' ? {} : labels?.length === 1 ? { label: labels[0] } : { labels };
      return { key: plain(record), group, ...classes };
    });
    const whole = hasGroups ? 'groups stay whole' : 'equal texts stay together';
    return { ...split, whole, facts: { splitBy: whole } };
  },
  besides: heldOutElsewhere,
  shared: (parts) => Promise.resolve(sharedWarnings(parts, plain, 'texts')),
};

/** The text without differences of case and blanks. */
function plain({ sequence, second = '' }: SequenceRecord): string {
  return `${sequence}\n${second}`.toLowerCase().replaceAll(/[^\S\n]+/g, ' ');
}

interface TextPart {
  readonly records: readonly SequenceRecord[];
  readonly valueNames?: readonly string[] | undefined;
  readonly splitBy?: string | undefined;
  readonly warnings: readonly string[];
}

async function readSource(source: TextSource, options: Options): Promise<SequenceData> {
  if (typeof source === 'object' && 'train' in source) return source;
  const part = typeof source === 'string' ? await readPath(source, options) : await given(source);
  requireRecords(part.records, source, 'texts');
  requireWanted(part.records, options.wanted);
  const split = recordsBySplit(part.records);
  const isDivided = (split.validation ?? split.test) !== undefined;
  return {
    ...split,
    ...withoutUndefined({ valueNames: part.valueNames, splitBy: isDivided ? part.splitBy : undefined }),
    warnings: part.warnings,
  };
}

async function readPath(source: string, options: Options): Promise<TextPart> {
  if (!(await isFolder(source))) return readTextFile(source, options);
  const parts: TextPart[] = [];
  const manifest = async (file: string): Promise<readonly SequenceRecord[]> => {
    const part = await readTextFile(file, options);
    parts.push(part);
    return part.records;
  };
  const records = await readFolders<SequenceRecord>(source, {
    ...files,
    manifest,
    own: [(root, entries) => readSplits(splitManifests(entries), (name) => manifest(path.join(root, name)))],
    plain: (root, entries) => textsIn(root, entries),
    isPlain: (entries) => entries.folders.length === 0,
    classes: async (root, entries) => {
      const advice = 'Give a table with the columns text and label, or a folder of text files for each class.';
      const folders = await classFolders(root, entries, files, advice);
      return (await Promise.all(folders.map(({ label, folder, entries: own }) => textsIn(folder, own, label)))).flat();
    },
  });
  const [first] = parts;
  return {
    records,
    valueNames: first?.valueNames,
    splitBy: first?.splitBy ?? 'as files and folders are named',
    warnings: parts.flatMap(({ warnings }) => warnings),
  };
}

async function textsIn(folder: string, entries: FolderEntries, label?: string): Promise<SequenceRecord[]> {
  const names = entries.files.filter((name) => isExample(files, name));
  return Promise.all(
    names.map(async (name) => {
      const where = path.join(folder, name);
      const sequence = (await readText(where, MOST_BYTES, 'Cut it into parts.')).trim();
      return { id: name, sequence, where, ...(label === undefined ? {} : { labels: [label] }) };
    }),
  );
}

async function readTextFile(file: string, { columns: names, wanted, fold: asked, unused }: Options): Promise<TextPart> {
  if (/\.(?:json|parquet)$/i.test(file)) return ofTable(await readAnyTable(file));
  const { name, bytes, head } = await openBytes(file);
  const format = formatOf(name, head);
  if (format !== 'lines') return ofTable(await wholeTable(name, await openTable(name, bytes, format)));
  const records: SequenceRecord[] = [];
  for await (const line of linesOf(name, bytes)) records.push(recordOfLine(name, line));
  return { records, warnings: [] };

  function ofTable(table: Table): TextPart {
    const columns = findColumns(table, names, wanted);
    unused?.add(columns.unused, textTasksOf(columns.unused));
    const fold = foldOf(table, columns.split, asked);
    const all = table.rows.map((row, i) => recordOf(row, columns, i + 1, wanted, fold));
    // Rows without a split are left out of a table that has splits.
    const records = columns.split === undefined ? all : all.filter(({ split }) => split !== undefined);
    return {
      records,
      valueNames: columns.values,
      splitBy: columns.split === undefined ? undefined : `as the column "${columns.split}" says`,
      warnings: splitWarnings(table, columns, fold, all.length - records.length),
    };
  }
}

async function given(source: AsyncIterable<GivenText> | readonly GivenText[]): Promise<TextPart> {
  const records = await givenRecords(source, (record, number): SequenceRecord => {
    const { text, label, labels, id = String(number), ...more } = record;
    const where = record.where ?? (record.id === undefined ? `record ${number}` : `record ${number} (${id})`);
    const own = label === undefined ? labels : [label];
    if (typeof text === 'string') return { ...more, ...(own && { labels: own }), sequence: text, id, where };
    throw new OnnxLoraError('DATA_INVALID', `${where}: it has no "text". A record names one: { text: 'It does not start.', label: 'defect' }.`); // prettier-ignore
  });
  const count = records[0]?.values?.length ?? 0;
  const valueNames = count === 1 ? ['value'] : Array.from({ length: count }, (_, i) => `value ${i + 1}`);
  return { records, ...(count > 0 ? { valueNames } : {}), warnings: [] };
}

function requireWanted(records: readonly SequenceRecord[], wanted: TargetKind | undefined): void {
  if (wanted === undefined) return;
  const lacking = records.find(({ labels, values }) =>
    wanted === 'label' ? labels?.length !== 1 : wanted === 'labels' ? !labels : !values,
  );
  if (lacking) throw new OnnxLoraError('DATA_INVALID', `${lacking.where}: ${remedies[wanted]}`);
}

const remedies: Readonly<Record<TargetKind, string>> = {
  label:
    'it has no class to learn, or several. Give a table with the columns "text" and "label", or a folder of text files for each class.',
  labels: 'it has no labels to learn. Give a table with the columns "text" and "labels".',
  values: 'it has no number to learn. Give a table with the columns "text" and "value".',
};
