/** @file The folder of a training run: config.yaml, metrics.jsonl, checkpoints, adapter and report.html. */

import { closeSync, createReadStream, existsSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { OnnxLoraError, TensorBoardWriter, type TrainEvent, writeFileAtomic } from '@onnx-lora/sdk';
import { usageError } from './errors.ts';
import type { Measured } from './history.ts';

/** What a run puts into its folder, and `--overwrite` therefore removes. */
const CONFIG = 'config.yaml';
const METRICS = 'metrics.jsonl';
const CHECKPOINTS = 'checkpoints';
const ADAPTER = 'adapter';
const REPORT = 'report.html';
const TENSORBOARD = 'tensorboard';

/** A line of metrics.jsonl. */
export type LoggedEvent = TrainEvent | ({ readonly type: 'evaluation' } & Measured);

/** Writes one run. Nothing is touched before {@link RunFolder.begin}. */
export class RunFolder {
  readonly path: string;
  #metrics: number | undefined;
  #board: TensorBoardWriter | undefined;
  #failure: Error | undefined;

  constructor(folder: string) {
    this.path = folder;
  }

  /** A folder under `runs` that is not there yet, named after the data and the task. */
  static unused(data: string, task: string): RunFolder {
    const { name } = path.parse(path.resolve(data));
    const wanted = path.join('runs', `${name || 'run'}-${task}`);
    for (let count = 1; ; count++) {
      const folder = count === 1 ? wanted : `${wanted}-${count}`;
      if (!existsSync(folder)) return new RunFolder(folder);
    }
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

  /** Where the run's checkpoints lie. */
  get checkpoints(): string {
    return path.join(this.path, CHECKPOINTS);
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
  begin(config: string, { tensorboard }: RecordOptions): void {
    try {
      mkdirSync(this.path, { recursive: true });
      // The checkpoints of an earlier run have been removed by the one that begins.
      for (const name of [ADAPTER, METRICS, REPORT, CONFIG, TENSORBOARD]) {
        rmSync(path.join(this.path, name), { recursive: true, force: true });
      }
      const file = openSync(this.config, 'wx');
      writeSync(file, config);
      closeSync(file);
      this.#metrics = openSync(this.#metricsFile, 'wx');
      if (tensorboard) this.#board = new TensorBoardWriter(path.join(this.path, TENSORBOARD));
    } catch (cause) {
      throw cannotWrite(this.path, cause);
    }
  }

  /** What the run in the folder has told; nothing where there is no metrics.jsonl. */
  async events(): Promise<LoggedEvent[]> {
    const events: LoggedEvent[] = [];
    if (!existsSync(this.#metricsFile)) return events;
    for await (const line of createInterface({ input: createReadStream(this.#metricsFile) })) {
      const event = parseLine(line);
      if (event) events.push(event);
    }
    return events;
  }

  /**
   * Goes on with the run that is in the folder: what metrics.jsonl holds of steps beyond its last checkpoint is cut off.
   *
   * @param step the checkpoint's step
   * @returns what the run has told until then
   * @throws OnnxLoraError `FILE_INVALID`
   */
  async goOn(step: number, { tensorboard }: RecordOptions): Promise<LoggedEvent[]> {
    const events: LoggedEvent[] = [];
    try {
      if (existsSync(this.#metricsFile)) {
        const kept = `${this.#metricsFile}.new`;
        const file = openSync(kept, 'w');
        try {
          for await (const line of createInterface({ input: createReadStream(this.#metricsFile) })) {
            const event = parseLine(line);
            if (!event || event.step > step) continue;
            events.push(event);
            writeSync(file, `${line}\n`);
          }
        } finally {
          closeSync(file);
        }
        await rename(kept, this.#metricsFile);
      }
      this.#metrics = openSync(this.#metricsFile, 'a');
      const options = { firstStep: step };
      if (tensorboard) this.#board = new TensorBoardWriter(path.join(this.path, TENSORBOARD), options);
    } catch (cause) {
      throw cannotWrite(this.path, cause);
    }
    return events;
  }

  /**
   * Adds a line to metrics.jsonl, and its numbers to TensorBoard's file. A disk that is full does not end the training.
   *
   * @returns what went wrong, the first time that it does
   */
  log(event: LoggedEvent): Error | undefined {
    try {
      if (this.#metrics !== undefined) writeSync(this.#metrics, `${JSON.stringify(logged(event))}\n`);
      this.#board?.add(event as TrainEvent);
      return undefined;
    } catch (error) {
      const isFirst = this.#failure === undefined;
      this.#failure = error as Error;
      return isFirst ? this.#failure : undefined;
    }
  }

  /** Writes the report. */
  async writeReport(html: string): Promise<void> {
    await writeFileAtomic(this.report, html);
  }

  /** Closes the records. */
  close(): void {
    if (this.#metrics !== undefined) closeSync(this.#metrics);
    this.#metrics = undefined;
    this.#board?.close();
    this.#board = undefined;
  }

  get #metricsFile(): string {
    return path.join(this.path, METRICS);
  }
}

/** What is recorded beside metrics.jsonl. */
export interface RecordOptions {
  readonly tensorboard: boolean;
}

function cannotWrite(folder: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  return new OnnxLoraError(
    'FILE_INVALID',
    `The run cannot be written to "${folder}": ${(cause as Error).message}. Name another folder with --out.`,
    { cause },
  );
}

/** What of an event stays of interest; a folder's confusion matrix is in its report. */
function logged(event: LoggedEvent): Record<string, unknown> {
  const { confusion: _c, steps: _s, secondsLeft: _l, ...rest } = event as unknown as Record<string, unknown>;
  return rest;
}

/** A killed process may leave half a line. */
function parseLine(line: string): LoggedEvent | undefined {
  try {
    const event = JSON.parse(line) as LoggedEvent;
    return typeof event === 'object' && event !== null && Number.isInteger(event.step) ? event : undefined;
  } catch {
    return undefined;
  }
}
