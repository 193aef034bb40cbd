/** @file Records which examples a run was trained on, so that evaluations can exclude them. */

import { open, readFile } from '../platform/files.ts';
import { sha256 } from '../platform/hash.ts';
import { OnnxLoraError } from '../errors.ts';
import type { Dataset } from '../plugin/dataset.ts';

/** Bytes of a key: among a million examples, one in 300 million others collides. */
const KEY_BYTES = 6;
/** Files up to this size are hashed whole. */
const WHOLE = 1 << 16;
/** Bytes hashed at the start, in the middle and at the end of larger files. */
const PIECE = 1 << 14;
const AT_ONCE = 32;

/** Key of content, or of a file's: a hash of its size and bytes, or of the start, middle and end of a large file. */
export async function contentKey(content: string | Uint8Array): Promise<string> {
  const hash = sha256();
  if (typeof content !== 'string') return hash.update(String(content.length)).update(content).digest('hex');
  const file = await open(content);
  try {
    const { size } = await file.stat();
    hash.update(String(size));
    const places = size <= WHOLE ? [[0, size]] : [0, (size - PIECE) >> 1, size - PIECE].map((at) => [at, PIECE]);
    for (const [at, length] of places as [number, number][]) {
      const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}

/** A set of examples, stored as short keys. */
export class ExampleSet {
  readonly #keys: ReadonlySet<string>;

  private constructor(keys: ReadonlySet<string>) {
    this.#keys = keys;
  }

  /** The examples of a dataset, except those that cannot be read; undefined for a dataset without `keyOf`. */
  static async of(dataset: Dataset<unknown>): Promise<ExampleSet | undefined> {
    const keys = await keysOf(dataset);
    return keys && new ExampleSet(new Set(keys.flat()));
  }

  /** Reads {@link ExampleSet.text}; undefined if there is no file. @throws OnnxLoraError `FILE_INVALID` */
  static async read(file: string): Promise<ExampleSet | undefined> {
    const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined;
      throw damaged(file, cause);
    });
    if (text === undefined) return undefined;
    const keys = text.trim().split('\n');
    if (!keys.every((key) => key.length === 2 * KEY_BYTES && /^[\da-f]+$/.test(key))) throw damaged(file);
    return new ExampleSet(new Set(keys));
  }

  /** Number of keys. */
  get size(): number {
    return this.#keys.size;
  }

  /** The keys in sorted order, one per line. */
  get text(): string {
    return `${[...this.#keys].sort().join('\n')}\n`;
  }

  /** Indices of the dataset's examples that are wholly or partly in this set; undefined for one without `keyOf`. */
  async among(dataset: Dataset<unknown>): Promise<ReadonlySet<number> | undefined> {
    const keys = await keysOf(dataset);
    return keys && new Set([...keys.keys()].filter((i) => keys[i]!.some((key) => this.#keys.has(key))));
  }
}

/** Keys of each example, one or several; none for an example that cannot be read. */
async function keysOf(dataset: Dataset<unknown>): Promise<(readonly string[])[] | undefined> {
  if (!dataset.keyOf) return undefined;
  const keys: (readonly string[])[] = [];
  for (let from = 0; from < dataset.length; from += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, dataset.length - from) }, (_, i) => from + i);
    const found = await Promise.all(some.map((i) => dataset.keyOf!(i).catch(() => [])));
    for (const own of found)
      keys.push(
        [own].flat().map((key) =>
          sha256()
            .update(key)
            .digest('hex')
            .slice(0, 2 * KEY_BYTES),
        ),
      );
  }
  return keys;
}

function damaged(file: string, cause?: Error): OnnxLoraError {
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${file}" does not say what the run was trained on${cause ? `: ${cause.message}` : ''}. Remove it: then nothing is known of that.`,
    { cause },
  );
}
