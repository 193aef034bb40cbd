/** @file What the store writes beside adapters: of each version what it is, and for all of them which one a name stands for. */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import { z } from 'zod';
import { isAdapterName } from './catalog.ts';

/** The file of a version that says what it is; a folder without it is none. */
const MANIFEST_FILE = 'manifest.json';
/** The files of an adapter, in the order in which its digest counts them. */
export const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors'] as const;
/** What is of the store itself has a name that no adapter can have. */
const STATE_FILE = '~state.json';

const name = z.string().refine(isAdapterName, 'no name of an adapter');

/** What a version is. */
export interface Manifest {
  readonly format: 1;
  /** sha256 of the files, one behind the other. */
  readonly digest: string;
  /** Bytes of each of the files. */
  readonly sizes: Readonly<Record<(typeof ADAPTER_FILES)[number], number>>;
  /** Greater for what came later. */
  readonly sequence: number;
  /** When it came, as ISO 8601 has it. */
  readonly uploaded: string;
  /** sha256 of the base's weights, where the adapter knows it. */
  readonly base?: string | undefined;
}

const manifestSchema: z.ZodType<Manifest> = z.object({
  format: z.literal(1),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  sizes: z.object({ 'adapter_config.json': z.int(), 'adapter_model.safetensors': z.int() }),
  sequence: z.int(),
  uploaded: z.string(),
  base: z.string().optional(),
});

/** A part of the requests for a name. */
export interface Share {
  /** The adapter that gets it; by default the one of the name itself. */
  readonly name?: string | undefined;
  /** A version of it; by default the one that it stands for. */
  readonly version?: string | undefined;
  /** How many requests, compared to the other parts; above 0. */
  readonly weight: number;
}

/** What a split may be. */
export const splitSchema: z.ZodType<readonly Share[]> = z
  .array(z.object({ name: name.optional(), version: name.optional(), weight: z.number().positive() }))
  .min(1)
  .max(100);

const stateSchema = z.object({
  format: z.literal(1),
  /** By name, the version that it stands for. */
  current: z.record(name, name),
  splits: z.record(name, splitSchema),
  /** Keys. */
  pinned: z.array(z.string()),
});

/** What names stand for. */
export interface State {
  readonly current: Readonly<Record<string, string>>;
  readonly splits: Readonly<Record<string, readonly Share[]>>;
  readonly pinned: readonly string[];
}

/**
 * What a version's folder says; undefined where it is none.
 *
 * @throws OnnxLoraError `FILE_INVALID` for a manifest that the store has not written
 */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  return read(path.join(folder, MANIFEST_FILE), manifestSchema);
}

/** Writes what a version is. */
export async function writeManifest(folder: string, manifest: Omit<Manifest, 'format'>): Promise<void> {
  await writeFileAtomic(path.join(folder, MANIFEST_FILE), `${JSON.stringify({ format: 1, ...manifest }, null, 1)}\n`);
}

/**
 * What names stand for.
 *
 * @throws OnnxLoraError `FILE_INVALID` for a file that the store has not written
 */
export async function readState(root: string): Promise<State> {
  return (await read(path.join(root, STATE_FILE), stateSchema)) ?? { current: {}, splits: {}, pinned: [] };
}

/** Writes what names stand for. */
export async function writeState(root: string, state: State): Promise<void> {
  await writeFileAtomic(path.join(root, STATE_FILE), `${JSON.stringify({ format: 1, ...state }, null, 1)}\n`);
}

async function read<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is not as a store of adapters writes it: ${why}. Put a copy of it back, or remove what it belongs to.`,
      { cause },
    );
  }
}

/**
 * The part that a request falls to. With a key it is always the same while the weights are; where the last part of two grows,
 * those who have it keep it.
 *
 * @param random a number from 0 to 1, for requests without a key
 */
export function chosenShare(shares: readonly Share[], sticky: string | undefined, random: () => number): Share {
  const whole = shares.reduce((sum, { weight }) => sum + weight, 0);
  let left = (sticky === undefined ? random() : hashed(sticky)) * whole;
  return shares.find(({ weight }) => (left -= weight) < 0) ?? shares.at(-1)!;
}

/** A number from 0 to 1, evenly spread over keys. */
function hashed(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, 6) / 2 ** 48;
}
