/** @file A table of measured variants as a laboratory has it, and variants that it thinks of making. */

import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const gb1 = fileURLToPath(new URL('../../data/gb1', import.meta.url));

/**
 * Writes a twelfth of the data set GB1 as `<folder>/fitness.csv` with its wild type, and `ideas.csv`.
 *
 * @returns a summary of the data, in words
 */
export async function makeAssay(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const [header, ...lines] = (await readFile(path.join(gb1, 'gb1.csv'), 'utf8')).trimEnd().split('\n');
  const rows = [header!, ...lines.filter((_, i) => i % 12 === 10)].map((line) => line.split(',').slice(0, 2).join(','));
  await writeFile(path.join(folder, 'fitness.csv'), `${rows.join('\n')}\n`);
  await copyFile(path.join(gb1, 'wild-type.fasta'), path.join(folder, 'wild-type.fasta'));
  await writeFile(path.join(folder, 'ideas.csv'), 'variant\nFWAA\nVDGV\nGGGG\n');
  return `${rows.length - 1} measured variants, their wild type, and 3 ideas`;
}
