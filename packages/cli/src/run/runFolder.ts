/** @file The folder of a training run: config.yaml, metrics.jsonl, checkpoints, adapter, report.html. */

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

/** Contents of the folder, which `--overwrite` removes. */
const CONFIG = 'config.yaml';
const METRICS = 'metrics.jsonl';
const CHECKPOINTS = 'checkpoints';
const ADAPTER = 'adapter';
const REPORT = 'report.html';
const TENSORBOARD = 'tensorboard';
const LOCK = 'run.lock';
const TRAINED_ON = 'trained-on.txt';

/** A line of metrics.jsonl. */
export type LoggedEvent = TrainEvent | ({ readonly type: 'evaluation' } & Measured);

/** Writes one run. Touches nothing before {@link RunFolder.begin}. */
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

  /** An unused folder under `runs`, named after data and task. */
  static unused(data: string, task: string): RunFolder {
    const { name } = path.parse(path.resolve(data));
    const wanted = path.join('runs', `${name || 'run'}-${task}`);
    for (let count = 1; ; count++) {
      const folder = count === 1 ? wanted : `${wanted}-${count}`;
      if (!existsSync(folder)) return new RunFolder(folder);
    }
  }

  get adapter(): string {
    return path.join(this.path, ADAPTER);
  }

  get report(): string {
    return path.join(this.path, REPORT);
  }

  get config(): string {
    return path.join(this.path, CONFIG);
  }

  get checkpoints(): string {
    return path.join(this.path, CHECKPOINTS);
  }

  /**
   * Locks the folder until {@link RunFolder.close}. A dead process's lock is taken over.
   * @param onEnd called when a signal ends the process
   * @throws OnnxLoraError `FILE_INVALID` where another process trains there, or the disk refuses
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

  /** Waits until no process trains there: a trial whose sweep has died ends after its step. */
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

  /** Refuses a non-empty folder, or one where a process trains. @throws OnnxLoraError `FILE_INVALID` */
  checkFree(overwrite: boolean): void {
    this.checkUntaken();
    let names: string[];
    try {
      // Remains of a killed process's lock do not count.
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
   * Creates the folder, replacing an earlier run. Synchronous, so that no step happens meanwhile.
   * @throws OnnxLoraError `FILE_INVALID`
   */
  begin(config: string, tensorboard: boolean): void {
    try {
      makeFolder(this.path);
      // Earlier checkpoints are gone already. CONFIG first: it makes a folder resumable.
      for (const name of [CONFIG, ADAPTER, METRICS, REPORT, TENSORBOARD, TRAINED_ON, DRAWS]) {
        rmSync(path.join(this.path, name), { recursive: true, force: true });
      }
      this.#metrics = openSync(this.#metricsFile, 'wx');
      // Last and atomic: a folder with settings is resumable.
      const written = `${this.config}.new`;
      writeFileSync(written, config);
      renameSync(written, this.config);
      if (tensorboard) this.#board = new TensorBoardWriter(path.join(this.path, TENSORBOARD));
    } catch (cause) {
      throw cannotWrite(this.path, cause);
    }
  }

  /** Events of the folder's run; empty without metrics.jsonl. */
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
   * Resumes the folder's run: cuts metrics.jsonl off behind the last checkpoint, omits damaged lines, and writes
   * changed settings.
   * @param step the checkpoint's step
   * @returns earlier events, and the number of damaged lines without a last one cut off by a kill
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

  /** Logs an event to metrics.jsonl and TensorBoard. A full disk does not end the training. @returns the first error */
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

  /** Records the training examples, once per run. */
  async noteTrainedOn(examples: ExampleSet | undefined): Promise<void> {
    const file = path.join(this.path, TRAINED_ON);
    if (!examples || examples.size === 0 || existsSync(file)) return;
    try {
      await writeFileAtomic(file, examples.text);
    } catch (cause) {
      throw cannotWrite(this.path, cause);
    }
  }

  async writeReport(html: string): Promise<void> {
    await writeFileAtomic(this.report, html);
  }

  /** Closes the records and unlocks the folder; removes an empty one. */
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
      // Not empty.
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

/** The training examples of a run, by its or its adapter's folder. @throws OnnxLoraError `FILE_INVALID` */
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

/** Drops fields that the log omits; the confusion matrix is in the report. */
function logged(event: LoggedEvent): Record<string, unknown> {
  const { confusion: _c, draws: _d, steps: _s, secondsLeft: _l, ...rest } = event as unknown as Record<string, unknown>;
  return rest;
}

const count = z.int().min(0);
const event = { step: count };
/** The fields of a line that are read back. */
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

function parseLine(line: string): LoggedEvent | undefined {
  try {
    return lineSchema.parse(JSON.parse(line)) as unknown as LoggedEvent;
  } catch {
    return undefined;
  }
}
