/** @file Writes a run's events for TensorBoard: TFRecords of `tensorflow.Event` messages. */

import { concatBytes, utf8 } from '../../platform/bytes.ts';
import { closeSync, openSync, writeSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { hostname, processId } from '../../platform/system.ts';
import { OnnxLoraError } from '../../errors.ts';
import { makeFolder } from '../../files/atomicWriter.ts';
import { packed } from '../../files/packed.ts';
import type { TrainEvent } from '../../plugin/events.ts';

/** By byte. @see https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4 */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C as an unsigned number. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** First record of a file, which identifies the format. */
const FILE_VERSION = 'brain.Event:2';
const START = 1;

/**
 * Writes scalars: `train/loss`, `train/lr`, `train/grad_norm`, `train/samples_per_second`, `train/memory_bytes`, and
 * one `eval/…` for each metric.
 * @example
 * const board = new TensorBoardWriter('runs/photos/tensorboard', { firstStep: run.firstStep });
 * for await (const event of run) board.add(event);
 * board.close();
 * @see https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
 */
export class TensorBoardWriter implements Disposable {
  /** Path of the event file. */
  readonly file: string;
  readonly #descriptor: number;
  readonly #now: () => number;

  /**
   * Creates the folder, and a new file in it.
   * @param options.firstStep the step that a run resumes from: TensorBoard drops later entries of the interrupted run
   * @param options.now milliseconds since 1970
   * @throws OnnxLoraError `FILE_INVALID` if the file cannot be created
   */
  constructor(folder: string, options: { readonly firstStep?: number; readonly now?: () => number } = {}) {
    const { firstStep = 0, now = Date.now } = options;
    this.#now = now;
    // TensorBoard reads a folder's files in alphabetical order.
    const name = `events.out.tfevents.${String(Math.floor(now() / 1000)).padStart(10, '0')}.${hostname()}.${processId}`;
    try {
      makeFolder(folder);
      [this.file, this.#descriptor] = openNew(folder, name);
    } catch (cause) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `TensorBoard's file cannot be written to "${folder}": ${(cause as Error).message}. Name a folder that can be written.`,
        { cause },
      );
    }
    this.#write(0, text(3, FILE_VERSION));
    if (firstStep > 0) this.#write(firstStep + 1, message(7, varint(1, START)));
  }

  /**
   * Writes the numbers of an event.
   * @throws Error from the file system, such as ENOSPC
   */
  add(event: TrainEvent): void {
    if (event.type === 'step') {
      const { loss, lr, gradNorm, samplesPerSecond, memory } = event;
      this.scalars(event.step, {
        'train/loss': loss,
        'train/lr': lr,
        'train/grad_norm': gradNorm,
        'train/samples_per_second': samplesPerSecond,
        'train/memory_bytes': memory,
      });
    } else if (event.type === 'evaluation') {
      const metrics = Object.entries(event.metrics).map(([name, value]) => [`eval/${name}`, value] as const);
      this.scalars(event.step, Object.fromEntries(metrics));
    }
  }

  /** Writes scalars by tag. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const fields = Object.entries(values).map(([tag, value]) =>
      message(1, concatBytes([text(1, tag), float(2, value)])),
    );
    this.#write(step, message(5, concatBytes(fields)));
  }

  /** Closes the file. */
  close(): void {
    closeSync(this.#descriptor);
  }

  /** As {@link TensorBoardWriter.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** A record: length, its checksum, event, its checksum. */
  #write(step: number, what: Uint8Array): void {
    const event = concatBytes([double(1, this.#now() / 1000), varint(2, step), what]);
    const length = packed('u64', event.length);
    const record = concatBytes([length, masked(length), event, masked(event)]);
    for (let done = 0; done < record.length;) done += writeSync(this.#descriptor, record, done);
  }
}

/** Opens the first free name: two runs may start in the same second. */
function openNew(folder: string, name: string): [string, number] {
  for (let i = 0; ; i++) {
    const file = path.join(folder, `${name}.${i}`);
    try {
      return [file, openSync(file, 'wx')];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** Masked CRC of TFRecord: rotated and shifted, since CRCs of data with embedded CRCs are weak. */
function masked(data: Uint8Array): Uint8Array {
  const crc = crc32c(data);
  return packed('u32', (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
}

// Protobuf fields: the key is (number · 8 + wire type); all numbers here are below 16.

function varint(field: number, value: number): Uint8Array {
  return Uint8Array.from([field << 3, ...base128(value)]);
}

function double(field: number, value: number): Uint8Array {
  return Uint8Array.of((field << 3) | 1, ...packed('f64', value));
}

function float(field: number, value: number): Uint8Array {
  return Uint8Array.of((field << 3) | 5, ...packed('f32', value));
}

function message(field: number, content: Uint8Array): Uint8Array {
  return concatBytes([Uint8Array.of((field << 3) | 2, ...base128(content.length)), content]);
}

function text(field: number, value: string): Uint8Array {
  return message(field, utf8(value));
}

function base128(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}
