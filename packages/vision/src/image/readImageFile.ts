/** @file Reads the bytes of a stranger's image. */

import { open } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** What the file is called in messages. */
export type ImageKind = 'image' | 'mask';

/**
 * The whole file. Sharp could read it by path, but would then answer from its cache for a file that has changed.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for a file of more than `most` bytes, or that cannot be read
 */
export async function readImageFile(file: string, most: number, kind: ImageKind = 'image'): Promise<Uint8Array> {
  try {
    await using handle = await open(file);
    checkBytes((await handle.stat()).size, most, file, kind);
    return await handle.readFile();
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new OnnxLoraError('FILE_NOT_FOUND', `There is no ${kind} "${file}". Check the path.`, { cause });
    const reason = code === 'EISDIR' ? 'it is a folder' : cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError('DATA_INVALID', `Cannot read the ${kind} "${file}": ${reason}. Check the path.`, { cause });
  }
}

/** @throws OnnxLoraError `DATA_INVALID` for more bytes than `most`; `name` is that of the image */
export function checkBytes(size: number, most: number, name: string, kind: ImageKind = 'image'): void {
  if (size <= most) return;
  const remedy = kind === 'image' ? 'Make it smaller, or raise maxBytes of SharpDecoder.' : 'Make it smaller.';
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The ${kind} "${name}" has ${size} bytes, more than the limit of ${most}. ${remedy}`,
  );
}
