/** @file The folder of a run's latest checkpoints: `step-100`, `step-200` … */

import { existsSync, readdir, rename, rm, rmdirSync } from '../../../platform/files.ts';
import * as path from '../../../platform/path.ts';
import { processId } from '../../../platform/system.ts';
import { OnnxLoraError } from '../../../errors.ts';
import { FileLock, type Holder } from '../../../files/fileLock.ts';
import { writeFolderAtomic } from '../../../files/replacement.ts';
import { makeFolder, writeFailed } from '../../../files/atomicWriter.ts';
import { type Checkpoint, formatCheckpoint, readCheckpoint } from './checkpoint.ts';

const STEP = /^step-(\d+)$/;
/** Left by a process that was killed while writing or removing a checkpoint. */
const LEFTOVER = /^[.]step-\d+[.].*[.](tmp|old)$/;

/** Writes checkpoints atomically and removes the oldest. */
export class CheckpointFolder {
  readonly path: string;
  readonly #keep: number;
  readonly #write: typeof writeFolderAtomic;
  #lock: FileLock | undefined;

  /**
   * @param keep number of checkpoints to keep
   * @param write writes a folder atomically
   */
  constructor(folder: string, keep: number, write: typeof writeFolderAtomic = writeFolderAtomic) {
    this.path = folder;
    this.#keep = keep;
    this.#write = write;
  }

  /** @throws OnnxLoraError `FILE_INVALID` if another run has locked the folder, or it is not writable */
  take(): void {
    let lock: FileLock | Holder;
    try {
      makeFolder(this.path);
      lock = FileLock.take(path.join(this.path, '.lock'));
    } catch (cause) {
      throw writeFailed(this.path, cause);
    }
    if (!(lock instanceof FileLock)) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `"${this.path}" gets the checkpoints of another run: of process ${lock.pid} on ${lock.host}, since ${lock.since}. Name another folder, or wait until that has ended.`,
      );
    }
    this.#lock = lock;
  }

  /** Unlocks the folder, and removes it if empty. */
  release(): void {
    this.#lock?.release();
    try {
      if (this.#lock) rmdirSync(this.path);
    } catch {
      // Not empty.
    }
    this.#lock = undefined;
  }

  /**
   * Removes leftovers of killed processes.
   * @param after also removes checkpoints of later steps: they are damaged or will be rewritten, and would count as
   *   kept
   */
  async clean(after: number): Promise<void> {
    const later = (await stepsIn(this.path)).filter((step) => step > after);
    for (const step of later) await this.#remove(path.join(this.path, `step-${step}`));
    const names = (await readdir(this.path).catch(() => [])).filter((name) => LEFTOVER.test(name));
    for (const name of names) await rm(path.join(this.path, name), { recursive: true, force: true });
  }

  /**
   * Writes a checkpoint, then removes the oldest. Copies the state before its first await.
   * @throws OnnxLoraError `FILE_INVALID` if it cannot be written; earlier checkpoints stay
   */
  async save(checkpoint: Checkpoint): Promise<string> {
    const folder = path.join(this.path, `step-${checkpoint.step}`);
    const files = await formatCheckpoint(checkpoint);
    // Exists if the run was resumed from an older checkpoint.
    await this.#remove(folder);
    await this.#write(folder, files);
    const steps = await stepsIn(this.path);
    for (const step of steps.slice(this.#keep)) await this.#remove(path.join(this.path, `step-${step}`));
    return folder;
  }

  /** Renames before removing, so that no partial checkpoint has a valid name. */
  async #remove(folder: string): Promise<void> {
    const aside = path.join(this.path, `.${path.basename(folder)}.${processId}.old`);
    try {
      await rename(folder, aside);
    } catch {
      return;
    }
    await rm(aside, { recursive: true, force: true });
  }
}

/** A checkpoint with the errors of newer, damaged ones that were skipped. */
export interface FoundCheckpoint extends Awaited<ReturnType<typeof readCheckpoint>> {
  readonly folder: string;
  readonly passedOver: readonly string[];
}

/**
 * The latest complete checkpoint; undefined without any checkpoint.
 * @param place a checkpoint, a folder of checkpoints, or the folder of a run that holds `checkpoints`
 * @throws OnnxLoraError `FILE_INVALID` if all are damaged
 */
export async function latestCheckpoint(place: string): Promise<FoundCheckpoint | undefined> {
  const candidates = await checkpointsAt(place);
  const failures: OnnxLoraError[] = [];
  for (const folder of candidates) {
    try {
      return { ...(await readCheckpoint(folder)), folder, passedOver: failures.map(({ message }) => message) };
    } catch (error) {
      if (!(error instanceof OnnxLoraError)) throw error;
      failures.push(error);
    }
  }
  if (failures[0]) throw failures[0];
  return undefined;
}

async function checkpointsAt(place: string): Promise<string[]> {
  if (existsSync(path.join(place, 'state.json'))) return [place];
  for (const folder of [place, path.join(place, 'checkpoints')]) {
    const steps = await stepsIn(folder);
    if (steps.length > 0) return steps.map((step) => path.join(folder, `step-${step}`));
  }
  return [];
}

/** Step numbers of a folder's checkpoints, latest first. */
export async function stepsIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .flatMap((name) => STEP.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
}
