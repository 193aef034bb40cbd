/** @file Which examples a run was trained on, so that whoever measures its adapter later can tell them from others. */

import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { OnnxLoraError } from '../errors.ts';
import type { Dataset } from '../plugin/dataset.ts';

/** Bytes of a key: among a million examples one in 300 million others is taken for one of them. */
const KEY_BYTES = 6;
/** Files up to this size are read whole. */
const WHOLE = 1 << 16;
/** Bytes of the beginning, the middle and the end of larger ones. */
const PIECE = 1 << 14;
/** Files that are read at a time. */
const AT_ONCE = 32;

/**
 * Tells the content of a file from that of others, wherever it lies and whatever it is called: by its size, and all of its
 * bytes or, of a large one, those at its beginning, in its middle and at its end.
 */
export async function contentKey(content: string | Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  if (typeof content !== 'string') return hash.update(String(content.length)).update(content).digest('hex');
  const file = await open(content);
  try {
    const { size } = await file.stat();
    hash.update(String(size));
    const places = size <= WHOLE ? [[0, size]] : [0, (size - PIECE) >> 1, size - PIECE].map((at) => [at, PIECE]);
    for (const [at, length] of places as [number, number][]) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}

/** Examples by what they are, of which a few bytes each are kept. */
export class ExampleSet {
  readonly #keys: ReadonlySet<string>;

  private constructor(keys: ReadonlySet<string>) {
    this.#keys = keys;
  }

  /**
   * The examples of a dataset; undefined of one that does not say what its examples are. Those that cannot be read are not
   * among them.
   */
  static async of(dataset: Dataset<unknown>): Promise<ExampleSet | undefined> {
    const keys = await keysOf(dataset);
    return keys && new ExampleSet(new Set(keys.flat()));
  }

  /**
   * What {@link ExampleSet.text} has written into a file; undefined where there is none.
   *
   * @throws OnnxLoraError `FILE_INVALID` for a file that holds something else
   */
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

  /** How many there are. */
  get size(): number {
    return this.#keys.size;
  }

  /** A line for each, in no order that tells anything. */
  get text(): string {
    return `${[...this.#keys].sort().join('\n')}\n`;
  }

  /** Which examples of a dataset are among these, or have a part that is; undefined of one that does not say what its examples are. */
  async among(dataset: Dataset<unknown>): Promise<ReadonlySet<number> | undefined> {
    const keys = await keysOf(dataset);
    return keys && new Set([...keys.keys()].filter((i) => keys[i]!.some((key) => this.#keys.has(key))));
  }
}

/** The keys of each example: one, or those of its parts; none of one that cannot be read. */
async function keysOf(dataset: Dataset<unknown>): Promise<(readonly string[])[] | undefined> {
  if (!dataset.keyOf) return undefined;
  const keys: (readonly string[])[] = [];
  for (let from = 0; from < dataset.length; from += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, dataset.length - from) }, (_, i) => from + i);
    // What cannot be read is told by who needs it.
    const found = await Promise.all(some.map((i) => dataset.keyOf!(i).catch(() => [])));
    for (const own of found)
      keys.push(
        [own].flat().map((key) =>
          createHash('sha256')
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
