/** @file A checkpoint: a folder with all that a run needs to go on as if it had never been interrupted. */

import { webcrypto } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { type Adapter, adapterFiles } from '../../../adapter/adapter.ts';
import { parseForeignJson } from '../../../adapter/formats/foreignJson.ts';
import { formatSafetensors, parseSafetensors } from '../../../adapter/formats/safetensors.ts';
import { OnnxLoraError } from '../../../errors.ts';
import type { Tensor } from '../../../runtime/tensor.ts';

/** What tells a run from another: settings, data, base. A run goes on only from a checkpoint with the same. */
export type RunIdentity = Readonly<Record<string, string | number | boolean>>;

/** The content of a checkpoint. */
export interface Checkpoint {
  /** Steps made. */
  readonly step: number;
  readonly identity: RunIdentity;
  /** The adapter as it would be saved now; the folder is a PEFT folder too. */
  readonly adapter: Adapter;
  /** Tensors of the trainer's state: parameters, moments, averages. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** All else that the run knows, as JSON. */
  readonly state: unknown;
  /** The best adapter so far, where that is not the one above. */
  readonly best?: Adapter | undefined;
  /** Programs that wrote it. */
  readonly versions: Readonly<Record<string, string>>;
}

const STATE_FILE = 'state.json';
const TENSORS_FILE = 'training_state.safetensors';
const BEST_FILE = 'best_adapter.safetensors';
const FORMAT = 'onnx-lora checkpoint';
/** The first had no digest of this file itself. */
const VERSION = 2;
/** Larger than any state.json. */
const MAX_STATE_BYTES = 64 << 20;

/**
 * The files of a checkpoint by name. Everything is copied before this returns for the first time, so that the run may go
 * on while they are written.
 */
export async function formatCheckpoint(checkpoint: Checkpoint): Promise<Record<string, Uint8Array | string>> {
  const { step, identity, adapter, tensors, state, best, versions } = checkpoint;
  const files: Record<string, Uint8Array | string> = {
    ...adapterFiles(adapter),
    [TENSORS_FILE]: formatSafetensors(tensors),
    ...(best ? { [BEST_FILE]: formatSafetensors(best.tensors) } : {}),
  };
  const copied = JSON.parse(JSON.stringify(state)) as unknown;
  const digests: Record<string, string> = {};
  for (const [name, data] of Object.entries(files)) digests[name] = await sha256(data);
  const described = { format: FORMAT, version: VERSION, step, identity, versions, files: digests, state: copied };
  const digest = await sha256(JSON.stringify(described));
  return { ...files, [STATE_FILE]: `${JSON.stringify({ ...described, digest }, null, 1)}\n` };
}

const stateSchema = z.object({
  format: z.literal(FORMAT),
  version: z.number(),
  step: z.int().min(0),
  identity: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  versions: z.record(z.string(), z.string()),
  files: z.record(z.string(), z.string()),
  state: z.unknown(),
  digest: z.string().optional(),
});

/**
 * Reads a checkpoint and checks each of its files against the digests that were written with it.
 *
 * @param adapter gives the adapter of these tensors; the config is the run's
 * @throws OnnxLoraError `FILE_NOT_FOUND`, or `FILE_INVALID` for one that is incomplete or damaged
 */
export async function readCheckpoint(folder: string): Promise<
  Omit<Checkpoint, 'adapter' | 'best'> & {
    readonly bestTensors: ReadonlyMap<string, Tensor> | undefined;
  }
> {
  const { files, ...described } = await readState(path.join(folder, STATE_FILE));
  const contents = new Map<string, Uint8Array>();
  for (const [name, digest] of Object.entries(files)) {
    // Digests were written by us, but the file may be anybody's: no path leaves the folder.
    if (name !== path.basename(name)) throw damaged(folder, `it lists "${name}", which is no plain file name`);
    const bytes = await readFile(path.join(folder, name)).catch((cause: Error) => {
      throw damaged(folder, `"${name}" cannot be read (${cause.message})`, cause);
    });
    if ((await sha256(bytes)) !== digest) throw damaged(folder, `"${name}" is not as it was written`);
    if (name === TENSORS_FILE || name === BEST_FILE) contents.set(name, bytes);
  }
  const tensorsOf = (name: string): ReadonlyMap<string, Tensor> | undefined => {
    const bytes = contents.get(name);
    return bytes && parseSafetensors(bytes, path.join(folder, name)).tensors;
  };
  const tensors = tensorsOf(TENSORS_FILE);
  if (!tensors) throw damaged(folder, `it has no ${TENSORS_FILE}`);
  return { ...described, tensors, bestTensors: tensorsOf(BEST_FILE) };
}

async function readState(file: string): Promise<Omit<z.infer<typeof stateSchema>, 'version' | 'digest'>> {
  const folder = path.dirname(file);
  let text: string;
  try {
    if ((await stat(file)).size > MAX_STATE_BYTES) throw new Error('it is too large');
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw damaged(folder, `"${STATE_FILE}" cannot be read (${(cause as Error).message})`, cause);
  }
  let written: string;
  let described: z.infer<typeof stateSchema>;
  try {
    const json = parseForeignJson(text);
    described = stateSchema.parse(json);
    written = JSON.stringify({ ...(json as object), digest: undefined });
  } catch (cause) {
    throw damaged(folder, `"${STATE_FILE}" is not what a training run writes`, cause);
  }
  const { version, digest, ...state } = described;
  if (version > VERSION)
    throw damaged(folder, `it has version ${version} of the format, and this onnx-lora reads up to version ${VERSION}`);
  if (version > 1 && (await sha256(written)) !== digest)
    throw damaged(folder, `"${STATE_FILE}" is not as it was written`);
  return state;
}

function damaged(folder: string, reason: string, cause?: unknown): OnnxLoraError {
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${folder}" is no complete checkpoint: ${reason}. Resume from an earlier one.`,
    { cause },
  );
}

/** In another thread: hashing megabytes would hold this one up. */
async function sha256(data: Uint8Array | string): Promise<string> {
  const digest = await webcrypto.subtle.digest('SHA-256', typeof data === 'string' ? Buffer.from(data) : data);
  return Buffer.from(digest).toString('hex');
}
