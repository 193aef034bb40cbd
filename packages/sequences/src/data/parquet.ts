/** @file Reads Parquet row by row, one row group at a time. */

import { type FileHandle, latin1, open } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { readTable, type Row, type Table } from '@onnx-lora/sdk/data';
import { notFound } from '@onnx-lora/sdk/plugin';
import { brotliDecompressSync, gunzipSync } from './decompress.ts';
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet';

/** Extension of Parquet files. */
export const PARQUET = '.parquet';

/** Most decompressed bytes of the metadata, of a page and of a row group; far above real files. */
const [MOST_METADATA, MOST_PAGE, MOST_GROUP] = [2 ** 26, 2 ** 28, 2 ** 31];
/** Most rows of a group, and values of a column. */
const MOST_ROWS = 50_000_000;
/** Most nesting of columns. */
const MOST_DEPTH = 64;
const MAGIC = 'PAR1';
/** Bytes of the footer: length and magic. */
const TAIL = 8;

/** An open Parquet file. */
export interface ParquetFile {
  /** Top-level columns. */
  readonly columns: readonly string[];
  /** Iterate once, or call `return`; one row group is in memory at a time. */
  readonly rows: AsyncGenerator<Row, void, undefined>;
  /** Approximate bytes of the file read so far. */
  readonly read: () => number;
  /** Size of the file in bytes. */
  readonly total: number;
}

/**
 * Opens a Parquet file: uncompressed or with snappy, zstd, gzip, brotli or lz4. Integers become numbers if a number
 * holds them exactly, otherwise text; times become text; lists and structs become JSON's.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for a file that is damaged, too large or not supported Parquet
 */
