/** @file The journal of a sweep's trials, a file that survives a kill at any moment. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Evaluation, OnnxLoraError } from '@onnx-lora/sdk';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import { z } from 'zod';
import { jsonNumber } from '../run/draws.ts';

export interface MeasuredTrial {
  /** Fraction of the run; 1 at its end. */
  readonly part: number;
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly intervals?: Evaluation['intervals'] | undefined;
}

export interface TrialRecord {
  /** `begun` while it runs, or after the sweep was killed. */
  readonly status: 'begun' | 'paused' | 'done' | 'failed';
  /** Crashes of its process. */
  readonly crashes: number;
  readonly measured: readonly MeasuredTrial[];
  /** The base's metrics on the same examples. */
  readonly before?: Readonly<Record<string, number>> | undefined;
  readonly parameters?: number | undefined;
  /** Size of the adapter's weights file. */
  readonly bytes?: number | undefined;
  /** Seconds of training. */
  readonly seconds?: number | undefined;
  /** Seconds of its processes. */
  readonly wall: number;
  /** Peak bytes of memory. */
  readonly memory?: number | undefined;
  readonly examples?: { readonly train: number; readonly heldOut: number } | undefined;
  /** A digest of the training examples. */
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

/** The file; `seconds` counts all calls. */
const journalSchema: z.ZodType<{ version: 1; seconds: number; trials: Record<string, TrialRecord> }> = z.object({
  version: z.literal(1),
  seconds: z.number(),
  trials: z.record(z.string(), recordSchema),
});

const unbegun: TrialRecord = { status: 'begun', crashes: 0, measured: [], wall: 0 };

const NAME = 'sweep.json';

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

  /** Opens a folder's journal; an empty one without a file. @throws OnnxLoraError `FILE_INVALID` for a damaged file */
  static open(folder: string): Journal {
    const file = path.join(folder, NAME);
    if (!existsSync(file)) return new Journal(file, new Map(), 0);
    try {
      const { trials, seconds } = journalSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
      return new Journal(file, new Map(Object.entries(trials)), seconds);
    } catch (cause) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `"${file}" is no journal of a sweep, or is damaged. Name another folder with --out, or start over with --overwrite.`,
        { cause },
      );
    }
  }

  /** Undefined before the trial begins. */
  get(id: string): TrialRecord | undefined {
    return this.#trials.get(id);
  }

  /** Seconds of all calls. */
  get seconds(): number {
    return this.#before + (performance.now() - this.#start) / 1000;
  }

  async note(id: string, change: Partial<TrialRecord>): Promise<void> {
    this.#trials.set(id, { ...(this.#trials.get(id) ?? unbegun), ...change });
    await this.write();
  }

  forget(id: string): void {
    this.#trials.delete(id);
  }

  /** Writes the file. Changes during a write are combined into the next one. */
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
