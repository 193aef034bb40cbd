/** @file Pictures in answers, such as masks, as files. */

import { readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type Prediction, writeFileAtomic } from '@onnx-lora/sdk';
import { usageError } from '../errors.ts';
import { isFolder } from '../sources.ts';

/** Pictures of answers about these files that are in the folder already. */
export function picturesOf(files: readonly string[], out: string): string[] {
  if (!isFolder(out)) return [];
  const names = new Set(files.map((file) => path.parse(file).name));
  const found = readdirSync(out).filter((name) => names.has(/^(.+)-[A-Za-z]\w*\.png$/.exec(name)?.[1] ?? ''));
  return found.map((name) => path.join(out, name));
}

/**
 * The predictions with paths in the place of pictures, which are written to `<out>/<file>-<what>.png`; without `out` they
 * are left out.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where two files would have one name, `FILE_INVALID` where nothing can be written
 */
export async function writePictures(
  files: readonly string[],
  predictions: readonly Prediction[],
  out: string | undefined,
): Promise<Prediction[]> {
  const written = new Map<string, string>();
  const told: Prediction[] = [];
  for (const [i, prediction] of predictions.entries()) {
    const plain: [string, unknown][] = [];
    for (const [key, value] of Object.entries(prediction)) {
      if (!(value instanceof Uint8Array)) plain.push([key, value]);
      else if (out !== undefined) {
        const file = path.join(out, `${path.parse(files[i]!).name}-${key}.png`);
        const other = written.get(file);
        if (other !== undefined)
          throw usageError(
            `"${other}" and "${files[i]!}" would both be written to "${file}". Ask for them one after the other.`,
          );
        written.set(file, files[i]!);
        await mkdir(out, { recursive: true });
        await writeFileAtomic(file, value);
        plain.push([key, file]);
      }
    }
    told.push(Object.fromEntries(plain));
  }
  return told;
}
