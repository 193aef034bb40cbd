/** @file The folder of a training run: config.yaml, metrics.jsonl, checkpoints, adapter and report.html. */

import { closeSync, createReadStream, existsSync, openSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'; // prettier-ignore
import { hostname } from 'node:os';
import { rename } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createInterface } from 'node:readline';
import { OnnxLoraError, type TrainEvent } from '@onnx-lora/sdk';
import { ExampleSet, makeFolder, writeFileAtomic } from '@onnx-lora/sdk/data';
import { TensorBoardWriter } from '@onnx-lora/sdk/plugin';
import { FileLock } from '@onnx-lora/sdk/core';
import { z } from 'zod';
import { DRAWS, jsonNumber } from './draws.ts';
import { usageError } from '../terminal/errors.ts';
import type { Measured } from './history.ts';
import { whenSignalEnds } from '../terminal/interrupt.ts';

/** What a run puts into its folder, and `--overwrite` therefore removes. */
const CONFIG = 'config.yaml';
const METRICS = 'metrics.jsonl';
const CHECKPOINTS = 'checkpoints';
const ADAPTER = 'adapter';
const REPORT = 'report.html';
const TENSORBOARD = 'tensorboard';
/** Who trains in the folder; gone when the run has ended. */
const LOCK = 'run.lock';
const TRAINED_ON = 'trained-on.txt';

/** A line of metrics.jsonl. */
export type LoggedEvent = TrainEvent | ({ readonly type: 'evaluation' } & Measured);

