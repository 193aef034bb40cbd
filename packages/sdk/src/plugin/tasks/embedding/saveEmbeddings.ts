/** @file Writes embeddings where other programs read them. */

import { extname } from 'node:path';
import { writeFileAtomic } from '../../../files/atomicWriter.ts';
import { writeSafetensors } from '../../../adapter/formats/safetensors.ts';
import { OnnxLoraError } from '../../../errors.ts';
import type { Tensor } from '../../../runtime/tensor.ts';
import { csvCell } from '../../data/tables/cells.ts';

/**
 * Writes embeddings with the names of their files: a `.safetensors` file (tensor `embeddings`; the names as a JSON list under
 * `files` in its metadata) or a `.csv` file (a column `file`, then a column per number).
 *
 * @param embeddings float32 `[files, width]`
 * @throws OnnxLoraError `INPUT_INVALID` for another ending, or as many names as there are not rows
 */
export async function saveEmbeddings(path: string, files: readonly string[], embeddings: Tensor): Promise<void> {
  const [rows, width] = embeddings.dims;
  if (embeddings.dims.length !== 2 || rows !== files.length) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Embeddings [${embeddings.dims.join(', ')}] do not belong to ${files.length} files. Give as many names as there are rows.`,
    );
  }
  switch (extname(path).toLowerCase()) {
    case '.safetensors':
      return writeSafetensors(path, new Map([['embeddings', embeddings]]), { files: JSON.stringify(files) });
    case '.csv': {
      const columns = Array.from({ length: width! }, (_, i) => `e${i}`);
      const lines = files.map((file, i) =>
        [csvCell(file, ','), ...embeddings.data.slice(i * width!, (i + 1) * width!)].join(','),
      );
      return writeFileAtomic(path, `${[['file', ...columns].join(','), ...lines].join('\n')}\n`);
    }
    default:
      throw new OnnxLoraError('INPUT_INVALID', `"${path}" ends with neither .safetensors nor .csv. Name such a file.`);
  }
}
