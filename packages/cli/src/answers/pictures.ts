/** @file Writes pictures in answers, such as masks, to files. */

import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { Answer, Prediction } from '@onnx-lora/sdk/tasks';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import { usageError } from '../terminal/errors.ts';
import { isFolder } from '../sources.ts';

/** Existing pictures of these files in the folder. */
export function picturesOf(files: readonly string[], out: string): string[] {
  if (!isFolder(out)) return [];
  const names = new Set(files.map((file) => path.parse(file).name));
  const found = readdirSync(out).filter((name) => names.has(/^(.+)-[A-Za-z]\w*\.png$/.exec(name)?.[1] ?? ''));
  return found.map((name) => path.join(out, name));
}

/**
 * Replaces pictures by the paths `<out>/<file>-<what>.png` that they are written to; drops them without `out`.
 * @param files the sources' names
 * @throws OnnxLoraError `CONFIG_INVALID` for a name clash, `FILE_INVALID` where the disk refuses
 */
export async function* withPictures(
  answers: AsyncIterable<Answer>,
  files: readonly string[],
  out: string | undefined,
): AsyncGenerator<Answer> {
  const written = new Map<string, string>();
  const write = async (asked: string, what: string, bytes: Uint8Array, folder: string): Promise<string> => {
    const file = path.join(folder, `${path.parse(asked).name}-${what}.png`);
    const other = written.get(file);
    if (other !== undefined)
      throw usageError(
        `"${other}" and "${asked}" would both be written to "${file}". Ask for them one after the other.`,
      );
    written.set(file, asked);
    await writeFileAtomic(file, bytes);
    return file;
  };
  for await (const answer of answers) {
    const plain: [string, unknown][] = [];
    for (const [key, value] of Object.entries(answer.prediction)) {
      if (!(value instanceof Uint8Array)) plain.push([key, value]);
      else if (out !== undefined) plain.push([key, await write(files[answer.source]!, key, value, out)]);
    }
    yield { ...answer, prediction: Object.fromEntries(plain) satisfies Prediction };
  }
}
