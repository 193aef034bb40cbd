/** @file What has become of the trials of a sweep, in a file beside their folders that a kill at any moment leaves whole. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Evaluation, OnnxLoraError } from '@onnx-lora/sdk';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import { z } from 'zod';
import { jsonNumber } from '../run/draws.ts';

/** What was measured of a trial. */
export interface MeasuredTrial {
  /** How much of the whole run was made; 1 at its end. */
  readonly part: number;
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly intervals?: Evaluation['intervals'] | undefined;
}

/** What has become of a trial. */
export interface TrialRecord {
  /** `begun` is a trial that runs, or that ran when the sweep was killed. */
  readonly status: 'begun' | 'paused' | 'done' | 'failed';
  /** How often its process ended by itself before the trial did. */
  readonly crashes: number;
  readonly measured: readonly MeasuredTrial[];
  /** The base on the same examples. */
  readonly before?: Readonly<Record<string, number>> | undefined;
  readonly parameters?: number | undefined;
  /** Of the adapter's file of numbers. */
  readonly bytes?: number | undefined;
  /** Of training alone. */
  readonly seconds?: number | undefined;
  /** From the start of its processes to their ends. */
  readonly wall: number;
  /** The most bytes that a process of it held. */
  readonly memory?: number | undefined;
  readonly examples?: { readonly train: number; readonly heldOut: number } | undefined;
  /** A digest of the examples that it is trained on. */
  readonly trainedOn?: string | undefined;
  readonly failure?: { readonly code: string; readonly message: string } | undefined;
}

const count = z.int().min(0);
const scores = z.record(z.string(), jsonNumber);
const recordSchema: z.ZodType<TrialRecord> = z.object({
  status: z.enum(['begun', 'paused', 'done', 'failed']),
  crashes: count,
  measured: z.array(
    z.object({
      part: z.number(),
      step: count,
      metrics: scores,
      intervals: z.optional(z.record(z.string(), z.tuple([jsonNumber, jsonNumber]))),
    }),
  ),
  before: z.optional(scores),
  parameters: z.optional(count),
  bytes: z.optional(count),
  seconds: z.optional(z.number()),
  wall: z.number(),
  memory: z.optional(z.number()),
  examples: z.optional(z.object({ train: count, heldOut: count })),
  trainedOn: z.optional(z.string()),
  failure: z.optional(z.object({ code: z.string(), message: z.string() })),
});

/** The whole file; `seconds` are those of all calls together. */
const journalSchema: z.ZodType<{ version: 1; seconds: number; trials: Record<string, TrialRecord> }> = z.object({
  version: z.literal(1),
  seconds: z.number(),
  trials: z.record(z.string(), recordSchema),
});

const unbegun: TrialRecord = { status: 'begun', crashes: 0, measured: [], wall: 0 };

/** The name of the file. */
const NAME = 'sweep.json';

/** The journal of one sweep. */
export class Journal {
  readonly #file: string;
  readonly #trials: Map<string, TrialRecord>;
  readonly #before: number;
  readonly #start = performance.now();
  #writing: Promise<void> = Promise.resolve();
  #waits = false;

  private constructor(file: string, trials: Map<string, TrialRecord>, seconds: number) {
    this.#file = file;
    this.#trials = trials;
    this.#before = seconds;
  }

  /**
   * The journal of a folder; an empty one where there is none.
   *
   * @throws OnnxLoraError `FILE_INVALID` for a file that no sweep has written
   */
  static open(folder: string): Journal {
    const file = path.join(folder, NAME);
    if (!existsSync(file)) return new Journal(file, new Map(), 0);
    try {
      const { trials, seconds } = journalSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
      return new Journal(file, new Map(Object.entries(trials)), seconds);
    } catch (cause) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `"${file}" is no journal of a sweep, or is damaged. Name another folder with --out, or begin anew with --overwrite.`,
        { cause },
      );
    }
  }

  /** Undefined of a trial that has not begun. */
  get(id: string): TrialRecord | undefined {
    return this.#trials.get(id);
  }

  /** How long the sweep has run, all calls together. */
  get seconds(): number {
    return this.#before + (performance.now() - this.#start) / 1000;
  }

  /** Changes what is known of a trial, and has it written. */
  async note(id: string, change: Partial<TrialRecord>): Promise<void> {
    this.#trials.set(id, { ...(this.#trials.get(id) ?? unbegun), ...change });
    await this.write();
  }

  /** Forgets a trial, so that it is run anew. */
  forget(id: string): void {
    this.#trials.delete(id);
  }

  /** Writes all of it. What changes while the disk is at work is written once, behind it. */
  async write(): Promise<void> {
    if (!this.#waits) {
      this.#waits = true;
      this.#writing = this.#writing.then(() => {
        this.#waits = false;
        const trials = Object.fromEntries(this.#trials);
        return writeFileAtomic(
          this.#file,
          `${JSON.stringify({ version: 1, seconds: this.seconds, trials }, null, 1)}\n`,
        );
      });
    }
    await this.#writing;
  }
}
