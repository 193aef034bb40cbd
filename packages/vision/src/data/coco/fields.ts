/** @file Fields of an entry of a COCO file. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** An entry's fields, and where it is, for messages. */
export interface CocoFields {
  readonly place: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** @throws OnnxLoraError `DATA_INVALID` for what is no object */
export function fieldsOf(entry: unknown, place: string): CocoFields {
  if (typeof entry === 'object' && entry !== null && !Array.isArray(entry)) {
    const { id } = entry as { id?: unknown };
    const name = typeof id === 'number' || typeof id === 'string' ? ` (id ${id})` : '';
    return { place: place + name, fields: entry as Record<string, unknown> };
  }
  throw new OnnxLoraError('DATA_INVALID', `${place}: it is no object. Correct the file.`);
}

/** An id, which is a number or a text. */
export function idOf({ fields, place }: CocoFields, name: string): string {
  const id = fields[name];
  if (typeof id === 'number' || typeof id === 'string') return String(id);
  throw new OnnxLoraError('DATA_INVALID', `${place}: "${name}" must be a number. Correct the file.`);
}
