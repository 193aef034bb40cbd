/** @file The folder of a run's checkpoints: `step-100`, `step-200` …, the latest few of them. */

import { rmdirSync } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError } from '../../../errors.ts';
import { FileLock, type Holder } from '../../../files/fileLock.ts';
import { writeFolderAtomic } from '../../../files/replacement.ts';
import { makeFolder, writeFailed } from '../../../files/atomicWriter.ts';
import { type Checkpoint, formatCheckpoint, readCheckpoint } from './checkpoint.ts';

const STEP = /^step-(\d+)$/;
/** What a process that was killed while it wrote, or removed, a checkpoint leaves. */
const LEFTOVER = /^[.]step-\d+[.].*[.](tmp|old)$/;

/** Writes checkpoints, each whole or not at all, and removes the oldest. */
export class CheckpointFolder {
  readonly path: string;
  readonly #keep: number;
  readonly #write: typeof writeFolderAtomic;
  #lock: FileLock | undefined;

  /**
   * @param keep how many checkpoints stay
   * @param write what puts files into a folder at once
   */
  constructor(folder: string, keep: number, write: typeof writeFolderAtomic = writeFolderAtomic) {
    this.path = folder;
    this.#keep = keep;
    this.#write = write;
  }

  /**
   * Takes the folder for this run, until {@link CheckpointFolder.release}.
   *
   * @throws OnnxLoraError `FILE_INVALID` where another run writes there, or nothing can be written
   */
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

  /** Gives the folder back; one that is still empty goes. */
  release(): void {
    this.#lock?.release();
    try {
      if (this.#lock) rmdirSync(this.path);
    } catch {
      // There are checkpoints in it.
    }
    this.#lock = undefined;
  }

  /**
   * Removes what a killed process has left half written.
   *
   * @param after remove checkpoints of later steps too: they are damaged, or will be made again, and would count among
   *   those that are kept
   */
  async clean(after: number): Promise<void> {
    const later = (await stepsIn(this.path)).filter((step) => step > after);
    for (const step of later) await this.#remove(path.join(this.path, `step-${step}`));
    const names = (await readdir(this.path).catch(() => [])).filter((name) => LEFTOVER.test(name));
    for (const name of names) await rm(path.join(this.path, name), { recursive: true, force: true });
  }

  /**
   * Writes a checkpoint, then removes those that are too old. The state is copied before this returns for the first time.
   *
   * @throws OnnxLoraError `FILE_INVALID` when it cannot be written; earlier checkpoints are as they were
   */
  async save(checkpoint: Checkpoint): Promise<string> {
    const folder = path.join(this.path, `step-${checkpoint.step}`);
    const files = await formatCheckpoint(checkpoint);
    // One of the same step is there when a run was resumed from an older one.
    await this.#remove(folder);
    await this.#write(folder, files);
    const steps = await stepsIn(this.path);
    for (const step of steps.slice(this.#keep)) await this.#remove(path.join(this.path, `step-${step}`));
    return folder;
  }

  /** Removes a checkpoint so that at no moment half of it is there under its name. */
  async #remove(folder: string): Promise<void> {
    const aside = path.join(this.path, `.${path.basename(folder)}.${process.pid}.old`);
    try {
      await rename(folder, aside);
    } catch {
      return;
    }
    await rm(aside, { recursive: true, force: true });
  }
}

/** A checkpoint that was found, and those newer that were passed over because they are damaged. */
export interface FoundCheckpoint extends Awaited<ReturnType<typeof readCheckpoint>> {
  readonly folder: string;
  readonly passedOver: readonly string[];
}

/**
 * The latest complete checkpoint.
 *
 * @param place a checkpoint, a folder of checkpoints, or the folder of a run that holds `checkpoints`
 * @returns undefined where there is none at all
 * @throws OnnxLoraError `FILE_INVALID` when there are some, but none is complete
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
  if (await isThere(path.join(place, 'state.json'))) return [place];
  for (const folder of [place, path.join(place, 'checkpoints')]) {
    const steps = await stepsIn(folder);
    if (steps.length > 0) return steps.map((step) => path.join(folder, `step-${step}`));
  }
  return [];
}

/** Numbers of the checkpoints in a folder, the latest first. */
export async function stepsIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .flatMap((name) => STEP.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
}

async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
