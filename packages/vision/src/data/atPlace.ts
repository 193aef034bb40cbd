/** @file Where a record comes from, in the messages of what goes wrong with it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ImageRecord } from './imageRecord.ts';

/** What a record is called in messages: its image, and the line of the manifest that names it, where there is one. */
export function nameOfRecord({ file, place }: ImageRecord): string {
  return place === file ? file : `${file} (${place})`;
}

/**
 * What `load` gives for a record.
 *
 * @throws what `load` throws; an OnnxLoraError also says in which line of which manifest the record is
 */
export async function atPlace<T>({ file, place }: ImageRecord, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!(cause instanceof OnnxLoraError) || place === file || cause.message.includes(place)) throw cause;
    throw new OnnxLoraError(cause.code, `${place}: ${cause.message}`, { cause });
  }
}
