/** @file This process's part of a run on several machines: gradients go to a task of Ray by files, words by a channel. */

import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type GradientExchange, type LossAndGradients, OnnxLoraError } from '@onnx-lora/sdk';

/** The task's first message. */
export interface PartJob {
  /** The command's arguments. */
  readonly argv: readonly string[];
  /** Number of this worker, from 0; the first one writes the run's folder. */
  readonly rank: number;
  /** Number of workers. */
  readonly workers: number;
  /** First step whose mean is not known yet; means of earlier ones are taken. */
  readonly from: number;
  /** Whether to continue from the run's latest checkpoint. */
  readonly resume: boolean;
  /** Whether the worker takes the place of one that has died. */
  readonly again: boolean;
  /** Folder of this machine for gradients on their way. */
  readonly folder: string;
}

/** Where messages go and come from, such as `process`. */
export interface Channel {
  /** Sends a message. */
  send?(message: unknown): boolean;
  /** Listens for messages, and for the end of the channel. */
  on(event: 'message' | 'disconnect', listener: (message: unknown) => void): unknown;
}

/** The task's answer with a step's mean, whose numbers are in a file. */
interface Taken {
  readonly type: 'take';
  readonly step: number;
  /** As text, since JSON has neither NaN nor infinity. */
  readonly loss: string;
  readonly weight: number;
  readonly nothing: string | null;
  readonly layout: readonly (readonly [name: string, length: number])[];
}

interface Waiting {
  readonly take: (taken: Taken) => void;
  readonly fail: (error: Error) => void;
}

/** Exchanges gradients with the workers of one run. */
export class ChannelExchange implements GradientExchange {
  /** The part of this process. */
  readonly job: PartJob;
  readonly #channel: Channel;
  #waiting: (Waiting & { readonly step: number }) | undefined;
  #isLost = false;

  /** Waits for the means of a job over a channel. @param job what the task asks for */
  constructor(job: PartJob, channel: Channel = process) {
    this.job = job;
    this.#channel = channel;
    channel.on('message', (message) => {
      const taken = message as Taken;
      if (taken.type === 'take' && taken.step === this.#waiting?.step) this.#waiting.take(taken);
    });
    channel.on('disconnect', () => {
      this.#isLost = true;
      this.#waiting?.fail(lost());
    });
  }

  /** Tells that the run begins at a step. */
  begun(step: number): void {
    this.#channel.send?.({ type: 'begun', step });
  }

  /** Tells of a checkpoint of the run. */
  saved(step: number): void {
    this.#channel.send?.({ type: 'saved', step });
  }

  computes(step: number, batch: number): boolean {
    return step >= this.job.from && batch % this.job.workers === this.job.rank;
  }

  /** @throws OnnxLoraError `CANCELLED` once the task has ended */
  async exchange(step: number, own: ReadonlyMap<number, LossAndGradients>): Promise<LossAndGradients> {
    if (this.#isLost) throw lost();
    const parts = [...own].map(([batch, { loss, weight, nothing = null }]) => ({ batch, loss: String(loss), weight, nothing })); // prettier-ignore
    const [first] = own.values();
    const layout = [...(first?.gradients ?? [])].map(([name, { length }]) => [name, length] as const);
    const arrays = [...own.values()].flatMap(({ gradients }) => layout.map(([name]) => bytesOf(gradients.get(name)!)));
    await writeFile(path.join(this.job.folder, `give-${step}`), Buffer.concat(arrays));
    const taken = await new Promise<Taken>((take, fail) => {
      this.#waiting = { step, take, fail };
      this.#channel.send?.({ type: 'give', step, parts, layout });
    });
    this.#waiting = undefined;
    return this.#read(taken);
  }

  async #read({ step, loss, weight, nothing, layout }: Taken): Promise<LossAndGradients> {
    const file = path.join(this.job.folder, `take-${step}`);
    const { buffer, byteOffset, byteLength } = await readFile(file);
    await rm(file);
    // Node may place small files anywhere in a shared buffer.
    const numbers = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
    const gradients = new Map<string, Float32Array>();
    let at = 0;
    for (const [name, length] of layout) gradients.set(name, numbers.slice(at, (at += length)));
    return { loss: Number(loss), weight, gradients, ...(nothing === null ? {} : { nothing }) };
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function lost(): OnnxLoraError {
  return new OnnxLoraError('CANCELLED', 'The cluster has ended this part of the training. The run can be resumed.');
}
