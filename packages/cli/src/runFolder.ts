/** @file The folder of a training run: config.yaml, metrics.jsonl, checkpoints, adapter and report.html. */

import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Adapter, OnnxLoraError, writeFileAtomic } from '@onnx-lora/sdk';
import { usageError } from './errors.ts';

/** What a run puts into its folder, and `--overwrite` therefore removes. */
const CONFIG = 'config.yaml';
const METRICS = 'metrics.jsonl';
const CHECKPOINTS = 'checkpoints';
const ADAPTER = 'adapter';
const REPORT = 'report.html';
/** How many checkpoints stay. */
const KEPT = 3;

/** Writes one run. Nothing is touched before {@link RunFolder.begin}. */
export class RunFolder {
  readonly path: string;
  #metrics: number | undefined;
  /** Saves go on beside the training, one after the other; `failure` is the first that went wrong. */
  #saving: Promise<void> = Promise.resolve();
  #failure: unknown;
  #lastCheckpoint: string | undefined;

  constructor(folder: string) {
    this.path = folder;
  }

  /** Where the trained adapter lies in the end. */
  get adapter(): string {
    return path.join(this.path, ADAPTER);
  }

  get report(): string {
    return path.join(this.path, REPORT);
  }

  get config(): string {
    return path.join(this.path, CONFIG);
  }

  /** The checkpoint saved last, if any, once those under way have been. */
  async lastCheckpoint(): Promise<string | undefined> {
    await this.#saving;
    return this.#lastCheckpoint;
  }

  /**
   * Refuses a folder that holds something.
   *
   * @throws OnnxLoraError `FILE_INVALID`
   */
  checkFree(overwrite: boolean): void {
    let names: string[];
    try {
      names = readdirSync(this.path);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      throw new OnnxLoraError(
        'FILE_INVALID',
        code === 'ENOTDIR'
          ? `"${this.path}" is a file, or would lie in one. Name a folder with --out.`
          : `"${this.path}" cannot be used: ${(cause as Error).message}. Name another folder with --out.`,
        { cause },
      );
    }
    if (names.length > 0 && !overwrite) {
      throw usageError(
        `The folder "${this.path}" is not empty. Name another with --out, or pass --overwrite to replace the run in it.`,
      );
    }
  }

  /**
   * Makes the folder, removes what an earlier run left, and writes the config. Does not wait for the disk, so that no
   * step of the training goes by meanwhile.
   *
   * @throws OnnxLoraError `FILE_INVALID`
   */
  begin(config: string): void {
    try {
      mkdirSync(this.path, { recursive: true });
      for (const name of [ADAPTER, CHECKPOINTS, METRICS, REPORT, CONFIG]) {
        rmSync(path.join(this.path, name), { recursive: true, force: true });
      }
      const file = openSync(this.config, 'wx');
      writeSync(file, config);
      closeSync(file);
      this.#metrics = openSync(path.join(this.path, METRICS), 'wx');
    } catch (cause) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `The run cannot be written to "${this.path}": ${(cause as Error).message}. Name another folder with --out.`,
        { cause },
      );
    }
  }

  /** Adds a line to metrics.jsonl. */
  log(entry: Readonly<Record<string, unknown>>): void {
    if (this.#metrics !== undefined) writeSync(this.#metrics, `${JSON.stringify(entry)}\n`);
  }

  /** Saves a checkpoint in the background and removes those that are too old. */
  checkpoint(adapter: Adapter, step: number): void {
    this.#saving = this.#saving.then(async () => {
      if (this.#failure !== undefined) return;
      try {
        const folder = path.join(this.path, CHECKPOINTS, `step-${step}`);
        await adapter.save(folder);
        this.#lastCheckpoint = folder;
        await this.#removeOldCheckpoints();
      } catch (error) {
        this.#failure = error;
      }
    });
  }

  /** True once a checkpoint could not be saved; {@link RunFolder.settle} then says why. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * Waits until every checkpoint is on the disk.
   *
   * @throws OnnxLoraError `FILE_INVALID` when one could not be saved
   */
  async settle(): Promise<void> {
    await this.#saving;
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  /** Writes the report. */
  async writeReport(html: string): Promise<void> {
    await writeFileAtomic(this.report, html);
  }

  /** Closes metrics.jsonl. */
  close(): void {
    if (this.#metrics !== undefined) closeSync(this.#metrics);
    this.#metrics = undefined;
  }

  async #removeOldCheckpoints(): Promise<void> {
    const folder = path.join(this.path, CHECKPOINTS);
    const steps = (await readdir(folder))
      .map((name) => Number(/^step-(\d+)$/.exec(name)?.[1]))
      .filter(Number.isInteger)
      .sort((a, b) => b - a);
    for (const step of steps.slice(KEPT)) await rm(path.join(folder, `step-${step}`), { recursive: true, force: true });
  }
}
