/** @file The files of a checkpoint, from which a run resumes as if never interrupted. */

import { toHex, utf8 } from '../../../platform/bytes.ts';
import { readFile, stat } from '../../../platform/files.ts';
import * as path from '../../../platform/path.ts';
import { z } from 'zod';
import { type Adapter, adapterFiles } from '../../../adapter/adapter.ts';
import { parseForeignJson } from '../../../adapter/formats/foreignJson.ts';
import { formatSafetensors, parseSafetensors } from '../../../adapter/formats/safetensors.ts';
import { OnnxLoraError } from '../../../errors.ts';
import type { Tensor } from '../../../runtime/tensor.ts';

/** Settings, data and base that identify a run. Only a run with the same identity resumes a checkpoint. */
export type RunIdentity = Readonly<Record<string, string | number | boolean>>;

/** The content of a checkpoint. */
export interface Checkpoint {
  readonly step: number;
  readonly identity: RunIdentity;
  /** The current adapter: the folder is also a PEFT folder. */
  readonly adapter: Adapter;
  /** The trainer's tensors: parameters, moments, averages. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly state: unknown;
  readonly best?: Adapter | undefined;
  readonly versions: Readonly<Record<string, string>>;
}

const STATE_FILE = 'state.json';
const TENSORS_FILE = 'training_state.safetensors';
const BEST_FILE = 'best_adapter.safetensors';
const FORMAT = 'onnx-lora checkpoint';
/** Version 1 had no digest of this file itself. */
const VERSION = 2;
const MAX_STATE_BYTES = 64 << 20;

/** The files of a checkpoint by name. Copies everything before its first await, so that the run may continue. */
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
 * Reads a checkpoint and verifies the digests of its files. The caller knows the adapter's config.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `FILE_INVALID` for an incomplete or damaged one
 */
export async function readCheckpoint(folder: string): Promise<
  Omit<Checkpoint, 'adapter' | 'best'> & {
    readonly bestTensors: ReadonlyMap<string, Tensor> | undefined;
  }
> {
  const { files, ...described } = await readState(path.join(folder, STATE_FILE));
  const contents = new Map<string, Uint8Array>();
  for (const [name, digest] of Object.entries(files)) {
    // Untrusted, despite the digests: no path may leave the folder.
    if (name !== path.basename(name)) throw damaged(folder, `it lists "${name}", a path in place of a file name`);
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

/** Hashes on another thread, not to block this one. */
async function sha256(data: Uint8Array | string): Promise<string> {
  const bytes = (typeof data === 'string' ? utf8(data) : data) as Uint8Array<ArrayBuffer>;
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}