export async function openParquet(path: string): Promise<ParquetFile> {
  let handle: FileHandle;
  try {
    handle = await open(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw notFound('file', path, { remedy: 'Check the path of the data.', cause });
    throw refused(path, `cannot be opened: ${(cause as Error).message}. Check that it is a file you may read`, cause);
  }
  try {
    const { size } = await handle.stat();
    let read = 0;
    const slice = async (start: number, end: number): Promise<ArrayBuffer> => {
      if (!(start >= 0 && start <= end && end <= size)) throw new Error(`bytes ${start} to ${end} are not in the file`);
      const bytes = new Uint8Array(end - start);
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
      read = Math.max(read, end);
      return bytes.buffer.slice(0, bytesRead);
    };
    const file: AsyncBuffer = {
      byteLength: size,
      slice: (start, end = size) => {
        const bytes = slice(start, end);
        // The parser requests more than it awaits.
        bytes.catch(() => undefined);
        return bytes;
      },
    };
    const metadata = await metadataOf(path, file);
    read = 0;
    const columns = [...new Set(leavesOf(metadata).map(([name]) => name!))];
    return { columns, rows: rowsOf(path, handle, file, metadata), read: () => read, total: size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Reads a table, which may be a Parquet file.
 * @throws OnnxLoraError like {@link openParquet} and `readTable`
 */
export async function readAnyTable(file: string): Promise<Table> {
  if (!file.toLowerCase().endsWith(PARQUET)) return readTable(file);
  const { columns, rows } = await openParquet(file);
  const all: Row[] = [];
  for await (const row of rows) all.push(row);
  if (all.length > 0) return { file, columns, rows: all };
  throw refused(file, 'has no rows. Give each example its own row');
}

async function metadataOf(path: string, file: AsyncBuffer): Promise<FileMetaData> {
  const tail =
    file.byteLength < TAIL + MAGIC.length ? undefined : new Uint8Array(await file.slice(file.byteLength - TAIL));
  if (!tail || latin1(tail.subarray(4)) !== MAGIC)
    throw refused(path, 'is no Parquet file, or was cut off. Copy it again, or give it the ending of what it is');
  const length = new DataView(tail.buffer).getUint32(0, true);
  if (length > MOST_METADATA || length > file.byteLength - TAIL)
    throw refused(path, `claims ${length} bytes about its columns. It is damaged: copy it again`);
  const { parquetMetadataAsync } = await import('hyparquet');
  return parsed(path, async () => {
    const metadata = await parquetMetadataAsync(file, { geoparquet: false, initialFetchSize: length + TAIL });
    requireColumns(metadata);
    return metadata;
  });
}

/** Paths of the leaf columns in schema order, a depth-first tree. Throws for an incomplete tree. */
function leavesOf({ schema: [root, ...elements] }: FileMetaData): string[][] {
  const leaves: string[][] = [];
  const open = [{ name: '', left: root?.num_children ?? 0 }];
  for (const { name, num_children: children = 0 } of elements) {
    if (open.length > MOST_DEPTH) throw new Error('its columns are nested too deeply');
    if (open.length === 0) throw new Error('its columns do not fit into one another');
    open.at(-1)!.left--;
    if (children > 0) open.push({ name, left: children });
    else leaves.push([...open.slice(1).map((group) => group.name), name]);
    while (open.at(-1)?.left === 0) open.pop();
  }
  return leaves;
}

/**
 * Rejects row groups with other columns: the parser starts reading them but never awaits them or their errors.
 * @see https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift: `RowGroup.columns`
 */
function requireColumns(metadata: FileMetaData): void {
  const keyOf = (path: readonly string[] = []): string => JSON.stringify(path);
  const leaves = leavesOf(metadata).map(keyOf);
  if (new Set(leaves).size < leaves.length) throw new Error('two of its columns have one name');
  for (const { columns } of metadata.row_groups) {
    const isWhole = columns.length === leaves.length && columns.every(({ meta_data: column }, i) => keyOf(column?.path_in_schema) === leaves[i]); // prettier-ignore
    if (!isWhole) throw new Error('a row group has other columns than the file');
  }
}

async function* rowsOf(
  path: string,
  handle: FileHandle,
  file: AsyncBuffer,
  metadata: FileMetaData,
): AsyncGenerator<Row, void, undefined> {
  try {
    const { parquetReadObjects } = await import('hyparquet');
    const compressors = await decompressors(metadata);
    let rowStart = 0;
    for (const { num_rows: count, total_byte_size: bytes, columns } of metadata.row_groups) {
      const values = columns.map(({ meta_data: column }) => Number(column?.num_values ?? 0));
      if (Number(count) > MOST_ROWS || Number(bytes) > MOST_GROUP || values.some((each) => each > MOST_ROWS))
        throw refused(path, `has a row group of ${count} rows and ${bytes} bytes, more than can be read at once. Write it in smaller ones (pandas: to_parquet(…, row_group_size=100000))`); // prettier-ignore
      const rowEnd = rowStart + Number(count);
      const rows = await parsed(path, () =>
        parquetReadObjects({ file, metadata, rowStart, rowEnd, compressors, geoparquet: false }),
      );
      for (const [i, row] of rows.entries()) {
        const cells = new Map(Object.entries(row).map(([name, value]) => [name, plain(value)]));
        yield { place: `${path}, row ${rowStart + i + 1}`, cells };
      }
      rowStart = rowEnd;
    }
  } finally {
    await handle.close();
  }
}

/** Decompressors with a page limit; rare codecs are loaded on demand. */
async function decompressors({ row_groups: groups }: FileMetaData): Promise<Compressors> {
  const { snappyUncompress } = await import('hyparquet');
  const usual: Compressors = {
    SNAPPY: (input, size) => {
      const page = new Uint8Array(bounded(size));
      snappyUncompress(input, page);
      return page;
    },
    GZIP: (input, size) => gunzipSync(input, Math.max(1, bounded(size))),
    BROTLI: (input, size) => brotliDecompressSync(input, Math.max(1, bounded(size))),
  };
  const codecs = groups.flatMap(({ columns }) => columns.map((column) => column.meta_data?.codec));
  if (codecs.every((codec) => codec === undefined || codec === 'UNCOMPRESSED' || codec in usual)) return usual;
  const { decompressZstd, decompressLz4, decompressLz4Raw } = await import('hyparquet-compressors');
  return {
    ...usual,
    ZSTD: (input, size) => decompressZstd(input, new Uint8Array(bounded(size))),
    LZ4: (input, size) => decompressLz4(input, bounded(size)),
    LZ4_RAW: (input, size) => decompressLz4Raw(input, bounded(size)),
  };
}

function bounded(size: number): number {
  if (size >= 0 && size <= MOST_PAGE) return size;
  throw new Error(`a page claims ${size} bytes`);
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

/** Adds the file to the parser's errors. */
async function parsed<T>(path: string, parse: () => Promise<T>): Promise<T> {
  try {
    return await parse();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const codec = /unsupported compression codec: (\w+)/.exec(message)?.[1];
    if (codec !== undefined)
      throw refused(path, `has the unsupported compression ${codec}. Write it with snappy (pandas: to_parquet(…, compression="snappy")), or as JSONL`, cause); // prettier-ignore
    throw refused(path, `cannot be read: ${message}. It may be damaged: copy it again, or write it as JSONL`, cause);
  }
}

function refused(path: string, what: string, cause?: unknown): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `"${path}" ${what}.`, cause === undefined ? {} : { cause });
}