/** Writes one run. Nothing is touched before {@link RunFolder.begin}. */
export class RunFolder {
  readonly path: string;
  #metrics: number | undefined;
  #board: TensorBoardWriter | undefined;
  #failure: Error | undefined;
  #lock: FileLock | undefined;
  #unlisten: () => void = () => undefined;

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
   * Takes the folder for this process, until {@link RunFolder.close}. A lock of a process that died is taken over.
   *
   * @param onEnd called where a signal ends the process at once
   * @throws OnnxLoraError `FILE_INVALID` where another process trains there, or nothing can be written
   */
  lock(onEnd: () => void = () => undefined): void {
    let lock: ReturnType<typeof FileLock.take>;
    try {
      makeFolder(this.path);
      lock = FileLock.take(this.#lockFile);
    } catch (cause) {
      throw cannotWrite(this.path, cause);
    }
    if (!(lock instanceof FileLock)) throw this.#isTaken(lock);
    this.#lock = lock;
    this.#unlisten = whenSignalEnds(() => {
      lock.release();
      onEnd();
    });
  }

  /** @throws OnnxLoraError `FILE_INVALID` where a process trains there */
  checkUntaken(): void {
    const holder = existsSync(this.#lockFile) ? FileLock.holderOf(this.#lockFile) : undefined;
    if (holder && !this.#lock) throw this.#isTaken(holder);
  }

  /** Waits until no process trains there: one whose parent has died ends after its step. */
  async untaken(milliseconds: number): Promise<void> {
    const until = performance.now() + milliseconds;
    while (FileLock.holderOf(this.#lockFile) && performance.now() < until) await setTimeout(100);
  }

  #isTaken({ pid, host, since }: NonNullable<ReturnType<typeof FileLock.holderOf>>): OnnxLoraError {
    return new OnnxLoraError(
      'FILE_INVALID',
      `The folder "${this.path}" is being trained in by process ${pid} on ${host}, since ${since}. Name another with --out, or wait until that has ended${host === hostname() ? '' : ` (if it has, remove "${this.#lockFile}")`}.`,
    );
  }

  /**
   * Refuses a folder that holds something, or in which a process trains.
   *
   * @throws OnnxLoraError `FILE_INVALID`
   */
  checkFree(overwrite: boolean): void {
    this.checkUntaken();
    let names: string[];
    try {
      // What a killed process has left of its lock is nobody's.
      names = readdirSync(this.path).filter((name) => name !== LOCK && !name.startsWith(`.${LOCK}`));
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
  begin(config: string, tensorboard: boolean): void {
    try {
      makeFolder(this.path);
      // The checkpoints of an earlier run have been removed by the one that begins. First what makes it one to go on with.
      for (const name of [CONFIG, ADAPTER, METRICS, REPORT, TENSORBOARD, TRAINED_ON, DRAWS]) {
        rmSync(path.join(this.path, name), { recursive: true, force: true });
      }
      this.#metrics = openSync(this.#metricsFile, 'wx');
      // Last, and at once: a folder with settings is one to go on with.
      const written = `${this.config}.new`;
      writeFileSync(written, config);
      renameSync(written, this.config);
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
   * Goes on with the run that is in the folder: what metrics.jsonl holds of steps beyond its last checkpoint is cut off, and
   * settings that have changed are written down. Lines that a kill, a full disk or anything else has damaged are left out.
   *
   * @param step the checkpoint's step
   * @returns what the run has told until then, and how many lines were damaged, but for a last one that a kill cut off
   * @throws OnnxLoraError `FILE_INVALID`
   */
  async goOn(
    step: number,
    config: string,
    tensorboard: boolean,
  ): Promise<{ readonly events: LoggedEvent[]; readonly damaged: number }> {
    const events: LoggedEvent[] = [];
    let damaged = 0;
    try {
      if (readFileSync(this.config, 'utf8') !== config) await writeFileAtomic(this.config, config);
      if (existsSync(this.#metricsFile)) {
        if (!statSync(this.#metricsFile).isFile()) throw new Error(`"${this.#metricsFile}" is no file`);
        const kept = `${this.#metricsFile}.new`;
        const file = openSync(kept, 'w');
        let isLastDamaged = false;
        try {
          for await (const line of createInterface({ input: createReadStream(this.#metricsFile) })) {
            const event = parseLine(line);
            isLastDamaged = event === undefined;
            if (isLastDamaged) damaged++;
            if (!event || event.step > step) continue;
            events.push(event);
            writeSync(file, `${line}\n`);
          }
        } finally {
          closeSync(file);
        }
        if (isLastDamaged) damaged--;
        await rename(kept, this.#metricsFile);
      }
      this.#metrics = openSync(this.#metricsFile, 'a');
      if (tensorboard) this.#board = new TensorBoardWriter(path.join(this.path, TENSORBOARD), { firstStep: step });
    } catch (cause) {
      throw cannotWrite(this.path, cause);
    }
    return { events, damaged };
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

  /** Notes the examples that are trained on, which a run that goes on has noted already. */
  async noteTrainedOn(examples: ExampleSet | undefined): Promise<void> {
    const file = path.join(this.path, TRAINED_ON);
    if (!examples || examples.size === 0 || existsSync(file)) return;
    try {
      await writeFileAtomic(file, examples.text);
    } catch (cause) {
      throw cannotWrite(this.path, cause);
    }
  }

  /** Writes the report. */
  async writeReport(html: string): Promise<void> {
    await writeFileAtomic(this.report, html);
  }

  /** Closes the records, and gives the folder back; one that is still empty goes. */
  close(): void {
    if (this.#metrics !== undefined) closeSync(this.#metrics);
    this.#metrics = undefined;
    this.#board?.close();
    this.#board = undefined;
    this.#unlisten();
    this.#lock?.release();
    try {
      if (this.#lock) rmdirSync(this.path);
    } catch {
      // There is something in it.
    }
    this.#lock = undefined;
  }

  get #lockFile(): string {
    return path.join(this.path, LOCK);
  }

  get #metricsFile(): string {
    return path.join(this.path, METRICS);
  }
}

/**
 * What the run of an adapter was trained on; undefined where nothing says so.
 *
 * @param adapter the run's folder, or that of the adapter in it
 * @throws OnnxLoraError `FILE_INVALID`
 */
export async function trainedOnOf(adapter: string): Promise<ExampleSet | undefined> {
  const inRun = path.basename(path.resolve(adapter)) === ADAPTER ? path.dirname(path.resolve(adapter)) : adapter;
  return ExampleSet.read(path.join(inRun, TRAINED_ON));
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
  const { confusion: _c, draws: _d, steps: _s, secondsLeft: _l, ...rest } = event as unknown as Record<string, unknown>;
  return rest;
}

const count = z.int().min(0);
const event = { step: count };
/** What of a line is read again. */
const lineSchema = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('step'),
    ...event,
    loss: jsonNumber,
    lr: jsonNumber,
    gradNorm: jsonNumber,
    memory: jsonNumber,
  }),
  z.looseObject({
    type: z.literal('evaluation'),
    ...event,
    examples: count,
    metrics: z.record(z.string(), jsonNumber),
    intervals: z.optional(z.record(z.string(), z.tuple([z.number(), z.number()]))),
    best: z.optional(z.boolean()),
  }),
  z.looseObject({ type: z.literal('checkpoint'), ...event }),
  ...(['skipped', 'badSample', 'warning'] as const).map((type) =>
    z.looseObject({ type: z.literal(type), ...event, message: z.string() }),
  ),
]);

/** Undefined for what no run has written: a killed process may leave half a line. */
function parseLine(line: string): LoggedEvent | undefined {
  try {
    return lineSchema.parse(JSON.parse(line)) as unknown as LoggedEvent;
  } catch {
    return undefined;
  }
}
