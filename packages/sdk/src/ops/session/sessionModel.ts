/** @file The bytes of a graph for an engine, with weights as references into mapped files. */

import * as path from '../../platform/path.ts';
import { type FileSlice, isInFile, readBytes, requireUnchanged } from '../../graph/bytes.ts';
import { encodeModel } from '../../graph/file/encode.ts';
import { keepWeights } from '../../graph/file/keptWeights.ts';
import { slicesOf } from '../../graph/file/onnxFile.ts';
import { scratchWeights } from '../../graph/file/scratchWeights.ts';
import { commonFolder, externalised } from '../../graph/file/stagedFiles.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { withTensors } from '../../graph/tensors.ts';
import type { SessionSource } from '../../runtime/session.ts';
import { withoutGeneratedNames } from './generatedNames.ts';
import { mappedWeights } from './mappedWeights.ts';
import { packedProducts } from './packedProducts.ts';
import { withoutShapes } from './withoutShapes.ts';

/**
 * The model for a runtime: a few kilobytes of graph with weights as file ranges, which ONNX Runtime maps without a
 * copy. Large computed weights go to a scratch file.
 * @throws OnnxLoraError `FILE_INVALID` for a file that changed after opening
 */
export function sessionModel(given: ModelProto): Omit<SessionSource, 'name'> {
  const model = scratchWeights(withoutGeneratedNames(given));
  const slices = slicesOf(model);
  requireUnchanged(slices);
  const folder = commonFolder([...new Set(slices.map((slice) => path.dirname(slice.path)))]);
  const onCpu: SessionSource['onCpu'] = (options) => {
    const mapped = mappedWeights(model, options);
    const parts = packedProducts(mapped?.model ?? model) ?? mapped?.model;
    const own = withoutShapes(parts ?? model) ?? parts;
    return own && { bytes: encoded(own, folder), widens: mapped?.widens ?? false };
  };
  const bytes = encoded(model, folder);
  if (folder === undefined) return { bytes, onCpu };
  return { bytes, onCpu, folder, files: filesIn(folder, slices) };
}

/**
 * The model for a runtime, as {@link sessionModel}, with computed weights from the user's cache.
 * @param name as the user knows the model, for error messages and the list of the cache
 * @throws OnnxLoraError `FILE_INVALID` for a file that changed after opening
 */
export async function preparedSource(model: ModelProto, name: string): Promise<SessionSource> {
  await keepWeights(model, name);
  return { ...sessionModel(model), name };
}

function encoded(model: ModelProto, folder: string | undefined): Uint8Array {
  const slim = withTensors(model, (tensor) =>
    externalised(tensor, (bytes) =>
      isInFile(bytes) && folder !== undefined
        ? { location: path.relative(folder, bytes.path), offset: bytes.offset }
        : undefined,
    ),
  );
  const chunks = encodeModel(slim).map(readBytes);
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function filesIn(folder: string, slices: readonly FileSlice[]): string[] {
  return [...new Set(slices.map((slice) => path.relative(folder, slice.path)))];
}
