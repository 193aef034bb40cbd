/** @file The store's own files: a manifest per version, and the state of names. */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import { z } from 'zod';
import { isAdapterName } from './catalog.ts';

/** The file that makes a folder a version. */
const MANIFEST_FILE = 'manifest.json';
/** An adapter's files, in the order of its digest. */
export const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors'] as const;
/** Names with `~` cannot be adapters. */
const STATE_FILE = '~state.json';

const name = z.string().refine(isAdapterName, 'no name of an adapter');

export interface Manifest {
  readonly format: 1;
  /** sha256 of the files concatenated. */
  readonly digest: string;
  readonly sizes: Readonly<Record<(typeof ADAPTER_FILES)[number], number>>;
  /** Increases with each upload. */
  readonly sequence: number;
  readonly uploaded: string;
  /** sha256 of the base's weights, if known. */
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

/** A share of a split name's requests. */
export interface Share {
  /** The adapter that gets it; the name itself by default. */
  readonly name?: string | undefined;
  /** Its version; the current one by default. */
  readonly version?: string | undefined;
  /** Weight relative to the other shares; above 0. */
  readonly weight: number;
}

export const splitSchema: z.ZodType<readonly Share[]> = z
  .array(z.object({ name: name.optional(), version: name.optional(), weight: z.number().positive() }))
  .min(1)
  .max(100);

const stateSchema = z.object({
  format: z.literal(1),
  /** Current version by name. */
  current: z.record(name, name),
  splits: z.record(name, splitSchema),
  pinned: z.array(z.string()),
});

export interface State {
  readonly current: Readonly<Record<string, string>>;
  readonly splits: Readonly<Record<string, readonly Share[]>>;
  readonly pinned: readonly string[];
}

/** Reads a version's manifest; undefined without one. @throws OnnxLoraError `FILE_INVALID` for an invalid file */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  return read(path.join(folder, MANIFEST_FILE), manifestSchema);
}

/** Writes a version's manifest. */
export async function writeManifest(folder: string, manifest: Omit<Manifest, 'format'>): Promise<void> {
  await writeFileAtomic(path.join(folder, MANIFEST_FILE), `${JSON.stringify({ format: 1, ...manifest }, null, 1)}\n`);
}

/** @throws OnnxLoraError `FILE_INVALID` for an invalid file */
export async function readState(root: string): Promise<State> {
  return (await read(path.join(root, STATE_FILE), stateSchema)) ?? { current: {}, splits: {}, pinned: [] };
}

/** Writes the state of names. */
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
 * Chooses a request's share. A key always gets the same one while weights stay; when the last of two shares grows,
 * those who have it keep it.
 * @param random from 0 to 1, for requests without a key
 */
export function chosenShare(shares: readonly Share[], sticky: string | undefined, random: () => number): Share {
  const whole = shares.reduce((sum, { weight }) => sum + weight, 0);
  let left = (sticky === undefined ? random() : hashed(sticky)) * whole;
  return shares.find(({ weight }) => (left -= weight) < 0) ?? shares.at(-1)!;
}

/** Maps a key uniformly to 0 to 1. */
function hashed(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, 6) / 2 ** 48;
}
