/** @file Sequential reader of bytes from a file, memory or a stream. */

import { open } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** A position in a sequence of bytes. A file is reopened for every read, so only a stream must be closed. */
export interface ByteCursor {
  /** Name in messages: `The sound file "a.wav"`. */
  readonly name: string;
  /** Bytes left; undefined for a stream. */
  readonly remaining: number | undefined;
  /** The next `length` bytes, fewer at the end, without moving. */
  peek(length: number): Promise<Uint8Array>;
  /** The next `length` bytes, fewer at the end. */
  take(length: number): Promise<Uint8Array>;
  /** Skips `length` bytes, or to the end. */
  skip(length: number): Promise<void>;
  /** Closes a stream before its end. */
  close(): Promise<void>;
}

/** Least bytes per read of a file: the headers, a short clip, or many frames. */
const AHEAD = 2 ** 16;

/** Opens a cursor at the beginning. @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID` for an unreadable path */
export async function byteCursor(source: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<ByteCursor> {
  if (typeof source === 'string') return FileCursor.open(source);
  if (source instanceof Uint8Array) return new MemoryCursor(source);
  return new StreamCursor(source);
}

/** The error for unusable sound; `what` follows the name. */
export function audioInvalid({ name }: Pick<ByteCursor, 'name'>, what: string, cause?: unknown): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `${name} ${what}`, cause === undefined ? {} : { cause });
}

class MemoryCursor implements ByteCursor {
  readonly name: string;
  #rest: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.name = `The sound of ${bytes.length} bytes`;
    this.#rest = bytes;
  }

  get remaining(): number {
    return this.#rest.length;
  }

  async peek(length: number): Promise<Uint8Array> {
    return this.#rest.subarray(0, length);
  }

  async take(length: number): Promise<Uint8Array> {
    const bytes = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return bytes;
  }

  async skip(length: number): Promise<void> {
    this.#rest = this.#rest.subarray(length);
  }

  async close(): Promise<void> {}
}

class FileCursor implements ByteCursor {
  readonly name: string;
  readonly #path: string;
  readonly #size: number;
  #offset = 0;
  /** The last block read, beginning at `#blockAt`. */
  #block: Uint8Array;
  #blockAt = 0;

  private constructor(path: string, size: number, head: Uint8Array) {
    this.name = audioFile(path);
    this.#path = path;
    this.#size = size;
    this.#block = head;
  }

  static async open(path: string): Promise<FileCursor> {
    const { size, bytes } = await readAt(path, 0, AHEAD);
    return new FileCursor(path, size, bytes);
  }

  get remaining(): number {
    return this.#size - this.#offset;
  }

  async peek(length: number): Promise<Uint8Array> {
    const wanted = Math.min(length, this.remaining);
    if (this.#offset - this.#blockAt + wanted > this.#block.length) {
      this.#block = (await readAt(this.#path, this.#offset, Math.max(wanted, AHEAD))).bytes;
      this.#blockAt = this.#offset;
    }
    const from = this.#offset - this.#blockAt;
    return this.#block.subarray(from, from + wanted);
  }

  async take(length: number): Promise<Uint8Array> {
    const bytes = await this.peek(length);
    this.#offset += bytes.length;
    return bytes;
  }

  async skip(length: number): Promise<void> {
    this.#offset = Math.min(this.#offset + length, this.#size);
  }

  async close(): Promise<void> {}
}

async function readAt(path: string, offset: number, length: number): Promise<{ size: number; bytes: Uint8Array }> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return { size, bytes: bytes.subarray(0, done) };
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function audioFile(path: string): string {
  return `The sound file "${path}"`;
}

function unreadable(path: string, cause: unknown): OnnxLoraError {
  if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
    return new OnnxLoraError('FILE_NOT_FOUND', `There is no sound file "${path}". Check the path.`, { cause });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return audioInvalid(
    { name: audioFile(path) },
    `cannot be read: ${reason}. Check that it is a file you may read.`,
    cause,
  );
}

class StreamCursor implements ByteCursor {
  readonly name = 'The stream of sound';
  readonly remaining = undefined;
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Uint8Array[] = [];
  #length = 0;
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async peek(length: number): Promise<Uint8Array> {
    await this.#fill(length);
    if (this.#held.length > 1) this.#held = [Buffer.concat(this.#held)];
    return (this.#held[0] ?? new Uint8Array(0)).subarray(0, length);
  }

  async take(length: number): Promise<Uint8Array> {
    const bytes = await this.peek(length);
    this.#drop(bytes.length);
    return bytes;
  }

  async skip(length: number): Promise<void> {
    let left = length;
    while (left > 0) {
      await this.#fill(1);
      if (this.#length === 0) return;
      const step = Math.min(left, this.#length);
      this.#drop(step);
      left -= step;
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #fill(length: number): Promise<void> {
    while (this.#length < length && !this.#ended) {
      const next = await this.#source.next().catch((cause: unknown) => {
        throw audioInvalid(
          this,
          `broke off: ${cause instanceof Error ? cause.message : String(cause)}. Start it again.`,
          cause,
        );
      });
      if (next.done) {
        this.#ended = true;
      } else if (next.value instanceof Uint8Array) {
        this.#held.push(next.value);
        this.#length += next.value.length;
      } else {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          `${this.name} gives ${typeof next.value} instead of bytes. Set no text encoding on it.`,
        );
      }
    }
  }

  #drop(length: number): void {
    this.#length -= length;
    let left = length;
    while (left > 0) {
      const [first] = this.#held;
      if (!first) return;
      if (first.length > left) {
        this.#held[0] = first.subarray(left);
        return;
      }
      left -= first.length;
      this.#held.shift();
    }
  }
}
