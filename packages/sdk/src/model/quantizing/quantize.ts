/** @file `quantize`: writes a model with quantised weights for plain ONNX Runtime. */

import { existsSync, realpathSync, statSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { refuseOverwrite } from '../../files/atomicWriter.ts';
import { isInFile } from '../../graph/bytes.ts';
import { writeOnnxFiles } from '../../graph/file/onnxFile.ts';
import { ScratchBytes } from '../../graph/file/scratchWeights.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { tensorsOf } from '../../graph/tensors.ts';
import { allGraphs } from '../../graph/walk.ts';
import { Random } from '../../runtime/random.ts';
import { requireWritable } from '../merging/merge.ts';
import { companionsOf, placeOf, requireOtherFolder } from '../merging/mergeParts.ts';
import type { Model } from '../loaded/model.ts';
import { publishedName } from '../opening/modelFiles.ts';
import { withOwnConfig } from '../opening/readModelConfig.ts';
import { loftqAdapter } from './loftq.ts';
import { checkedOptions, type QuantizeOptions, type QuantizeResult } from './quantizeOptions.ts';
import { type ModelPart, partsOf, quantizeParts } from './quantizedParts.ts';
import { requireModel, requirePath } from '../loaded/argumentChecks.ts';

/**
 * Writes a model with quantised linear layers, completely or not at all. Modules keep their paths, so the same targets
 * match and adapters train on it as usual. Weights are processed one at a time. If `place` does not end in `.onnx`, it
 * is a folder, as in `merge`.
 * @example
 * const { layers, bytesBefore, bytesAfter } = await quantize(model, 'models/vit-4bit', { bits: 4 });
 * @throws OnnxLoraError `CONFIG_INVALID`; `TARGET_NOT_FOUND`; `MODEL_UNSUPPORTED` if no layer can be quantised;
 *   `DATA_INVALID`; `FILE_INVALID` if the file cannot be written, or exists without `overwrite`
 */
export async function quantize(model: Model, place: string, options: QuantizeOptions): Promise<QuantizeResult> {
  requireModel('quantize', model);
  requirePath('quantize', place);
  const checked = checkedOptions(options);
  const { loftq, seed = 0 } = options;
  const parts = partsFor(model, place);
  const beside = place.endsWith('.onnx') ? [] : companionsOf(model, place);
  refuseOverwrite([...parts.map(({ file }) => file), ...beside.map(([file]) => file)], options);
  const random = new Random(seed);
  const scratch = new ScratchBytes();
  try {
    const found = await quantizeParts(model, parts, { ...options, ...checked, random, scratch });
    const { layers, kept, made, components } = found;
    const graphs = found.graphs.flatMap(({ graph }, i) => (parts[i]!.onlyServes ? [] : [graph]));
    const adapter = loftq && (await loftqAdapter(model, components, { ...loftq, made, graphs, random }));
    const files = writeOnnxFiles(
      parts.map(({ file }, i) => ({ file, model: withConfig(found.graphs[i]!, model, place) })),
      beside,
    );
    return {
      files,
      bytesBefore: bytesOf(sourceFiles(parts)),
      bytesAfter: bytesOf(files.slice(0, files.length - beside.length)),
      layers,
      kept,
      ...(adapter && { adapter }),
    };
  } finally {
    scratch.drop();
  }
}

interface PartFile extends ModelPart {
  readonly file: string;
  /** Not part of the joined graph. */
  readonly onlyServes: boolean;
}

/** @throws OnnxLoraError `FILE_INVALID` for the model's own place */
function partsFor(model: Model, place: string): readonly PartFile[] {
  const isFolder = !place.endsWith('.onnx');
  if (isFolder && model.parts.length > 0) {
    requireOtherFolder(model, place);
    return partsOf(model).map((part) => ({ ...part, file: path.join(place, placeOf(part.model, model)) }));
  }
  const file = isFolder
    ? path.join(place, path.dirname(placeOf(model, model)), `${publishedName(model.file)}.onnx`)
    : place;
  requireWritable(model, file);
  return [{ file, model, prefix: '', onlyServes: false }];
}

/** A single file carries its config in the metadata. */
function withConfig(graph: ModelProto, { config }: Model, place: string): ModelProto {
  return place.endsWith('.onnx') && config ? withOwnConfig(graph, config) : graph;
}

function sourceFiles(parts: readonly PartFile[]): string[] {
  const files = new Set<string>();
  for (const { model } of parts) {
    for (const file of model.files) if (existsSync(file)) files.add(realpathSync(file));
    for (const raw of [...allGraphs(model.onnx.model.graph)].flatMap(tensorsOf).map(rawBytes))
      if (raw && isInFile(raw)) files.add(realpathSync(raw.path));
  }
  return [...files];
}

function bytesOf(files: readonly string[]): number {
  return files.reduce((sum, file) => sum + statSync(file).size, 0);
}
